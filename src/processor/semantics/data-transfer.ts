/** Data transfer instructions (SDM Vol. 1, 7.3.1 Data Transfer Instructions), without the stack. */

import { GPR } from '../../architecture/registers.js';
import { select } from '../../wasm/expression.js';
import type { Semantics, SemanticsContext, Width } from './context.js';
import { fromCondition, signMask, swapBytes, ZERO } from './values.js';

export const mov: Semantics = (context) => context.write(0, context.read(1));

/** MOVZX: `read` extends with zeros already. */
export const movzx: Semantics = mov;

/** MOVSX and MOVSXD. */
export const movsx: Semantics = (context) => context.write(0, context.readSigned(1));

export const movbe: Semantics = (context) => {
  const value = context.read(1);
  context.write(
    0,
    swapBytes(value, context.width, (v) => context.let(v)),
  );
};

export const xchg: Semantics = (context) => {
  const first = context.read(0);
  const second = context.read(1);
  context.write(0, second);
  context.write(1, first);
};

export const lea: Semantics = (context) => context.write(0, context.address(1));

/**
 * CMOVcc. The source is read, and may fault, whatever the condition; a 32-bit destination has its upper half cleared
 * even when the condition does not hold.
 */
export function cmov(code: number): Semantics {
  return (context) => {
    const source = context.read(1);
    const destination = context.read(0);
    context.write(0, select(context.flags.condition(code), source, destination));
  };
}

export function setcc(code: number): Semantics {
  return (context) => context.write(0, fromCondition(context.flags.condition(code)));
}

/** BSWAP of a 16-bit register is undefined by the manual; silicon gives 0. */
export const bswap: Semantics = (context) => {
  if (context.width === 16) context.write(0, ZERO);
  else
    context.write(
      0,
      swapBytes(context.read(0), context.width, (v) => context.let(v)),
    );
};

/** CBW, CWDE, CDQE: the accumulator's low half sign-extended to `width`. */
export function extendAccumulator(width: 16 | 32 | 64): Semantics {
  const half = (width / 2) as Width;
  return (context) =>
    context.writeRegister(GPR.RAX, width, context.readRegister(GPR.RAX, half).signExtendFrom(half));
}

/** CWD, CDQ, CQO: rDX filled with the sign of rAX. */
export function extendIntoData(width: 16 | 32 | 64): Semantics {
  return (context) =>
    context.writeRegister(GPR.RDX, width, signMask(context.readRegister(GPR.RAX, width), width));
}

/** XLAT: AL = DS:[rBX + AL]. */
export const xlat: Semantics = (context: SemanticsContext) => {
  const table = context.readRegister(GPR.RBX, context.addressSize);
  const offset = table.add(context.readRegister(GPR.RAX, 8));
  context.writeRegister(GPR.RAX, 8, context.memory('effective', offset, 8, 'r').read(8));
};
