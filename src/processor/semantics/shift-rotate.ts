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

/** OF of the shifts and rotates to the right. */
const topBitsDiffer = (result: I64, width: Width): I32 => signBit(result, width).xor(bit(result, width - 2));

/** AF is undefined after a shift. */
const ADJUST_AFTER_SHIFT = i32(1);

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
      adjust: ADJUST_AFTER_SHIFT,
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
    overflow: topBitsDiffer(result, width),
    adjust: ADJUST_AFTER_SHIFT,
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
    adjust: ADJUST_AFTER_SHIFT,
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
  if (width === 32) {
    const leftwards = direction === 'left' ? count.wrap() : i32(0).subtract(count.wrap());
    return value.wrap().rotateLeft(leftwards).extendUnsigned();
  }
  const distance = context.let(count.and(BigInt(width - 1)));
  const rest = i64(BigInt(width)).subtract(distance);
  return direction === 'left'
    ? value.shiftLeft(distance).or(value.shiftRightUnsigned(rest))
    : value.shiftRightUnsigned(distance).or(value.shiftLeft(rest));
}

export const rol = rotate('left');
export const ror = rotate('right');

/** The distance in the ring of width + 1 bits that RCL and RCR turn: byte and word counts go modulo 9 and 17. */
function ringDistance(context: SemanticsContext, count: I64): I64 {
  const { width } = context;
  if (width === 64 || width === 32) return count;
  const ring = BigInt(width + 1);
  const known = constantOf(count);
  return known === undefined ? context.let(count.remainderUnsigned(ring)) : i64(known % ring);
}

/** The operand with CF above it, turned by `count` within its low width + 1 bits; for widths below 64. */
function turnRing(context: SemanticsContext, value: I64, count: I64, direction: 'left' | 'right'): I64 {
  const { width } = context;
  const ring = context.let(value.or(fromCondition(context.flags.carry()).shiftLeft(BigInt(width))));
  const distance = ringDistance(context, count);
  const rest = i64(BigInt(width + 1)).subtract(distance);
  return direction === 'left'
    ? ring.shiftLeft(distance).or(ring.shiftRightUnsigned(rest))
    : ring.shiftRightUnsigned(distance).or(ring.shiftLeft(rest));
}

export const rcl: Semantics = (context) => {
  const { width } = context;
  const value = context.read(0);
  const count = readCount(context, 1);
  const result = context.let(width === 64 ? turned64() : turnRing(context, value, count, 'left'));
  context.write(0, result);
  setFlagsIfCounted(context, count, () => {
    const carry = context.letCondition(
      width === 64 ? bit(value, i64(64n).subtract(count)) : bit(result, width),
    );
    return { carry, overflow: carry.xor(signBit(result, width)) };
  });

  function turned64(): I64 {
    const fromCarry = fromCondition(context.flags.carry()).shiftLeft(count).shiftRightUnsigned(1n);
    const fromTop = shiftRightByRest(value.shiftRightUnsigned(1n), count);
    return value.shiftLeft(count).or(fromCarry).or(fromTop);
  }
};

export const rcr: Semantics = (context) => {
  const { width } = context;
  const value = context.read(0);
  const count = readCount(context, 1);
  const result = context.let(width === 64 ? turned64() : turnRing(context, value, count, 'right'));
  context.write(0, result);
  setFlagsIfCounted(context, count, () => ({
    carry: width === 64 ? lastOutRight(value, count) : bit(result, width),
    overflow: topBitsDiffer(result, width),
  }));

  function turned64(): I64 {
    const carryAndBottom = fromCondition(context.flags.carry()).or(value.shiftLeft(1n));
    return value.shiftRightUnsigned(count).or(shiftLeftByRest(carryAndBottom, count));
  }
};

/**
 * SHLD and SHRD. A 16-bit operand with a count above 16 is undefined by the manual: as in the silicon that the vectors
 * come from, the filler is shifted in twice and CF is 0. (Others let the destination come round again.)
 */
function doubleShift(direction: 'left' | 'right'): Semantics {
  return (context) => {
    const { width } = context;
    const left = direction === 'left';
    const value = context.read(0);
    const filler = context.read(1);
    const count = readCount(context, 2);
    const result = context.let(left ? shiftedLeft() : shiftedRight());
    context.write(0, result);
    setFlagsIfCounted(context, count, () => {
      const carry = context.letCondition(
        left ? bit(value, i64(BigInt(width)).subtract(count)) : lastOutRight(value, count),
      );
      return {
        result: { width, value: result },
        carry,
        overflow: left ? carry.xor(signBit(result, width)) : topBitsDiffer(result, width),
        adjust: ADJUST_AFTER_SHIFT,
      };
    });

    function shiftedLeft(): I64 {
      if (width === 64) return value.shiftLeft(count).or(shiftRightByRest(filler, count));
      const chain = value.shiftLeft(32n).or(width === 32 ? filler : twice(filler));
      return chain.shiftLeft(count).shiftRightUnsigned(32n);
    }
    function shiftedRight(): I64 {
      if (width === 64) return value.shiftRightUnsigned(count).or(shiftLeftByRest(filler, count));
      const chain = (width === 32 ? filler : twice(filler)).shiftLeft(BigInt(width)).or(value);
      return chain.shiftRightUnsigned(count);
    }
  };
}

/** A 16-bit value repeated in the next 16 bits. */
const twice = (value: I64): I64 => value.shiftLeft(16n).or(value);

export const shld = doubleShift('left');
export const shrd = doubleShift('right');
