/** Binary arithmetic and logic (SDM Vol. 2, the instructions' pages). */

import { GPR, HIGH_BYTE_REGISTER_BASE } from '../../../architecture/registers.js';
import { ARITHMETIC_FLAGS, RFLAGS } from '../../../architecture/rflags.js';
import { VECTOR } from '../../../architecture/vectors.js';
import type { Emulation } from '../emulation.js';
import { add, type Computed, logicFlags, signBit, subtract, withFlags } from '../flags.js';
import type { Handler, HandlerTable } from '../handler.js';
import { EmulatedFault } from '../signals.js';

type Compute = (a: bigint, b: bigint, carry: bigint, width: number) => Computed;

const carryOf = (e: Emulation): bigint => (e.flags & RFLAGS.CF ? 1n : 0n);

/** First operand := first operation second; all six flags. */
const binary =
  (compute: Compute, withCarry: boolean, store: boolean): Handler =>
  (e) => {
    const { result, flags } = compute(e.read(0), e.read(1), withCarry ? carryOf(e) : 0n, e.width(0));
    if (store) e.write(0, result);
    e.flags = withFlags(e.flags, ARITHMETIC_FLAGS, flags);
  };

const logic =
  (compute: (a: bigint, b: bigint) => bigint, store: boolean): Handler =>
  (e) => {
    const result = compute(e.read(0), e.read(1));
    if (store) e.write(0, result);
    e.flags = logicFlags(e.flags, result, e.width(0));
  };

/** INC and DEC leave CF alone. */
const step =
  (compute: Compute): Handler =>
  (e) => {
    const { result, flags } = compute(e.read(0), 1n, 0n, e.width(0));
    e.write(0, result);
    e.flags = withFlags(e.flags, ARITHMETIC_FLAGS & ~RFLAGS.CF, flags & ~RFLAGS.CF);
  };

const negate: Handler = (e) => {
  const { result, flags } = subtract(0n, e.read(0), 0n, e.width(0));
  e.write(0, result);
  e.flags = withFlags(e.flags, ARITHMETIC_FLAGS, flags);
};

const complement: Handler = (e) => e.write(0, ~e.read(0));

/** rDX:rAX, or AX for bytes, as the double-width register of multiplication and division. */
function writeDouble(e: Emulation, width: number, low: bigint, high: bigint): void {
  e.writeGpr(GPR.RAX, width, low);
  e.writeGpr(width === 8 ? HIGH_BYTE_REGISTER_BASE : GPR.RDX, width, high);
}

function readDouble(e: Emulation, width: number): bigint {
  const high = e.readGpr(width === 8 ? HIGH_BYTE_REGISTER_BASE : GPR.RDX, width);
  return (high << BigInt(width)) | e.readGpr(GPR.RAX, width);
}

const setOverflow = (e: Emulation, overflow: boolean): void => {
  e.flags = withFlags(e.flags, RFLAGS.CF | RFLAGS.OF, overflow ? RFLAGS.CF | RFLAGS.OF : 0);
};

const multiply: Handler = (e) => {
  const width = e.width(0);
  const product = e.readGpr(GPR.RAX, width) * e.read(0);
  const high = product >> BigInt(width);
  writeDouble(e, width, product, high);
  setOverflow(e, high !== 0n);
};

const multiplySigned: Handler = (e) => {
  const width = e.width(0);
  const signed = (value: bigint): bigint => BigInt.asIntN(width, value);
  const operands = e.instruction.encoding.operands.length;
  const product =
    operands === 1
      ? signed(e.readGpr(GPR.RAX, width)) * signed(e.read(0))
      : signed(e.read(operands - 2)) * signed(e.read(operands - 1));
  if (operands === 1) writeDouble(e, width, product, product >> BigInt(width));
  else e.write(0, product);
  setOverflow(e, signed(product) !== product);
};

const divide: Handler = (e) => {
  const width = e.width(0);
  const divisor = e.read(0);
  const dividend = readDouble(e, width);
  if (divisor === 0n || dividend / divisor >= 1n << BigInt(width)) throw new EmulatedFault(VECTOR.DE);
  writeDouble(e, width, dividend / divisor, dividend % divisor);
};

const divideSigned: Handler = (e) => {
  const width = e.width(0);
  const divisor = BigInt.asIntN(width, e.read(0));
  const dividend = BigInt.asIntN(2 * width, readDouble(e, width));
  if (divisor === 0n) throw new EmulatedFault(VECTOR.DE);
  const quotient = dividend / divisor;
  if (BigInt.asIntN(width, quotient) !== quotient) throw new EmulatedFault(VECTOR.DE);
  writeDouble(e, width, quotient, dividend % divisor);
};

const exchangeAndAdd: Handler = (e) => {
  const destination = e.read(0);
  const { result, flags } = add(destination, e.read(1), 0n, e.width(0));
  // The memory operand first: it may fault. With the same register twice, the sum wins.
  if (e.instruction.memoryOperand === 0) {
    e.write(0, result);
    e.write(1, destination);
  } else {
    e.write(1, destination);
    e.write(0, result);
  }
  e.flags = withFlags(e.flags, ARITHMETIC_FLAGS, flags);
};

const compareAndExchange: Handler = (e) => {
  const width = e.width(0);
  const destination = e.read(0);
  const { flags, result } = subtract(e.readGpr(GPR.RAX, width), destination, 0n, width);
  if (result === 0n) e.write(0, e.read(1));
  else {
    // The destination is written in either case: a read-only page faults.
    e.write(0, destination);
    e.writeGpr(GPR.RAX, width, destination);
  }
  e.flags = withFlags(e.flags, ARITHMETIC_FLAGS, flags);
};

/** CMPXCHG8B and CMPXCHG16B: two halves of `width` bits. */
const compareAndExchangePair =
  (width: 32 | 64): Handler =>
  (e) => {
    const size = width >> 3;
    const low = e.linearAddress();
    const high = e.linearAddress(BigInt(size));
    if (width === 64 && (low & 15n) !== 0n) throw new EmulatedFault(VECTOR.GP, 0);
    e.memory.probeWrite(low, size);
    e.memory.probeWrite(high, size);
    const oldLow = e.memory.read(low, size);
    const oldHigh = e.memory.read(high, size);
    const equal = oldLow === e.readGpr(GPR.RAX, width) && oldHigh === e.readGpr(GPR.RDX, width);
    e.memory.write(low, size, equal ? e.readGpr(GPR.RBX, width) : oldLow);
    e.memory.write(high, size, equal ? e.readGpr(GPR.RCX, width) : oldHigh);
    if (!equal) {
      e.writeGpr(GPR.RAX, width, oldLow);
      e.writeGpr(GPR.RDX, width, oldHigh);
    }
    e.flags = withFlags(e.flags, RFLAGS.ZF, equal ? RFLAGS.ZF : 0);
  };

/** CBW, CWDE, CDQE: the accumulator's lower half sign-extended. */
const extendAccumulator =
  (width: number): Handler =>
  (e) =>
    e.writeGpr(GPR.RAX, width, BigInt.asIntN(width >> 1, e.register(GPR.RAX)));

/** CWD, CDQ, CQO: rDX filled with the accumulator's sign. */
const extendIntoData =
  (width: number): Handler =>
  (e) =>
    e.writeGpr(GPR.RDX, width, signBit(e.register(GPR.RAX), width) ? -1n : 0n);

export const ARITHMETIC: HandlerTable = {
  ADD: binary(add, false, true),
  ADC: binary(add, true, true),
  SUB: binary(subtract, false, true),
  SBB: binary(subtract, true, true),
  CMP: binary(subtract, false, false),
  AND: logic((a, b) => a & b, true),
  OR: logic((a, b) => a | b, true),
  XOR: logic((a, b) => a ^ b, true),
  TEST: logic((a, b) => a & b, false),
  INC: step(add),
  DEC: step(subtract),
  NEG: negate,
  NOT: complement,
  MUL: multiply,
  IMUL: multiplySigned,
  DIV: divide,
  IDIV: divideSigned,
  XADD: exchangeAndAdd,
  CMPXCHG: compareAndExchange,
  CMPXCHG8B: compareAndExchangePair(32),
  CMPXCHG16B: compareAndExchangePair(64),
  CBW: extendAccumulator(16),
  CWDE: extendAccumulator(32),
  CDQE: extendAccumulator(64),
  CWD: extendIntoData(16),
  CDQ: extendIntoData(32),
  CQO: extendIntoData(64),
};
