/**
 * A decoded instruction: a flat record, filled in place by the decoder so that decoding allocates nothing.
 * Operand `n` of the instruction is described by `encoding.operands[n]`; its register number, when it is a
 * register, is `register(n)`. There is at most one ModRM/moffs memory operand.
 */

import type { Encoding } from './encoding.js';

/** Bits of `Instruction.prefixes`. */
export const PREFIX = {
  LOCK: 1 << 0,
  REPNE: 1 << 1, // F2
  REP: 1 << 2, // F3
  OPERAND_SIZE: 1 << 3, // 66
  ADDRESS_SIZE: 1 << 4, // 67
  REX: 1 << 5,
} as const;

export const NO_REGISTER = -1;
/** `baseRegister` of a RIP-relative (or EIP-relative) memory operand. */
export const RIP_BASE = 16;

export class Instruction {
  encoding!: Encoding;
  /** Bytes, 1 … 15. */
  length = 0;
  /** Code size it was decoded for: 16, 32 or 64. */
  codeSize = 64;
  prefixes = 0;
  /** REX byte with its 4x, or 0. */
  rex = 0;
  /** Effective operand and address size in bits. */
  operandSize = 32;
  addressSize = 64;
  /** Segment override prefix that is in force, or -1 (in 64-bit code only FS and GS count). */
  segmentOverride = NO_REGISTER;

  /** Register number of operand 0 … 3 in its class, -1 when that operand is no register. */
  register0 = NO_REGISTER;
  register1 = NO_REGISTER;
  register2 = NO_REGISTER;
  register3 = NO_REGISTER;

  /** Memory operand (ModRM or moffs): valid when `memoryOperand` >= 0. */
  memoryOperand = -1;
  /** Segment register used by the memory operand, after defaults (SS for rSP/rBP bases) and override. */
  segment: number = NO_REGISTER;
  baseRegister = NO_REGISTER;
  indexRegister = NO_REGISTER;
  /** Index shift: 0 … 3. */
  scale = 0;
  /** Signed 32-bit displacement; moffs64 has its upper half in `displacementHigh`. */
  displacement = 0;
  displacementHigh = 0;
  /** Size in bytes of the displacement as encoded: 0, 1, 2, 4, 8. */
  displacementSize = 0;

  /** First immediate or branch displacement, sign- or zero-extended to 64 bits by its operand form. */
  immediateLow = 0;
  immediateHigh = 0;
  /** Second immediate (ENTER) or the selector of a far pointer. */
  secondImmediate = 0;

  /** Register number of operand `index` in its class, -1 when it is none. */
  register(index: number): number {
    switch (index) {
      case 0:
        return this.register0;
      case 1:
        return this.register1;
      case 2:
        return this.register2;
      default:
        return this.register3;
    }
  }

  /** The first immediate or branch displacement as a signed 64-bit value. */
  get immediate(): bigint {
    return (BigInt(this.immediateHigh) << 32n) | BigInt(this.immediateLow >>> 0);
  }

  /** An independent copy, for keeping past the next decode into this object. */
  clone(): Instruction {
    return Object.assign(new Instruction(), this);
  }
}
