/** Decimal arithmetic of 16- and 32-bit code (SDM Vol. 1, 7.3.3 Decimal Arithmetic Instructions). */

import { GPR, HIGH_BYTE_REGISTER_BASE } from '../../architecture/registers.js';
import { VECTOR } from '../../architecture/vectors.js';
import { select } from '../../wasm/expression.js';
import type { Semantics, SemanticsContext } from './context.js';
import { fromCondition, ZERO } from './values.js';

const AH = HIGH_BYTE_REGISTER_BASE;
const readAl = (context: SemanticsContext) => context.let(context.readRegister(GPR.RAX, 8));

/** The lower decimal digit is out of range or was adjusted before. */
const lowDigitNeedsAdjustment = (context: SemanticsContext) =>
  context.letCondition(
    context.let(context.readRegister(GPR.RAX, 8).and(15n)).greaterThanUnsigned(9n).or(context.flags.adjust()),
  );

/** AAA and AAS: AX changes by ±106h, then the upper digit of AL is cleared. */
function adjustUnpacked(adjustment: bigint): Semantics {
  return (context) => {
    const adjusts = lowDigitNeedsAdjustment(context);
    const accumulator = context.let(context.readRegister(GPR.RAX, 16));
    const adjusted = accumulator.add(select(adjusts, ZERO.add(adjustment), ZERO));
    context.writeRegister(GPR.RAX, 16, adjusted.and(0xff0fn));
    context.flags.set({ adjust: adjusts, carry: adjusts });
  };
}

export const aaa = adjustUnpacked(0x106n);
export const aas = adjustUnpacked(-0x106n);

export const aam: Semantics = (context) => {
  const base = context.read(0);
  context.if(base.isZero(), () => context.raise(VECTOR.DE));
  const al = readAl(context);
  const digit = context.let(al.remainderUnsigned(base));
  context.writeRegister(AH, 8, al.divideUnsigned(base));
  context.writeRegister(GPR.RAX, 8, digit);
  context.flags.set({ result: { width: 8, value: digit } });
};

export const aad: Semantics = (context) => {
  const base = context.read(0);
  const sum = context.readRegister(GPR.RAX, 8).add(context.readRegister(AH, 8).multiply(base));
  const result = context.let(sum.and(0xffn));
  context.writeRegister(GPR.RAX, 16, result);
  context.flags.set({ result: { width: 8, value: result } });
};

/** DAA and DAS: the lower digit is adjusted by 6, the upper by 60h. */
function adjustPacked(direction: 1n | -1n): Semantics {
  return (context) => {
    const al = readAl(context);
    const carry = context.letCondition(context.flags.carry());
    const lowAdjusts = lowDigitNeedsAdjustment(context);
    const highAdjusts = context.letCondition(al.greaterThanUnsigned(0x99n).or(carry));
    const low = select(lowAdjusts, ZERO.add(6n * direction), ZERO);
    const high = select(highAdjusts, ZERO.add(0x60n * direction), ZERO);
    const result = context.let(al.add(low).add(high).and(0xffn));
    context.writeRegister(GPR.RAX, 8, result);
    // Subtracting the lower 6 may borrow without the upper adjustment; adding it can't carry without.
    const borrow = direction === -1n ? highAdjusts.or(lowAdjusts.and(al.lessThanUnsigned(6n))) : highAdjusts;
    context.flags.set({ result: { width: 8, value: result }, adjust: lowAdjusts, carry: borrow });
  };
}

export const daa = adjustPacked(1n);
export const das = adjustPacked(-1n);
/** SALC (undocumented D6): AL = CF ? FFh : 0. */
export const salc: Semantics = (context) =>
  context.writeRegister(GPR.RAX, 8, fromCondition(context.flags.carry()).negate());
