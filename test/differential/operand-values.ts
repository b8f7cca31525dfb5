/** Values for operands that make the interesting outcomes of each instruction occur often enough. */

import { GPR } from '../../src/architecture/registers.js';
import type { Encoding, OperandForm } from '../../src/instruction-set/index.js';
import { addressInWindow, branchTarget, faultingAddress, isInWindow, writeWindow } from './addresses.js';
import type { FixedRegisters } from './instruction-bytes.js';
import type { Random } from './random.js';
import { initialState, type TestCase, WINDOW_BASE, WINDOW_SIZE } from './test-case.js';

const STACK_MNEMONICS = /^(PUSH|POP|CALL|RET|ENTER|LEAVE)/;

/** Values for registers that the instruction uses without naming them. */
export function fixImplicitRegisters(
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

/** Undefined leaves the choice to chance. */
export function chooseImmediate(
  encoding: Encoding,
  operand: OperandForm,
  random: Random,
): bigint | undefined {
  if (operand.slot === 'relative') return chooseDisplacement(operand.encodedWidth, random);
  if (encoding.mnemonic === 'ENTER')
    return operand.encodedWidth === 16
      ? BigInt(random.below(40))
      : BigInt(random.chance(90) ? random.below(6) : random.below(256) & 0xe3);
  if (encoding.family === 'shift-rotate' && random.chance(40)) return BigInt(random.below(4));
  return undefined;
}

/** Where the encoded operands are: a linear address, register numbers or -1. */
interface OperandPlaces {
  readonly address: bigint | undefined;
  readonly reg: number;
  readonly rm: number;
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
export function adjustOperands(
  encoding: Encoding,
  testCase: TestCase,
  random: Random,
  places: OperandPlaces,
): void {
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
