/** MUL, IMUL, DIV and IDIV (SDM Vol. 1, 7.3.2.3 Comparison and Sign Change, Multiply and Divide Instructions). */

import { GPR, HIGH_BYTE_REGISTER_BASE } from '../../architecture/registers.js';
import { VECTOR } from '../../architecture/vectors.js';
import { type I32, type I64, i32, i64, select } from '../../wasm/expression.js';
import type { Semantics, SemanticsContext, Width } from './context.js';
import { signBit, signMask, ZERO } from './values.js';

const AH = HIGH_BYTE_REGISTER_BASE;

/** Where the upper half of a double-width value lies: AH for bytes, rDX otherwise. */
const upperRegister = (width: Width): number => (width === 8 ? AH : GPR.RDX);

function readAccumulatorPair(context: SemanticsContext, width: Width): { high: I64; low: I64 } {
  return {
    high: context.let(context.readRegister(upperRegister(width), width)),
    low: context.let(context.readRegister(GPR.RAX, width)),
  };
}

function writeAccumulatorPair(context: SemanticsContext, width: Width, high: I64, low: I64): void {
  context.writeRegister(GPR.RAX, width, low);
  context.writeRegister(upperRegister(width), width, high);
}

/** Upper 64 bits of the unsigned product, from four products of 32-bit halves. */
function multiplyHighUnsigned(context: SemanticsContext, a: I64, b: I64): I64 {
  const lowHalf = (value: I64): I64 => context.let(value.zeroExtendFrom(32));
  const highHalf = (value: I64): I64 => context.let(value.shiftRightUnsigned(32n));
  const aLow = lowHalf(a);
  const aHigh = highHalf(a);
  const bLow = lowHalf(b);
  const bHigh = highHalf(b);
  const cross = context.let(aHigh.multiply(bLow).add(aLow.multiply(bLow).shiftRightUnsigned(32n)));
  const middle = context.let(aLow.multiply(bHigh).add(cross.zeroExtendFrom(32)));
  return context.let(
    aHigh.multiply(bHigh).add(cross.shiftRightUnsigned(32n)).add(middle.shiftRightUnsigned(32n)),
  );
}

/** A negative factor counts as 2^64 too much in the unsigned product. */
function multiplyHighSigned(context: SemanticsContext, a: I64, b: I64): I64 {
  const excess = signMask(a, 64).and(b).add(signMask(b, 64).and(a));
  return context.let(multiplyHighUnsigned(context, a, b).subtract(excess));
}

interface Product {
  high: I64;
  low: I64;
}

function multiply(context: SemanticsContext, width: Width, signed: boolean, a: I64, b: I64): Product {
  const low = context.let(a.multiply(b));
  if (width === 64) {
    const high = signed ? multiplyHighSigned(context, a, b) : multiplyHighUnsigned(context, a, b);
    return { high, low };
  }
  return { high: context.let(low.shiftRightUnsigned(BigInt(width))), low };
}

/** Whether the upper half says more than the lower half does when it is zero- or sign-extended. */
function upperHalfMatters(width: Width, signed: boolean, { high, low }: Product): I32 {
  if (!signed) return high.zeroExtendFrom(width).notEquals(0n);
  return width === 64 ? high.notEquals(signMask(low, 64)) : low.signExtendFrom(width).notEquals(low);
}

/** CF = OF = the upper half matters. The undefined SF, ZF, AF and PF are kept (see `SEMANTICS`). */
function setProductFlags(context: SemanticsContext, overflow: I32): void {
  const condition = context.letCondition(overflow);
  context.flags.set({ carry: condition, overflow: condition });
}

export const mul: Semantics = (context) => {
  const { width } = context;
  const factor = context.read(0);
  const accumulator = context.let(context.readRegister(GPR.RAX, width));
  const product = multiply(context, width, false, accumulator, factor);
  writeAccumulatorPair(context, width, product.high, product.low);
  setProductFlags(context, upperHalfMatters(width, false, product));
};

/** IMUL with one operand (rDX:rAX), two (r, r/m) or three (r, r/m, imm). */
export const imul: Semantics = (context) => {
  const { width } = context;
  const operands = context.encoding.operands.length;
  if (operands === 1) {
    const factor = context.readSigned(0);
    const accumulator = context.let(context.readRegister(GPR.RAX, width).signExtendFrom(width));
    const product = multiply(context, width, true, accumulator, factor);
    writeAccumulatorPair(context, width, product.high, product.low);
    setProductFlags(context, upperHalfMatters(width, true, product));
    return;
  }
  const a = context.readSigned(operands === 2 ? 0 : 1);
  const b = context.readSigned(operands === 2 ? 1 : 2);
  const product = multiply(context, width, true, a, b);
  context.write(0, product.low);
  setProductFlags(context, upperHalfMatters(width, true, product));
};

interface Division {
  quotient: I64;
  remainder: I64;
}

/** high:low / divisor, all unsigned and 64 bits wide, with divisor > high. */
function divideUnsigned128(context: SemanticsContext, high: I64, low: I64, divisor: I64): Division {
  const quotient = context.variable(ZERO);
  const remainder = context.variable(ZERO);
  context.if(
    high.isZero(),
    () => {
      quotient.set(low.divideUnsigned(divisor));
      remainder.set(low.remainderUnsigned(divisor));
    },
    () => {
      const exact = context.divideUnsigned128(high, low, divisor);
      quotient.set(exact.quotient);
      remainder.set(exact.remainder);
    },
  );
  return { quotient: context.let(quotient.get()), remainder: context.let(remainder.get()) };
}

/** What DIV and IDIV leave in the undefined flags (see `SEMANTICS`). */
const setQuotientFlags = (context: SemanticsContext): void =>
  context.flags.set({ zero: i32(0), sign: i32(0), parity: i32(0), adjust: i32(1) });

/** DIV: #DE exactly when the upper half of the dividend is not below the divisor, which covers a divisor of 0. */
export const div: Semantics = (context) => {
  const { width } = context;
  const divisor = context.read(0);
  const { high, low } = readAccumulatorPair(context, width);
  context.if(high.lessThanUnsigned(divisor).not(), () => context.raise(VECTOR.DE));
  if (width === 64) {
    const { quotient, remainder } = divideUnsigned128(context, high, low, divisor);
    writeAccumulatorPair(context, width, remainder, quotient);
  } else {
    const dividend = context.let(high.shiftLeft(BigInt(width)).or(low));
    const quotient = context.let(dividend.divideUnsigned(divisor));
    const remainder = context.let(dividend.remainderUnsigned(divisor));
    writeAccumulatorPair(context, width, remainder, quotient);
  }
  setQuotientFlags(context);
};

const MOST_NEGATIVE = i64(-(1n << 63n));

/** IDIV of a dividend that fits in 64 bits. */
function divideSignedNarrow(context: SemanticsContext, width: 8 | 16 | 32, divisor: I64): void {
  const { high, low } = readAccumulatorPair(context, width);
  const joined = high.shiftLeft(BigInt(width)).or(low);
  const dividend = context.let(joined.signExtendFrom(2 * width));
  const outOfRange = width === 32 ? divisor.equals(-1n).and(dividend.equals(MOST_NEGATIVE)) : undefined;
  const noQuotient = outOfRange === undefined ? divisor.isZero() : divisor.isZero().or(outOfRange);
  context.if(noQuotient, () => context.raise(VECTOR.DE));
  const quotient = context.let(dividend.divideSigned(divisor));
  context.if(quotient.signExtendFrom(width).notEquals(quotient), () => context.raise(VECTOR.DE));
  const remainder = context.let(dividend.remainderSigned(divisor));
  writeAccumulatorPair(context, width, remainder, quotient);
}

/** IDIV r/m64 by way of magnitudes: the quotient's sign is that of both signs, the remainder's the dividend's. */
function divideSignedWide(context: SemanticsContext, divisor: I64): void {
  const { high, low } = readAccumulatorPair(context, 64);
  const dividendSign = context.let(signMask(high, 64));
  const divisorSign = context.let(signMask(divisor, 64));
  const quotientSign = context.let(dividendSign.xor(divisorSign));
  const applySign = (value: I64, sign: I64): I64 => context.let(value.xor(sign).subtract(sign));

  const lowMagnitude = applySign(low, dividendSign);
  const negatedHigh = high.complement().add(low.isZero().extendUnsigned());
  const highMagnitude = context.let(select(signBit(dividendSign, 64), negatedHigh, high));
  const divisorMagnitude = applySign(divisor, divisorSign);
  context.if(highMagnitude.lessThanUnsigned(divisorMagnitude).not(), () => context.raise(VECTOR.DE));

  const magnitude = divideUnsigned128(context, highMagnitude, lowMagnitude, divisorMagnitude);
  // The largest magnitude is 2^63 for a negative quotient and 2^63 - 1 for a positive one.
  const largest = MOST_NEGATIVE.add(quotientSign.complement());
  context.if(magnitude.quotient.greaterThanUnsigned(largest), () => context.raise(VECTOR.DE));
  const quotient = applySign(magnitude.quotient, quotientSign);
  const remainder = applySign(magnitude.remainder, dividendSign);
  writeAccumulatorPair(context, 64, remainder, quotient);
}

export const idiv: Semantics = (context) => {
  const { width } = context;
  const divisor = context.readSigned(0);
  if (width === 64) divideSignedWide(context, divisor);
  else divideSignedNarrow(context, width, divisor);
  setQuotientFlags(context);
};
