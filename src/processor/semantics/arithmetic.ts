/** Binary arithmetic without multiplication and division (SDM Vol. 1, 7.3.2 Binary Arithmetic Instructions). */

import { GPR } from '../../architecture/registers.js';
import { VECTOR } from '../../architecture/vectors.js';
import type { I64 } from '../../wasm/expression.js';
import type { Semantics, SemanticsContext } from './context.js';
import { fromCondition, ZERO } from './values.js';

const carryIn = (context: SemanticsContext): I64 => context.let(fromCondition(context.flags.carry()));

export const add: Semantics = (context) => {
  const a = context.read(0);
  const b = context.read(1);
  const sum = context.let(a.add(b));
  context.write(0, sum);
  context.flags.afterAdd(context.width, a, b, sum);
};

export const adc: Semantics = (context) => {
  const a = context.read(0);
  const b = context.read(1);
  const sum = context.let(a.add(b).add(carryIn(context)));
  context.write(0, sum);
  context.flags.afterAdd(context.width, a, b, sum);
};

export const sub: Semantics = (context) => {
  const a = context.read(0);
  const b = context.read(1);
  const difference = context.let(a.subtract(b));
  context.write(0, difference);
  context.flags.afterSubtract(context.width, a, b, difference);
};

export const sbb: Semantics = (context) => {
  const a = context.read(0);
  const b = context.read(1);
  const difference = context.let(a.subtract(b).subtract(carryIn(context)));
  context.write(0, difference);
  context.flags.afterSubtract(context.width, a, b, difference);
};

export const cmp: Semantics = (context) => {
  const a = context.read(0);
  const b = context.read(1);
  context.flags.afterSubtract(context.width, a, b, context.let(a.subtract(b)));
};

export const inc: Semantics = (context) => {
  const a = context.read(0);
  const sum = context.let(a.add(1n));
  context.write(0, sum);
  context.flags.afterIncrement(context.width, a, sum);
};

export const dec: Semantics = (context) => {
  const a = context.read(0);
  const difference = context.let(a.subtract(1n));
  context.write(0, difference);
  context.flags.afterDecrement(context.width, a, difference);
};

export const neg: Semantics = (context) => {
  const a = context.read(0);
  const difference = context.let(a.negate());
  context.write(0, difference);
  context.flags.afterSubtract(context.width, ZERO, a, difference);
};

/** XADD. The sum is written last, so that XADD of a register with itself leaves it, but to memory first. */
export const xadd: Semantics = (context) => {
  const a = context.read(0);
  const b = context.read(1);
  const sum = context.let(a.add(b));
  if (context.isMemory(0)) {
    context.write(0, sum);
    context.write(1, a);
  } else {
    context.write(1, a);
    context.write(0, sum);
  }
  context.flags.afterAdd(context.width, a, b, sum);
};

/** CMPXCHG: the destination is written in either case, with its old value when the comparison fails. */
export const cmpxchg: Semantics = (context) => {
  const { width } = context;
  const destination = context.read(0);
  const source = context.read(1);
  const accumulator = context.let(context.readRegister(GPR.RAX, width));
  context.if(
    accumulator.equals(destination),
    () => context.write(0, source),
    () => {
      if (context.isMemory(0)) context.write(0, destination);
      context.writeRegister(GPR.RAX, width, destination);
    },
  );
  context.flags.afterSubtract(
    width,
    accumulator,
    destination,
    context.let(accumulator.subtract(destination)),
  );
};

/** CMPXCHG8B and CMPXCHG16B; `width` is that of one half. */
function compareExchangePair(width: 32 | 64): Semantics {
  return (context) => {
    if (width === 64)
      context.if(context.address(0).and(15n).notEquals(0n), () => context.raise(VECTOR.GP, 0));
    const halfInBytes = width / 8;
    const place = context.reference(0, 2 * width, 'rw');
    const low = place.read(width, 0);
    const high = place.read(width, halfInBytes);
    const lowDifference = low.xor(context.readRegister(GPR.RAX, width));
    const highDifference = high.xor(context.readRegister(GPR.RDX, width));
    const equal = context.letCondition(lowDifference.or(highDifference).isZero());
    context.if(
      equal,
      () => {
        place.write(width, context.readRegister(GPR.RBX, width), 0);
        place.write(width, context.readRegister(GPR.RCX, width), halfInBytes);
      },
      () => {
        place.write(width, low, 0);
        place.write(width, high, halfInBytes);
        context.writeRegister(GPR.RAX, width, low);
        context.writeRegister(GPR.RDX, width, high);
      },
    );
    context.flags.set({ zero: equal });
  };
}

export const cmpxchg8b = compareExchangePair(32);
/** CMPXCHG16B faults with #GP(0) when its operand is not aligned to 16 bytes. */
export const cmpxchg16b = compareExchangePair(64);

/** BOUND r, m&m: #BR when the signed index lies outside the bounds in memory. */
export const bound: Semantics = (context) => {
  const width = context.operandSize;
  const index = context.readSigned(0);
  const bounds = context.reference(1, 2 * width, 'r');
  const lower = bounds.read(width, 0).signExtendFrom(width);
  const upper = bounds.read(width, width / 8).signExtendFrom(width);
  const outside = index.lessThanSigned(lower).or(index.greaterThanSigned(upper));
  context.if(outside, () => context.raise(VECTOR.BR));
};
