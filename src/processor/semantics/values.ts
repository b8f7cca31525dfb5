/** Small expressions that several families of semantics share. */

import type { I32 } from '../../wasm/expression.js';
import { type I64, i64 } from '../../wasm/expression.js';
import type { Width } from './context.js';

/** Bit `position` of `value` as a condition (0 or 1). */
export function bit(value: I64, position: I64 | number): I32 {
  const count = typeof position === 'number' ? BigInt(position) : position;
  return value.shiftRightUnsigned(count).wrap().and(1);
}

/** The most significant bit of the low `width` bits of `value`. */
export function signBit(value: I64, width: Width): I32 {
  return bit(value, width - 1);
}

/** The value when it is known while the code is built, so that decisions on it cost nothing at run time. */
export function constantOf(value: I64): bigint | undefined {
  return value.node.kind === 'constant' ? BigInt.asUintN(64, value.node.value) : undefined;
}

/** The low 16, 32 or 64 bits of `value` with their bytes in reverse order; `value` is bound to a local. */
export function swapBytes(value: I64, width: Width, bind: (value: I64) => I64): I64 {
  const swapNeighbours = (v: I64, bits: bigint, mask: bigint): I64 =>
    v.and(mask).shiftLeft(bits).or(v.shiftRightUnsigned(bits).and(mask));
  const bytes = bind(swapNeighbours(value, 8n, 0x00ff_00ff_00ff_00ffn));
  const words = bind(swapNeighbours(bytes, 16n, 0x0000_ffff_0000_ffffn));
  return words.rotateLeft(32n).shiftRightUnsigned(BigInt(64 - width));
}

/** A condition as the integer 0 or 1. */
export function fromCondition(condition: I32): I64 {
  return condition.extendUnsigned();
}

/** `-1` when the low `width` bits of `value` are negative, otherwise 0. */
export function signMask(value: I64, width: Width): I64 {
  return value.signExtendFrom(width).shiftRightSigned(63n);
}

export const ZERO = i64(0n);
