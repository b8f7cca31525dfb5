/** Cases for every row of the table that the processor's semantics cover, in 64-bit and 32-bit mode. */

import { GPR } from '../../src/architecture/registers.js';
import { ENCODINGS, type Encoding, type OperandForm } from '../../src/instruction-set/index.js';
import { semanticsOf } from '../../src/processor/semantics/index.js';
import { addressInWindow, faultingAddress } from './addresses.js';
import { encodeInstruction, type FixedRegisters } from './instruction-bytes.js';
import { adjustOperands, chooseImmediate, fixImplicitRegisters } from './operand-values.js';
import { Random } from './random.js';
import { CODE_START, MAX_CODE, type TestCase } from './test-case.js';

/** Register forms of 0F 0D: no operation by Intel's manual, #UD by AMD's. */
const VENDOR_SPECIFIC = /^NOP_0F0D/;

const HAS_MEANING: readonly Encoding[] = ENCODINGS.filter(
  (encoding) => semanticsOf(encoding) !== undefined && !VENDOR_SPECIFIC.test(encoding.id),
);

/** Rows that are tested one by one: everything with a meaning in 64-bit mode. */
export const TESTED_ENCODINGS: readonly Encoding[] = HAS_MEANING.filter(({ valid64 }) => valid64);
/** The same for 32-bit code, without 16-bit addresses. */
export const TESTED_ENCODINGS_32: readonly Encoding[] = HAS_MEANING.filter(
  ({ valid32, addressSize }) => valid32 && addressSize !== 16,
);

const PLAIN_FAMILIES: ReadonlySet<string> = new Set(['nop', 'flag', 'miscellaneous']);
const HARD_MNEMONICS: ReadonlySet<string> = new Set([
  'DIV',
  'IDIV',
  'CMPXCHG8B',
  'CMPXCHG16B',
  'ENTER',
  'LEAVE',
]);
const HARD_FAMILIES: ReadonlySet<string> = new Set(['shift-rotate', 'string', 'stack', 'decimal']);

/** How many cases a row gets. */
function casesOf(encoding: Encoding): number {
  if (PLAIN_FAMILIES.has(encoding.family)) return 6;
  if (HARD_MNEMONICS.has(encoding.mnemonic)) return 160;
  return HARD_FAMILIES.has(encoding.family) ? 60 : 36;
}

/** All cases of one round, in the order of the table. */
export function generateCases(seed: number, codeSize: 32 | 64): TestCase[] {
  const random = new Random(seed);
  return (codeSize === 64 ? TESTED_ENCODINGS : TESTED_ENCODINGS_32).flatMap((encoding) =>
    Array.from({ length: casesOf(encoding) }, () => generateCase(encoding, random, codeSize)),
  );
}

const memoryOperand = (encoding: Encoding): OperandForm | undefined =>
  encoding.operands.find(({ slot, memory }) => memory && (slot === 'rm' || slot === 'offset'));

/** Whether the bus is locked: split locks are slow or forbidden on some processors, so these stay aligned. */
const isAtomic = (encoding: Encoding): boolean => encoding.lockable;

export function generateCase(encoding: Encoding, random: Random, codeSize: 32 | 64 = 64): TestCase {
  const seed = random.next32();
  const fixed: FixedRegisters = new Map();
  const form = memoryOperand(encoding);
  const sizeInBytes = Math.max(1, (form?.width ?? 0) / 8);
  const onlyMemory = form !== undefined && form.registerClass === undefined;
  const useMemory = form !== undefined && (onlyMemory || random.chance(50));
  const faults = random.chance(5);
  fixImplicitRegisters(encoding, random, fixed, faults, codeSize);
  const aligned = encoding.mnemonic === 'CMPXCHG16B' ? random.chance(85) : isAtomic(encoding);
  const address = !useMemory
    ? undefined
    : faults
      ? faultingAddress(random, sizeInBytes, codeSize)
      : addressInWindow(random, sizeInBytes, aligned);
  const repeats = encoding.repeat !== '' && random.chance(60);
  const { code, reg, rm } = encodeInstruction({
    encoding,
    random,
    codeSize,
    address,
    fixed,
    lock: encoding.lockable && useMemory && random.chance(20),
    repeatPrefix: repeats ? random.pick([0xf2, 0xf3]) : 0,
    immediate: (operand) => chooseImmediate(encoding, operand, random),
  });
  const testCase: TestCase = { code, codeSize, seed, overrides: { registers: fixed, window: new Map() } };
  adjustOperands(encoding, testCase, random, { address, reg, rm });
  return testCase;
}

/**
 * Straight-line sequences draw on rows that never branch and reach memory only through their ModRM operand. Results
 * that the manual leaves undefined would spread: 16-bit BSWAP, and 16-bit SHLD and SHRD with counts above 16.
 */
const SEQUENCE_ENCODINGS: readonly Encoding[] = TESTED_ENCODINGS.filter(
  ({ family, mnemonic, operandSize }) =>
    !['control-transfer', 'string', 'stack', 'nop'].includes(family) &&
    !['DIV', 'IDIV', 'CMPXCHG16B', 'XLATB', 'STD'].includes(mnemonic) &&
    !/^BT[SRC]?$/.test(mnemonic) &&
    !(operandSize === 16 && ['BSWAP', 'SHLD', 'SHRD'].includes(mnemonic)),
);

/** Registers that sequences use as bases only, so that their addresses stay good. */
const SEQUENCE_BASES: readonly number[] = [GPR.RSP, GPR.RBP, GPR.R12, GPR.R13];

/** Code of at most `length` instructions that ends in the INT3 behind it. */
export function generateSequence(random: Random, length: number): TestCase {
  const fixed: FixedRegisters = new Map();
  const seed = random.next32();
  for (const base of SEQUENCE_BASES) fixed.set(base, addressInWindow(random, 8, true));
  const code: number[] = [];
  let undefinedFlags = 0;
  for (let count = 0; count < length && code.length < MAX_CODE - 16; count++) {
    const encoding = random.pick(SEQUENCE_ENCODINGS);
    if ((encoding.flagsRead & undefinedFlags) !== 0) continue;
    undefinedFlags = (undefinedFlags & ~encoding.flagsWritten) | encoding.flagsUndefined;
    const form = memoryOperand(encoding);
    const useMemory = form !== undefined && (form.registerClass === undefined || random.chance(30));
    const instruction = encodeInstruction({
      encoding,
      random,
      codeSize: 64,
      address: useMemory ? addressInWindow(random, Math.max(1, form.width / 8), true) : undefined,
      fixed,
      lock: false,
      repeatPrefix: 0,
      codeAddress: CODE_START + code.length,
      base: random.pick(SEQUENCE_BASES),
      excluded: new Set(SEQUENCE_BASES),
    });
    code.push(...instruction.code);
  }
  return {
    code: Uint8Array.from(code),
    codeSize: 64,
    seed,
    overrides: { registers: fixed, window: new Map() },
  };
}
