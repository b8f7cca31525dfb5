/** Near control transfers (SDM Vol. 1, 7.3.8 Control Transfer Instructions); far ones belong to the system. */

import { GPR } from '../../architecture/registers.js';
import { VECTOR } from '../../architecture/vectors.js';
import type { I32, I64 } from '../../wasm/expression.js';
import type { Semantics, SemanticsContext } from './context.js';

const isRelative = (context: SemanticsContext): boolean => context.encoding.operands[0]?.slot === 'relative';

/** #GP(0) for a target that `jump` would refuse, before the stack pointer or memory is changed. */
function requireCanonical(context: SemanticsContext, target: I64): void {
  if (context.operandSize !== 64) return;
  const canonical = target.shiftLeft(16n).shiftRightSigned(16n);
  context.if(canonical.notEquals(target), () => context.raise(VECTOR.GP, 0));
}

export const jmp: Semantics = (context) => {
  if (isRelative(context)) context.jumpRelative();
  else context.jump(context.read(0));
};

export function jcc(code: number): Semantics {
  return (context) => context.jumpRelativeIf(context.flags.condition(code));
}

export const call: Semantics = (context) => {
  if (isRelative(context)) {
    context.push(context.nextInstruction, context.operandSize);
    context.jumpRelative();
    return;
  }
  const target = context.read(0);
  requireCanonical(context, target);
  context.push(context.nextInstruction, context.operandSize);
  context.jump(target);
};

/** RET and RET imm16, which releases that many more bytes of the stack. */
export const ret: Semantics = (context) => {
  const target = context.peekStack(context.operandSize);
  requireCanonical(context, target);
  const bytes = BigInt(context.operandSize / 8);
  context.adjustStack(context.encoding.operands.length === 0 ? bytes : context.read(0).add(bytes));
  context.jump(target);
};

/** LOOP, LOOPE, LOOPNE: the count is rCX in the address size; flags are not changed. */
function countedLoop(alsoRequired?: (context: SemanticsContext) => I32): Semantics {
  return (context) => {
    const count = context.let(context.readRegister(GPR.RCX, context.addressSize).subtract(1n));
    context.writeRegister(GPR.RCX, context.addressSize, count);
    const goesOn = count.zeroExtendFrom(context.addressSize).notEquals(0n);
    context.jumpRelativeIf(alsoRequired === undefined ? goesOn : goesOn.and(alsoRequired(context)));
  };
}

export const loop = countedLoop();
export const loope = countedLoop((context) => context.flags.zero());
export const loopne = countedLoop((context) => context.flags.zero().not());

/** JCXZ, JECXZ, JRCXZ, chosen by the address size. */
export const jcxz: Semantics = (context) =>
  context.jumpRelativeIf(context.readRegister(GPR.RCX, context.addressSize).isZero());
