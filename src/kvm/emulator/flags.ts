/** Arithmetic flags of results, in plain integers (SDM Vol. 1, 3.4.3.1 Status Flags). Widths in bits. */

import { ARITHMETIC_FLAGS, RFLAGS } from '../../architecture/rflags.js';

const { CF, PF, AF, ZF, SF, OF } = RFLAGS;

const parity = (value: bigint): number => {
  let byte = Number(value & 0xffn);
  byte ^= byte >> 4;
  byte ^= byte >> 2;
  byte ^= byte >> 1;
  return byte & 1 ? 0 : PF;
};

/** The top bit of a value of `width` bits. */
export const signBit = (value: bigint, width: number): boolean => ((value >> BigInt(width - 1)) & 1n) !== 0n;

/** SF, ZF and PF of a result that has been cut to `width`. */
export const resultFlags = (result: bigint, width: number): number =>
  (result === 0n ? ZF : 0) | (signBit(result, width) ? SF : 0) | parity(result);

/** Replaces the flags in `mask`. */
export const withFlags = (flags: number, mask: number, values: number): number => (flags & ~mask) | values;

export interface Computed {
  readonly result: bigint;
  /** Values of all six arithmetic flags. */
  readonly flags: number;
}

/** a + b + carry; operands and result unsigned. */
export function add(a: bigint, b: bigint, carry: bigint, width: number): Computed {
  const sum = a + b + carry;
  const result = BigInt.asUintN(width, sum);
  const flags =
    resultFlags(result, width) |
    (sum !== result ? CF : 0) |
    ((a ^ b ^ result) & 0x10n ? AF : 0) |
    (signBit((a ^ result) & (b ^ result), width) ? OF : 0);
  return { result, flags };
}

/** a - b - borrow. */
export function subtract(a: bigint, b: bigint, borrow: bigint, width: number): Computed {
  const difference = a - b - borrow;
  const result = BigInt.asUintN(width, difference);
  const flags =
    resultFlags(result, width) |
    (difference < 0n ? CF : 0) |
    ((a ^ b ^ result) & 0x10n ? AF : 0) |
    (signBit((a ^ b) & (a ^ result), width) ? OF : 0);
  return { result, flags };
}

/** Flags after AND, OR, XOR, TEST: CF and OF clear; AF, undefined by the manual, clear as on real processors. */
export const logicFlags = (flags: number, result: bigint, width: number): number =>
  withFlags(flags, ARITHMETIC_FLAGS, resultFlags(result, width));

/** A condition code 0 … 15 (SDM Vol. 1, Appendix B EFLAGS Condition Codes). */
export function conditionHolds(code: number, flags: number): boolean {
  const less = ((flags & SF) !== 0) !== ((flags & OF) !== 0);
  let holds: boolean;
  switch (code >> 1) {
    case 0:
      holds = (flags & OF) !== 0;
      break;
    case 1:
      holds = (flags & CF) !== 0;
      break;
    case 2:
      holds = (flags & ZF) !== 0;
      break;
    case 3:
      holds = (flags & (CF | ZF)) !== 0;
      break;
    case 4:
      holds = (flags & SF) !== 0;
      break;
    case 5:
      holds = (flags & PF) !== 0;
      break;
    case 6:
      holds = less;
      break;
    default:
      holds = less || (flags & ZF) !== 0;
  }
  return code & 1 ? !holds : holds;
}
