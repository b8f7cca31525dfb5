/** One line of assembly text for a row of the table, with random operands that fit the row. */

import { REGISTER_NAMES } from '../../src/architecture/registers.js';
import { type Encoding, encodingsByMnemonic, type OperandForm } from '../../src/instruction-set/index.js';
import type { RandomSource } from '../support/random-source.js';

type CodeSize = 16 | 32 | 64;

const SIZE_WORDS: Readonly<Record<number, string>> = {
  8: 'byte',
  16: 'word',
  32: 'dword',
  64: 'qword',
  80: 'tword',
};
const EDGES = [0, 1, 5, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xffff, 0x10000, 0x7fffffff, 0x12345678];

function addressText(random: RandomSource, codeSize: CodeSize): string {
  const displacement = random.pick(['', '', '+5', '-5', '+0x7f', '+0x80', '-0x80', '-0x81', '+0x1234']);
  const names =
    codeSize === 64
      ? random.pick([REGISTER_NAMES.gpr64, REGISTER_NAMES.gpr64, REGISTER_NAMES.gpr32])
      : REGISTER_NAMES.gpr32;
  const usable = codeSize === 64 ? names : names.slice(0, 8);
  if (codeSize !== 64 && random.oneIn(codeSize === 16 ? 2 : 6)) {
    const base = random.pick(['bx', 'bp', 'si', 'di', 'bx+si', 'bp+di', 'di+bx', 'bp+si', 'bx+di']);
    return base + displacement;
  }
  const index = usable.filter((name) => name !== 'rsp' && name !== 'esp');
  switch (random.below(8)) {
    case 0:
      return '0x1234';
    case 1:
      return `${random.pick(index)}*${random.pick([2, 3, 4, 5, 8, 9])}${displacement}`;
    case 2:
    case 3:
      return `${random.pick(usable)}+${random.pick(index)}*${random.pick([1, 2, 4, 8])}${displacement}`;
    case 4:
      return `${random.pick(index)}+${random.pick(usable)}${displacement}`;
    default:
      return random.pick(usable) + displacement;
  }
}

/** `[fs:…]` now and then. */
function memoryText(random: RandomSource, codeSize: CodeSize): string {
  const segment = random.oneIn(6) ? `${random.pick(['fs', 'gs', 'es', 'cs', 'ss', 'ds'])}:` : '';
  return `[${segment}${addressText(random, codeSize)}]`;
}

function registerText(form: OperandForm, random: RandomSource, codeSize: CodeSize): string {
  if (form.fixedRegister >= 0) return REGISTER_NAMES[form.registerClass!][form.fixedRegister]!;
  const names: readonly string[] = REGISTER_NAMES[form.registerClass!];
  switch (form.registerClass) {
    case 'segment':
      return names[random.pick(form.access === 'r' ? [0, 1, 2, 3, 4, 5] : [0, 2, 3, 4, 5])]!;
    case 'control':
      return names[random.pick(codeSize === 64 ? [0, 2, 3, 4, 8] : [0, 2, 3, 4])]!;
    case 'debug':
    case 'st':
      return names[random.below(8)]!;
    case 'gpr8':
      return random.pick(codeSize === 64 ? names : [...names.slice(0, 4), ...names.slice(16)]);
    default:
      return names[random.below(codeSize === 64 ? 16 : 8)]!;
  }
}

function immediateText(form: OperandForm, random: RandomSource): string {
  if (form.encodedWidth === 64)
    return random.pick(['0x123456789abcdef0', '-0x123456789', '0x80000000', '5', '-5']);
  const limit = 2 ** form.encodedWidth;
  const edges = EDGES.filter((edge) => edge < (form.signExtended ? limit / 2 : limit));
  const value = random.pick(edges);
  return random.oneIn(4) && value <= limit / 2 ? `-${value}` : String(value);
}

/** The mnemonic has memory operands of one width only, so that a size says nothing (and nasm knows none). */
function needsNoSize(row: Encoding): boolean {
  const widths = encodingsByMnemonic(row.mnemonic).flatMap((one) =>
    one.operands.filter((form) => form.memory && form.registerClass === undefined).map((form) => form.width),
  );
  return (
    row.operands.every((form) => !form.memory || form.registerClass === undefined) &&
    new Set(widths).size === 1
  );
}

function memoryOperand(form: OperandForm, row: Encoding, random: RandomSource, codeSize: CodeSize): string {
  const far = /^m16:/.test(form.text) && (row.mnemonic === 'JMP' || row.mnemonic === 'CALL');
  const width = far ? form.width - 16 : form.width;
  const word = SIZE_WORDS[width];
  const address = memoryText(random, codeSize);
  if ((/^m\d+[&:]/.test(form.text) && !far) || needsNoSize(row)) return address;
  return [far ? 'far' : '', word ?? '', address].filter(Boolean).join(' ');
}

function operandText(form: OperandForm, row: Encoding, random: RandomSource, codeSize: CodeSize): string {
  switch (form.slot) {
    case 'immediate':
      return immediateText(form, random);
    case 'relative':
      if (form.encodedWidth === 8 && encodingsByMnemonic(row.mnemonic).length === 1)
        return `$+${random.below(100)}`;
      return form.encodedWidth === 8
        ? `short $+${random.below(100)}`
        : `near $+${random.pick([10, 1000, 30000])}`;
    case 'far':
      return `${form.encodedWidth === 48 ? 'dword' : 'word'} 0x1234:0x5678`;
    case 'offset':
      return codeSize === 64 ? '[qword 0x123456789abc]' : '[0x1234]';
    default:
      if (form.text === '1') return '1';
      if (
        form.memory &&
        (form.registerClass === undefined || (row.modrmMode !== 'register' && random.oneIn(2)))
      )
        return memoryOperand(form, row, random, codeSize);
      return registerText(form, random, codeSize);
  }
}

/** Prefixes that the row takes, now and then. */
function prefixText(row: Encoding, operands: readonly string[], random: RandomSource): string {
  if (row.lockable && operands[0]?.includes('[') && random.oneIn(4)) return 'lock ';
  if (row.repeat === 'rep' && random.oneIn(2)) return 'rep ';
  if (row.repeat === 'repcc' && random.oneIn(2)) return random.pick(['repe ', 'repne ']);
  return '';
}

/** A line that can mean the row in code of that size; the mnemonic is the row's or one of its aliases. */
export function rowText(row: Encoding, codeSize: CodeSize, random: RandomSource): string {
  const implied = row.operands.some((form) => form.slot === 'implicit' && form.memory);
  const operands = implied ? [] : row.operands.map((form) => operandText(form, row, random, codeSize));
  const mnemonic = random.pick([row.mnemonic, ...row.aliases]).toLowerCase();
  return `${prefixText(row, operands, random)}${mnemonic} ${operands.join(', ')}`.trim();
}
