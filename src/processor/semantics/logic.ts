/** Logical instructions (SDM Vol. 1, 7.3.5 Logical Instructions) and TEST. */

import type { I64 } from '../../wasm/expression.js';
import type { Semantics } from './context.js';

/** AND, OR, XOR. */
function bitwise(combine: (a: I64, b: I64) => I64): Semantics {
  return (context) => {
    const a = context.read(0);
    const b = context.read(1);
    const result = context.let(combine(a, b));
    context.write(0, result);
    context.flags.afterLogic(context.width, result);
  };
}

export const and = bitwise((a, b) => a.and(b));
export const or = bitwise((a, b) => a.or(b));
export const xor = bitwise((a, b) => a.xor(b));

/** NOT changes no flags. */
export const not: Semantics = (context) => context.write(0, context.read(0).complement());

export const test: Semantics = (context) => {
  const a = context.read(0);
  const b = context.read(1);
  context.flags.afterLogic(context.width, context.let(a.and(b)));
};
