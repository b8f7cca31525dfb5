/** `FlagsContext` on a plain RFLAGS value, by the definitions of the flags. */

import { RFLAGS } from '../../src/architecture/rflags.js';
import type { FlagsContext } from '../../src/processor/semantics/context.js';
import { I32, I64 } from '../../src/wasm/expression.js';
import { ones } from './expression-evaluator.js';

export function evaluatingFlags(
  machine: { rflags: number },
  evaluate: (value: I32 | I64) => bigint,
): FlagsContext {
  const put = (flag: number, on: boolean): void => {
    machine.rflags = on ? machine.rflags | flag : machine.rflags & ~flag;
  };
  const has = (flag: number): I32 => {
    const value = (machine.rflags & flag) !== 0 ? 1n : 0n;
    return new I32({ kind: 'constant', type: 'i32', value });
  };
  const putResult = (width: number, value: bigint): void => {
    const low = BigInt.asUintN(width, value);
    put(RFLAGS.ZF, low === 0n);
    put(RFLAGS.SF, low >> BigInt(width - 1) !== 0n);
    put(RFLAGS.PF, ones(low & 0xffn) % 2 === 0);
  };
  /** Flags of an addition or subtraction by its carries into each bit. */
  const arithmetic = (width: number, a: bigint, b: bigint, result: bigint, subtract: boolean): void => {
    const top = BigInt(width - 1);
    const low = BigInt.asUintN(width, result);
    const out = subtract ? (~a & b) | (~(a ^ b) & low) : (a & b) | ((a | b) & ~low);
    put(RFLAGS.CF, ((out >> top) & 1n) !== 0n);
    put(RFLAGS.AF, ((a ^ b ^ low) & 0x10n) !== 0n);
    const overflow = subtract ? (a ^ b) & (a ^ low) : (a ^ low) & (b ^ low);
    put(RFLAGS.OF, ((overflow >> top) & 1n) !== 0n);
    putResult(width, result);
  };
  const keepingCarry = (change: () => void): void => {
    const carry = machine.rflags & RFLAGS.CF;
    change();
    put(RFLAGS.CF, carry !== 0);
  };
  return {
    afterAdd: (width, a, b, sum) => arithmetic(width, evaluate(a), evaluate(b), evaluate(sum), false),
    afterSubtract: (width, a, b, difference) =>
      arithmetic(width, evaluate(a), evaluate(b), evaluate(difference), true),
    afterIncrement: (width, a, sum) =>
      keepingCarry(() => arithmetic(width, evaluate(a), 1n, evaluate(sum), false)),
    afterDecrement: (width, a, difference) =>
      keepingCarry(() => arithmetic(width, evaluate(a), 1n, evaluate(difference), true)),
    afterLogic: (width, result) => {
      putResult(width, evaluate(result));
      for (const flag of [RFLAGS.CF, RFLAGS.OF, RFLAGS.AF]) put(flag, false);
    },
    set: (flags) => {
      const conditions = (
        [
          [RFLAGS.CF, flags.carry],
          [RFLAGS.OF, flags.overflow],
          [RFLAGS.AF, flags.adjust],
          [RFLAGS.ZF, flags.zero],
          [RFLAGS.SF, flags.sign],
          [RFLAGS.PF, flags.parity],
        ] as const
      ).map(([flag, condition]) => [flag, condition && evaluate(condition)] as const);
      if (flags.result) putResult(flags.result.width, evaluate(flags.result.value));
      for (const [flag, value] of conditions) if (value !== undefined) put(flag, value !== 0n);
    },
    carry: () => has(RFLAGS.CF),
    parity: () => has(RFLAGS.PF),
    adjust: () => has(RFLAGS.AF),
    zero: () => has(RFLAGS.ZF),
    sign: () => has(RFLAGS.SF),
    overflow: () => has(RFLAGS.OF),
    direction: () => has(RFLAGS.DF),
    condition: (code) => {
      const f = (flag: number): boolean => (machine.rflags & flag) !== 0;
      const less = f(RFLAGS.SF) !== f(RFLAGS.OF);
      const table = [
        f(RFLAGS.OF),
        f(RFLAGS.CF),
        f(RFLAGS.ZF),
        f(RFLAGS.CF) || f(RFLAGS.ZF),
        f(RFLAGS.SF),
        f(RFLAGS.PF),
        less,
        less || f(RFLAGS.ZF),
      ];
      const value = table[code >> 1] !== ((code & 1) === 1) ? 1n : 0n;
      return new I32({ kind: 'constant', type: 'i32', value });
    },
    image: () => {
      const value = BigInt(machine.rflags | RFLAGS.FIXED | RFLAGS.IF);
      return new I64({ kind: 'constant', type: 'i64', value });
    },
    load: (image, mask) => {
      machine.rflags = (machine.rflags & ~mask) | (Number(evaluate(image) & 0xffff_ffffn) & mask);
    },
  };
}
