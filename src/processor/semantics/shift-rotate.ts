/**
 * Shifts and rotates (SDM Vol. 1, 7.3.6 Shift and Rotate Instructions). Counts are taken modulo 32, or 64 for 64-bit
 * operands; a count of 0 leaves every flag. All results are written so that a count of 0 needs no case of its own:
 * `x >> (64 - count)` is spelled `x >> 1 >> (63 - count)`, because wasm takes its counts modulo 64.
 */

import { type I32, type I64, i32, i64 } from '../../wasm/expression.js';
import type { FlagsContext, Semantics, SemanticsContext, Width } from './context.js';
import { bit, constantOf, fromCondition, signBit } from './values.js';

type FlagChanges = Parameters<FlagsContext['set']>[0];

/** The count operand masked; the 1 of the short forms is known while building. */
function readCount(context: SemanticsContext, operand: number): I64 {
  if (context.encoding.operands[operand]?.text === '1') return i64(1n);
  const count = context.read(operand);
  const mask = context.width === 64 ? 63n : 31n;
  const known = constantOf(count);
  return known === undefined ? context.let(count.and(mask)) : i64(known & mask);
}

/** Sets flags unless `count` is 0. */
function setFlagsIfCounted(context: SemanticsContext, count: I64, changes: () => FlagChanges): void {
  const known = constantOf(count);
  if (known === 0n) return;
  if (known !== undefined) context.flags.set(changes());
  else context.if(count.isZero().not(), () => context.flags.set(changes()));
}

/** `value << count` or `>> count` for a complementary count `64 - count`, 0 for count = 0. */
const shiftRightByRest = (value: I64, count: I64): I64 =>
  value.shiftRightUnsigned(1n).shiftRightUnsigned(i64(63n).subtract(count));
const shiftLeftByRest = (value: I64, count: I64): I64 =>
  value.shiftLeft(1n).shiftLeft(i64(63n).subtract(count));

/** The last bit shifted out to the right. */
const lastOutRight = (value: I64, count: I64): I32 => bit(value, count.subtract(1n));

export const shl: Semantics = (context) => {
  const { width } = context;
  const value = context.read(0);
  const count = readCount(context, 1);
  const result = context.let(value.shiftLeft(count));
  context.write(0, result);
  setFlagsIfCounted(context, count, () => {
    const carry = context.letCondition(
      width === 64 ? bit(value, i64(64n).subtract(count)) : bit(result, width),
    );
    return {
      result: { width, value: result },
      carry,
      overflow: carry.xor(signBit(result, width)),
    };
  });
};

export const shr: Semantics = (context) => {
  const { width } = context;
  const value = context.read(0);
  const count = readCount(context, 1);
  const result = context.let(value.shiftRightUnsigned(count));
  context.write(0, result);
  setFlagsIfCounted(context, count, () => ({
    result: { width, value: result },
    carry: lastOutRight(value, count),
    overflow: signBit(value, width),
  }));
};

export const sar: Semantics = (context) => {
  const { width } = context;
  const value = context.readSigned(0);
  const count = readCount(context, 1);
  const result = context.let(value.shiftRightSigned(count));
  context.write(0, result);
  setFlagsIfCounted(context, count, () => ({
    result: { width, value: result },
    carry: lastOutRight(value, count),
    overflow: i32(0),
  }));
};

/** ROL and ROR. The carry follows the result even when the count is a multiple of the width. */
function rotate(direction: 'left' | 'right'): Semantics {
  return (context) => {
    const { width } = context;
    const value = context.read(0);
    const count = readCount(context, 1);
    const result = context.let(rotated(context, value, count, direction));
    context.write(0, result);
    setFlagsIfCounted(context, count, () => {
      const top = signBit(result, width);
      const carry = direction === 'left' ? bit(result, 0) : top;
      const other = direction === 'left' ? top : bit(result, width - 2);
      return { carry, overflow: carry.xor(other) };
    });
  };
}

function rotated(context: SemanticsContext, value: I64, count: I64, direction: 'left' | 'right'): I64 {
  const { width } = context;
  if (width === 64) return direction === 'left' ? value.rotateLeft(count) : value.rotateRight(count);
  const distance = context.let(count.and(BigInt(width - 1)));
  const rest = i64(BigInt(width)).subtract(distance);
  return direction === 'left'
    ? value.shiftLeft(distance).or(value.shiftRightUnsigned(rest))
    : value.shiftRightUnsigned(distance).or(value.shiftLeft(rest));
}

export const rol = rotate('left');
export const ror = rotate('right');

/** The count of RCL and RCR: the ring has width + 1 bits, so byte and word counts go modulo 9 and 17. */
function ringCount(context: SemanticsContext, operand: number): I64 {
  const count = readCount(context, operand);
  const { width } = context;
  if (width === 64 || width === 32) return count;
  const ring = BigInt(width + 1);
  const known = constantOf(count);
  return known === undefined ? context.let(count.remainderUnsigned(ring)) : i64(known % ring);
}

export const rcl: Semantics = (context) => {
  const { width } = context;
  const value = context.read(0);
  const count = ringCount(context, 1);
  const carryIn = context.let(fromCondition(context.flags.carry()));
  let result: I64;
  let carryOut: () => I32;
  if (width === 64) {
    const fromCarry = carryIn.shiftLeft(count).shiftRightUnsigned(1n);
    const fromTop = shiftRightByRest(value.shiftRightUnsigned(1n), count);
    result = context.let(value.shiftLeft(count).or(fromCarry).or(fromTop));
    carryOut = () => bit(value, i64(64n).subtract(count));
  } else {
    const ring = context.let(value.or(carryIn.shiftLeft(BigInt(width))));
    const rest = i64(BigInt(width + 1)).subtract(count);
    result = context.let(ring.shiftLeft(count).or(ring.shiftRightUnsigned(rest)));
    carryOut = () => bit(result, width);
  }
  context.write(0, result);
  setFlagsIfCounted(context, count, () => {
    const carry = context.letCondition(carryOut());
    return { carry, overflow: carry.xor(signBit(result, width)) };
  });
};

export const rcr: Semantics = (context) => {
  const { width } = context;
  const value = context.read(0);
  const count = ringCount(context, 1);
  const carryIn = context.let(fromCondition(context.flags.carry()));
  let result: I64;
  if (width === 64) {
    const fromCarry = shiftLeftByRest(carryIn, count);
    const fromBottom = shiftLeftByRest(value.shiftLeft(1n), count);
    result = context.let(value.shiftRightUnsigned(count).or(fromCarry).or(fromBottom));
  } else {
    const ring = context.let(value.or(carryIn.shiftLeft(BigInt(width))));
    const rest = i64(BigInt(width + 1)).subtract(count);
    result = context.let(ring.shiftRightUnsigned(count).or(ring.shiftLeft(rest)));
  }
  context.write(0, result);
  setFlagsIfCounted(context, count, () => ({
    carry: lastOutRight(value, count),
    overflow: signBit(result, width).xor(bit(result, width - 2)),
  }));
};

/**
 * SHLD and SHRD. A 16-bit operand with a count above 16 is undefined by the manual: the bits of the destination come
 * round again, as they do in silicon.
 */
function doubleShift(direction: 'left' | 'right'): Semantics {
  return (context) => {
    const { width } = context;
    const value = context.read(0);
    const filler = context.read(1);
    const count = readCount(context, 2);
    const left = direction === 'left';
    let result: I64;
    let carry: () => I32;
    if (width === 64) {
      result = left
        ? value.shiftLeft(count).or(shiftRightByRest(filler, count))
        : value.shiftRightUnsigned(count).or(shiftLeftByRest(filler, count));
      carry = () => (left ? bit(value, i64(64n).subtract(count)) : lastOutRight(value, count));
    } else {
      const chain = context.let(chained(value, filler, width, left));
      // Moving left, the destination lies at bit 32 of the chain; moving right, at bit 0.
      result = left ? chain.shiftLeft(count).shiftRightUnsigned(32n) : chain.shiftRightUnsigned(count);
      carry = () => (left ? bit(chain, i64(BigInt(32 + width)).subtract(count)) : lastOutRight(chain, count));
    }
    const shifted = context.let(result);
    context.write(0, shifted);
    setFlagsIfCounted(context, count, () => ({
      result: { width, value: shifted },
      carry: carry(),
      overflow: signBit(shifted.xor(value), width),
    }));
  };
}

/** destination:filler for 32 bits, destination:filler:destination for 16, in the order of the shift. */
function chained(value: I64, filler: I64, width: Width, left: boolean): I64 {
  if (width === 32) return left ? value.shiftLeft(32n).or(filler) : filler.shiftLeft(32n).or(value);
  return value.shiftLeft(32n).or(filler.shiftLeft(16n)).or(value);
}

export const shld = doubleShift('left');
export const shrd = doubleShift('right');
