/** Cases for every row of the table that the processor's semantics cover, in 64-bit and 32-bit mode. */

import { GPR } from '../../src/architecture/registers.js';
import { ENCODINGS, type Encoding, type OperandForm } from '../../src/instruction-set/index.js';
import { semanticsOf } from '../../src/processor/semantics/index.js';
import { encodeInstruction, type FixedRegisters } from './instruction-bytes.js';
import { Random } from './random.js';
import {
  CODE_PAGE,
  CODE_START,
  initialState,
  MAX_CODE,
  MEMORY_BASE,
  MEMORY_SIZE,
  type TestCase,
  WINDOW_BASE,
  WINDOW_SIZE,
} from './test-case.js';

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

/** Room that pushes below and pops above an operand need. */
const MARGIN = 24;
/** 256 MiB where the harness has nothing: above its image and heap, below its libraries and stack. */
const UNMAPPED = 0x6000_0000;

const unmappedAddress = (random: Random): bigint => BigInt(UNMAPPED + random.below(0x1000_0000));

const nonCanonicalAddress = (random: Random): bigint =>
  (1n << BigInt(random.between(47, 62))) | BigInt(random.below(0x10000));

function addressInWindow(random: Random, sizeInBytes: number, aligned: boolean): bigint {
  const offset = random.between(MARGIN, WINDOW_SIZE - MARGIN - sizeInBytes);
  return BigInt(WINDOW_BASE + (aligned ? offset - (offset % sizeInBytes) : offset));
}

/** An address that faults: nothing there, not canonical, or reaching past the end of memory. */
function faultingAddress(random: Random, sizeInBytes: number, codeSize: 32 | 64): bigint {
  const kind = random.pick(codeSize === 64 ? [0, 1, 2] : [0, 2]);
  if (kind === 0) return unmappedAddress(random);
  if (kind === 1) return nonCanonicalAddress(random);
  return BigInt(MEMORY_BASE + MEMORY_SIZE - random.below(sizeInBytes));
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

const STACK_MNEMONICS = /^(PUSH|POP|CALL|RET|ENTER|LEAVE)/;

/** Values for registers that the instruction uses without naming them. */
function fixImplicitRegisters(
  encoding: Encoding,
  random: Random,
  fixed: FixedRegisters,
  faults: boolean,
  codeSize: 32 | 64,
): void {
  const { mnemonic } = encoding;
  const faultHere = faults && random.chance(50);
  if (STACK_MNEMONICS.test(mnemonic)) {
    const address = faultHere ? faultingAddress(random, 8, codeSize) : addressInWindow(random, 8, false);
    fixed.set(GPR.RSP, address);
  }
  if (mnemonic === 'LEAVE')
    fixed.set(GPR.RBP, faultHere ? faultingAddress(random, 8, codeSize) : addressInWindow(random, 8, false));
  if (mnemonic === 'ENTER') fixFrame(random, fixed, faultHere, codeSize);
  if (encoding.family === 'string') {
    for (const index of [GPR.RSI, GPR.RDI]) fixed.set(index, BigInt(WINDOW_BASE + random.between(100, 140)));
    // One of them only: which of two faults comes first differs between forms of the same instruction.
    if (faultHere) fixed.set(random.pick([GPR.RSI, GPR.RDI]), faultingAddress(random, 8, codeSize));
    const rubbish = random.chance(20) ? random.next64() & ~0xffff_ffffn : 0n;
    fixed.set(GPR.RCX, BigInt(random.below(10)) | (encoding.repeat !== '' ? 0n : rubbish));
  }
  if (mnemonic === 'XLATB') {
    const accumulator = random.next64();
    fixed.set(GPR.RAX, accumulator);
    fixed.set(GPR.RBX, addressInWindow(random, 1, false) - (accumulator & 0xffn));
  }
  if (/^(LOOP|J.?CXZ)/.test(mnemonic) && random.chance(60))
    fixed.set(GPR.RCX, random.pick([0n, 1n, 2n, 0x1_0000_0000n, 0x1_0000_0001n]));
}

/** RSP and RBP for ENTER: aligned and overlapping displays, or displays apart and anywhere. */
function fixFrame(random: Random, fixed: FixedRegisters, faults: boolean, codeSize: 32 | 64): void {
  const overlapping = random.chance(50);
  const top = overlapping ? 8 * random.between(20, 30) : random.between(100, 120);
  const frame = overlapping ? random.between(64, 200) : random.between(180, 220);
  if (!faults) fixed.set(GPR.RSP, BigInt(WINDOW_BASE + top));
  fixed.set(GPR.RBP, faults ? faultingAddress(random, 8, codeSize) : BigInt(WINDOW_BASE + frame));
}

/** A branch displacement that leads to an INT3 in front of or behind the code, never back into it. */
function chooseDisplacement(width: number, random: Random): bigint {
  const reach = width === 8 ? 0x70 : 0x700;
  const distance = random.between(16, reach);
  if (width !== 8 && random.chance(5))
    return BigInt.asUintN(width, BigInt(random.between(-0x40_0000, 0x40_0000) * 16 - 0x20_0000));
  return BigInt.asUintN(width, BigInt(random.chance(50) ? distance : -distance));
}

function chooseImmediate(encoding: Encoding, operand: OperandForm, random: Random): bigint | undefined {
  if (operand.slot === 'relative') return chooseDisplacement(operand.encodedWidth, random);
  if (encoding.mnemonic === 'ENTER')
    return operand.encodedWidth === 16
      ? BigInt(random.below(40))
      : BigInt(random.chance(90) ? random.below(6) : random.below(256) & 0xe3);
  if (encoding.family === 'shift-rotate' && random.chance(40)) return BigInt(random.below(4));
  return undefined;
}

interface OperandPlaces {
  readonly address: bigint | undefined;
  readonly reg: number;
  readonly rm: number;
}

const isInWindow = (address: bigint | undefined, sizeInBytes: number): address is bigint =>
  address !== undefined &&
  address >= BigInt(WINDOW_BASE) &&
  address + BigInt(sizeInBytes) <= BigInt(WINDOW_BASE + WINDOW_SIZE);

function writeWindow(testCase: TestCase, address: bigint, value: bigint, sizeInBytes: number): void {
  const offset = Number(address) - WINDOW_BASE;
  for (let index = 0; index < sizeInBytes; index++)
    testCase.overrides.window.set(offset + index, Number((value >> BigInt(8 * index)) & 0xffn));
}

/** Mostly an INT3 of the code page, sometimes an address that can't be executed. */
function branchTarget(random: Random, mayFault: boolean, codeSize: 32 | 64): bigint {
  if (mayFault && random.chance(15))
    return codeSize === 32 || random.chance(50) ? unmappedAddress(random) : nonCanonicalAddress(random);
  return BigInt(CODE_PAGE + (random.chance(50) ? random.between(0x10, 0x7e0) : random.between(0x820, 0xff0)));
}

/** Around the limits of decimal digits and of their adjustment. */
const DECIMAL_CORNERS = [0, 5, 6, 9, 0x0a, 0x0f, 0x90, 0x94, 0x99, 0x9a, 0x9f, 0xa0, 0xf9, 0xfa, 0xff];

function chooseDivisor(width: number, random: Random): bigint {
  const divisor = random.chance(20) ? -1n : random.value64();
  return BigInt.asUintN(width, divisor) === 0n ? 3n : divisor;
}

/** A dividend whose quotient lies at the limits of its range, just inside or just outside, or anywhere within. */
function setDividend(
  encoding: Encoding,
  divisor: bigint,
  random: Random,
  set: (register: number, value: bigint) => void,
): void {
  const signed = encoding.mnemonic === 'IDIV';
  const width = encoding.operands[0]!.width;
  const inWidth = signed ? BigInt.asIntN : BigInt.asUintN;
  const range = 1n << BigInt(width);
  const least = signed ? -range / 2n : 0n;
  const corners = [least, least - 1n, least + 1n, least + range - 1n, least + range];
  const quotient = random.chance(60) ? random.pick(corners) : inWidth(width, random.value64());
  const by = inWidth(width, divisor);
  const product = quotient * by;
  const magnitude = by < 0n ? -by : by;
  const rest = random.chance(50) ? random.pick([0n, magnitude - 1n]) : random.next64() % magnitude;
  // The remainder has the sign of the dividend.
  const near = product < 0n || (product === 0n && quotient < 0n) ? product - rest : product + rest;
  // The most negative dividend has no positive counterpart.
  const dividend = random.chance(8) ? (-range * range) / 2n : near;
  if (width === 8) set(GPR.RAX, BigInt.asUintN(16, dividend) | (random.next64() & ~0xffffn));
  else {
    set(GPR.RAX, dividend);
    set(GPR.RDX, dividend >> BigInt(width));
  }
}

/** Changes operand values so that the interesting outcomes occur often enough. */
function adjustOperands(encoding: Encoding, testCase: TestCase, random: Random, places: OperandPlaces): void {
  const { codeSize } = testCase;
  const { registers } = testCase.overrides;
  const { address, reg, rm } = places;
  const { mnemonic } = encoding;
  const width = encoding.operands[0]?.width ?? 0;
  const state = (): ReturnType<typeof initialState> => initialState(testCase);
  const setFree = (register: number, value: bigint): void => {
    if (!registers.has(register)) registers.set(register, BigInt.asUintN(64, value));
  };
  const readMemory = (at: bigint, sizeInBytes: number): bigint => {
    const bytes = state().window.subarray(Number(at) - WINDOW_BASE);
    let value = 0n;
    for (let index = sizeInBytes - 1; index >= 0; index--) value = (value << 8n) | BigInt(bytes[index]!);
    return value;
  };

  if (mnemonic === 'DIV' || mnemonic === 'IDIV') {
    if (random.chance(50)) {
      if (isInWindow(address, width / 8)) {
        const divisor = chooseDivisor(width, random);
        writeWindow(testCase, address, divisor, width / 8);
        setDividend(encoding, divisor, random, setFree);
      } else if (rm >= 8 || rm === GPR.RBX) {
        const divisor = chooseDivisor(width, random);
        setFree(rm, divisor);
        setDividend(encoding, divisor, random, setFree);
      }
    }
    if (width === 8) setFree(GPR.RAX, random.next64() >> BigInt(random.between(48, 62)));
    else setFree(GPR.RDX, random.next64() >> BigInt(random.below(64)));
  }
  if (encoding.family === 'decimal' && random.chance(70))
    setFree(GPR.RAX, BigInt(random.below(0x100) * 0x100 + random.pick(DECIMAL_CORNERS)));
  if (mnemonic === 'CMPXCHG' && random.chance(50)) {
    if (isInWindow(address, width / 8)) setFree(GPR.RAX, readMemory(address, width / 8));
    else if (rm >= 0) setFree(GPR.RAX, state().registers[rm]!);
  }
  if (mnemonic.startsWith('CMPXCHG') && mnemonic !== 'CMPXCHG' && random.chance(60)) {
    const half = width / 16;
    if (isInWindow(address, 2 * half)) {
      setFree(GPR.RAX, readMemory(address, half));
      setFree(GPR.RDX, readMemory(address + BigInt(half), half));
    }
  }
  if (/^BT[SRC]?$/.test(mnemonic) && address !== undefined && reg >= 0) {
    // The bit string starts at the operand; keep the tested word within the window where the address is.
    const room = isInWindow(address, 8) ? Number(address) - WINDOW_BASE : 0;
    const byte = random.between(-Math.min(room, 120), Math.min(WINDOW_SIZE - room - 8, 120));
    const rest = encoding.operandSize === 64 ? 0n : random.next64() << BigInt(encoding.operandSize);
    const bits = BigInt.asUintN(encoding.operandSize, BigInt(byte * 8 + random.below(8)));
    setFree(reg, rest | bits);
  }
  if (mnemonic === 'JMP' || mnemonic === 'CALL') {
    // With a bad stack, too, processors differ in which fault of CALL comes first (Intel's manual: the target's).
    const mayFault = mnemonic === 'JMP' || isInWindow(registers.get(GPR.RSP), 8);
    const target = branchTarget(random, mayFault, codeSize);
    if (isInWindow(address, 8)) writeWindow(testCase, address, target, 8);
    else if (rm === GPR.RSP && mnemonic === 'CALL') registers.set(rm, addressInWindow(random, 8, false));
    else if (rm >= 0) setFree(rm, target);
  }
  if (mnemonic === 'RET') {
    const top = registers.get(GPR.RSP);
    if (isInWindow(top, 8)) writeWindow(testCase, top, branchTarget(random, true, codeSize), 8);
  }
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
