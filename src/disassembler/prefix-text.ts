/** The prefixes that assembly text has to spell out: LOCK, REP, and sizes that no operand shows. */

import { REGISTER_NAMES, SEGMENT } from '../architecture/registers.js';
import { ENCODINGS, type Encoding, type Instruction, PREFIX, RIP_BASE } from '../instruction-set/index.js';

/** What the text of a row shows of its operands; rows of one shape differ only by operand size. */
function shapeOf(encoding: Encoding): string {
  const operands = encoding.operands.map((operand) => {
    switch (operand.slot) {
      case 'immediate':
      case 'relative':
        return operand.slot;
      default:
        return /^m\d+byte$/.test(operand.text) ? 'm' : operand.text;
    }
  });
  return `${encoding.mnemonic} ${operands.join()}`;
}

/** Rows whose operand size cannot be seen from mnemonic and operands: PUSH imm, RET, LEAVE, branches, … */
function findHiddenSizes(): Uint8Array {
  const sizes = new Map<string, Set<number>>();
  for (const encoding of ENCODINGS) {
    const shape = shapeOf(encoding);
    if (!sizes.has(shape)) sizes.set(shape, new Set());
    sizes.get(shape)!.add(encoding.operandSize);
  }
  return Uint8Array.from(ENCODINGS, (encoding) => {
    const isBranch = encoding.operands.some((operand) => operand.slot === 'relative');
    return isBranch || sizes.get(shapeOf(encoding))!.size > 1 ? 1 : 0;
  });
}

const HIDDEN_SIZES = findHiddenSizes();

function defaultOperandSize(instruction: Instruction): number {
  if (instruction.codeSize !== 64) return instruction.codeSize;
  const { default64, forced64 } = instruction.encoding;
  return default64 || forced64 ? 64 : 32;
}

/** The operand size is not the usual one, and mnemonic and operands do not show it. */
export function hidesUnusualSize(instruction: Instruction): boolean {
  return (
    HIDDEN_SIZES[instruction.encoding.index] === 1 &&
    instruction.operandSize !== defaultOperandSize(instruction)
  );
}

/** PUSH and near branches say their size at the operand, `push word 0x1`, not by a prefix. */
export function hasSizeAtOperand(encoding: Encoding): boolean {
  const operand = encoding.operands[0];
  if (operand?.slot === 'immediate') return encoding.mnemonic === 'PUSH';
  return operand?.slot === 'relative' && operand.encodedWidth > 8;
}

/** The address size matters, but nothing that is written shows it. */
function hidesAddressSize(instruction: Instruction): boolean {
  const { encoding, baseRegister, indexRegister } = instruction;
  const showsRegister = (baseRegister >= 0 && baseRegister !== RIP_BASE) || indexRegister >= 0;
  if (instruction.memoryOperand >= 0) return instruction.codeSize === 64 && !showsRegister;
  return (
    encoding.operands.some((operand) => operand.slot === 'implicit' && operand.memory) ||
    encoding.mnemonic.startsWith('LOOP') ||
    encoding.mnemonic === 'MONITOR'
  );
}

function repeatText(instruction: Instruction): string {
  const { prefixes, encoding } = instruction;
  if (encoding.repeat === '') return '';
  if ((prefixes & PREFIX.REPNE) !== 0) return 'repne ';
  if ((prefixes & PREFIX.REP) === 0) return '';
  return encoding.repeat === 'rep' ? 'rep ' : 'repe ';
}

/** Prefixes in the order of NASM's text, each followed by a space; prefixes without any effect are left out. */
export function prefixText(instruction: Instruction): string {
  const { encoding } = instruction;
  let text = (instruction.prefixes & PREFIX.LOCK) !== 0 ? 'lock ' : '';
  if (hidesUnusualSize(instruction) && !hasSizeAtOperand(encoding)) text += `o${instruction.operandSize} `;
  if (hidesAddressSize(instruction) && instruction.addressSize !== instruction.codeSize)
    text += `a${instruction.addressSize} `;
  const hasImpliedSource = instruction.memoryOperand < 0 && instruction.segment >= 0;
  if (hasImpliedSource && instruction.segment !== SEGMENT.DS)
    text += `${REGISTER_NAMES.segment[instruction.segment]} `;
  return text + repeatText(instruction);
}
