/** Bit instructions (SDM Vol. 1, 7.3.6 Bit and Byte Instructions) and the counts of bits. */

import { type I64, i32, i64 } from '../../wasm/expression.js';
import type { Semantics, SemanticsContext, Width } from './context.js';
import { bit } from './values.js';

/** What becomes of the word that holds the tested bit; undefined when it stays. */
type Change = (word: I64, mask: I64) => I64;

/**
 * BT, BTS, BTR, BTC. A bit offset in a register may reach any bit of a string in memory, signed; an immediate offset
 * is taken modulo the width. Only CF is changed: ZF by the manual, the undefined ones as silicon does.
 */
function bitTest(change: Change | undefined): Semantics {
  return (context) => {
    const { width } = context;
    const apply = (word: I64, position: I64, write: (value: I64) => void): void => {
      if (change !== undefined) write(context.let(change(word, i64(1n).shiftLeft(position))));
      context.flags.set({ carry: bit(word, position) });
    };
    const positionMask = BigInt(width - 1);
    const isBitString = context.isMemory(0) && context.encoding.operands[1]?.slot === 'reg';
    if (!isBitString) {
      const word = context.read(0);
      const position = context.let(context.read(1).and(positionMask));
      apply(word, position, (value) => context.write(0, value));
      return;
    }
    const offset = context.readSigned(1);
    const position = context.let(offset.and(positionMask));
    const place = context.referenceAt(
      0,
      context.let(offset.subtract(position).shiftRightSigned(3n)),
      width,
      change === undefined ? 'r' : 'rw',
    );
    apply(place.read(width), position, (value) => place.write(width, value));
  };
}

export const bt = bitTest(undefined);
export const bts = bitTest((word, mask) => word.or(mask));
export const btr = bitTest((word, mask) => word.and(mask.complement()));
export const btc = bitTest((word, mask) => word.xor(mask));

/**
 * BSF and BSR: a source of 0 sets ZF and leaves the destination alone, upper half included. `position` may give
 * anything with even parity for 0.
 */
function bitScan(position: (source: I64) => I64): Semantics {
  return (context) => {
    const { width } = context;
    const source = context.read(1);
    const result = context.let(position(source));
    const isZero = context.letCondition(source.isZero());
    context.if(isZero.not(), () => context.write(0, result));
    const clear = i32(0);
    context.flags.set({
      result: { width, value: result },
      zero: isZero,
      carry: clear,
      overflow: clear,
      adjust: clear,
    });
  };
}

export const bsf = bitScan((source) => source.countTrailingZeros().and(63n));
export const bsr = bitScan((source) => i64(63n).subtract(source.countLeadingZeros()).and(63n));

/** POPCNT clears every arithmetic flag but ZF. */
export const popcnt: Semantics = (context) => {
  const source = context.read(1);
  context.write(0, source.populationCount());
  const clear = i32(0);
  context.flags.set({
    zero: source.isZero(),
    carry: clear,
    overflow: clear,
    sign: clear,
    parity: clear,
    adjust: clear,
  });
};

/** LZCNT and TZCNT: CF tells a source of 0, ZF a count of 0. */
function bitCount(count: (source: I64, width: Width) => I64): Semantics {
  return (context: SemanticsContext) => {
    const { width } = context;
    const source = context.read(1);
    const result = context.let(count(source, width));
    context.write(0, result);
    const clear = i32(0);
    context.flags.set({
      zero: result.isZero(),
      carry: source.isZero(),
      sign: clear,
      parity: clear,
      adjust: clear,
    });
  };
}

export const lzcnt = bitCount((source, width) => source.countLeadingZeros().subtract(BigInt(64 - width)));
/** A bit above the width ends the count there; wasm counts 64 for 0 itself. */
export const tzcnt = bitCount((source, width) =>
  (width === 64 ? source : source.or(1n << BigInt(width))).countTrailingZeros(),
);
