/** String instructions (SDM Vol. 1, 7.3.9 String Operations); INS and OUTS belong to the system. */

import { GPR, SEGMENT } from '../../architecture/registers.js';
import { type I64, i64, select } from '../../wasm/expression.js';
import type { MemoryReference, Semantics, SemanticsContext, Width } from './context.js';

const index = (context: SemanticsContext, register: number): I64 =>
  context.let(context.readRegister(register, context.addressSize));

/** The element at rSI in the data segment or its override. */
const source = (context: SemanticsContext, width: Width): I64 =>
  context.memory('effective', index(context, GPR.RSI), width, 'r').read(width);

/** The element at ES:rDI, which no prefix overrides. */
const destination = (context: SemanticsContext, width: Width, access: 'r' | 'w'): MemoryReference =>
  context.memory(SEGMENT.ES, index(context, GPR.RDI), width, access);

/** Moves the index registers on by one element, upwards or downwards by DF. */
function advance(context: SemanticsContext, width: Width, ...registers: number[]): void {
  const bytes = BigInt(width / 8);
  const step = context.let(select(context.flags.direction(), i64(-bytes), i64(bytes)));
  for (const register of registers) {
    const moved = context.readRegister(register, context.addressSize).add(step);
    context.writeRegister(register, context.addressSize, moved);
  }
}

export function movs(width: Width): Semantics {
  return (context) =>
    context.repeat(() => {
      const value = source(context, width);
      destination(context, width, 'w').write(width, value);
      advance(context, width, GPR.RSI, GPR.RDI);
    }, false);
}

export function stos(width: Width): Semantics {
  return (context) =>
    context.repeat(() => {
      destination(context, width, 'w').write(width, context.readRegister(GPR.RAX, width));
      advance(context, width, GPR.RDI);
    }, false);
}

export function lods(width: Width): Semantics {
  return (context) =>
    context.repeat(() => {
      context.writeRegister(GPR.RAX, width, source(context, width));
      advance(context, width, GPR.RSI);
    }, false);
}

/** When both elements fault, silicon mostly reports the one at ES:rDI. */
export function cmps(width: Width): Semantics {
  return (context) =>
    context.repeat(() => {
      const b = destination(context, width, 'r').read(width);
      const a = source(context, width);
      advance(context, width, GPR.RSI, GPR.RDI);
      context.flags.afterSubtract(width, a, b, context.let(a.subtract(b)));
    }, true);
}

export function scas(width: Width): Semantics {
  return (context) =>
    context.repeat(() => {
      const a = context.let(context.readRegister(GPR.RAX, width));
      const b = destination(context, width, 'r').read(width);
      advance(context, width, GPR.RDI);
      context.flags.afterSubtract(width, a, b, context.let(a.subtract(b)));
    }, true);
}
