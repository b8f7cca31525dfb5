/**
 * What an instruction's meaning is written against. A semantics function is called once per shape of an
 * instruction (semantics × widths × operand kinds); it does not execute anything but builds the WebAssembly that
 * will. The same function serves the interpreter tier (operands looked up in the decoded record) and the translator
 * tier (registers in locals).
 *
 * Rules:
 * - Values are `I64`, zero-extended from their width unless said otherwise. Results may carry rubbish above their
 *   width: whoever writes or compares them truncates (`write`, `writeRegister` and the flag functions do).
 * - An expression is evaluated at each use. `read`, `pop`, `let` return values that are already bound to a local and
 *   may be used freely.
 * - Precise faults: everything that can fault (memory reads, write probes, `raise`) comes before the first change of
 *   a register, flag or memory. `read` of an operand with access `rw` in memory probes for write; `write` of a
 *   `w` operand in memory probes when it is called, so it comes before flags and other registers are changed.
 * - Statements are emitted in the order of the calls.
 */

import type { Encoding } from '../../instruction-set/encoding.js';
import type { I32, I64 } from '../../wasm/expression.js';

export type Width = 8 | 16 | 32 | 64;

/** A value that may be changed, for loops and conditional results. */
export interface Variable {
  get(): I64;
  set(value: I64): void;
}

/** A translated and probed place in memory. */
export interface MemoryReference {
  /** Zero-extended value of `width` bits at `byteOffset` within the reference, bound to a local. */
  read(width: Width, byteOffset?: number): I64;
  write(width: Width, value: I64, byteOffset?: number): void;
}

export interface FlagsContext {
  /** Flags of `a + b (+ carry)`; `sum` may carry rubbish above `width`. All values are zero-extended. */
  afterAdd(width: Width, a: I64, b: I64, sum: I64): void;
  /** Flags of `a - b (- borrow)`. */
  afterSubtract(width: Width, a: I64, b: I64, difference: I64): void;
  /** As `afterAdd` with b = 1, CF kept. */
  afterIncrement(width: Width, a: I64, sum: I64): void;
  afterDecrement(width: Width, a: I64, difference: I64): void;
  /** SF, ZF, PF from the result; CF = OF = 0; AF = 0 (undefined by the manual). */
  afterLogic(width: Width, result: I64): void;
  /**
   * Sets SF, ZF and PF from `result`, and CF, OF, AF from conditions (0 or 1). The omitted ones keep their value.
   */
  set(flags: {
    result?: { width: Width; value: I64 };
    carry?: I32;
    overflow?: I32;
    adjust?: I32;
    zero?: I32;
    sign?: I32;
    parity?: I32;
  }): void;
  /** Current values as conditions (0 or 1). */
  carry(): I32;
  parity(): I32;
  adjust(): I32;
  zero(): I32;
  sign(): I32;
  overflow(): I32;
  /** The condition of Jcc/SETcc/CMOVcc by its 4-bit code (SDM Vol. 1, Appendix B). */
  condition(code: number): I32;
  /** Direction flag as a condition. */
  direction(): I32;
  /** RFLAGS with every flag in place (RF and VM as stored). */
  image(): I64;
  /** Replaces the flags selected by the constant `mask` with those of `image`. */
  load(image: I64, mask: number): void;
}

export interface SemanticsContext {
  readonly encoding: Encoding;
  /** Width of operand 0 when it has one, otherwise the operand size. */
  readonly width: Width;
  readonly operandSize: 16 | 32 | 64;
  readonly addressSize: 16 | 32 | 64;
  readonly codeSize: 16 | 32 | 64;
  readonly flags: FlagsContext;

  /** Width in bits of operand `index`. */
  widthOf(index: number): Width;
  isMemory(index: number): boolean;
  /** Operand value, zero-extended from its width; sign-extended immediates are extended to the operand's width. */
  read(index: number): I64;
  /** Operand value sign-extended from its width to 64 bits. */
  readSigned(index: number): I64;
  /** Stores the low bits of `value`; a 32-bit register write clears the upper half. */
  write(index: number, value: I64): void;
  /** Probes memory operand `index` and returns the place, for accesses that `read`/`write` do not fit (m128, far pointers). */
  reference(index: number, widthInBits: number, access: 'r' | 'w' | 'rw'): MemoryReference;
  /** Effective address (offset, without segment base) of memory operand `index`, truncated to the address size. */
  address(index: number): I64;
  /** As `reference`, `byteDisplacement` beyond the operand's effective address (bit strings of BT m, r). */
  referenceAt(
    index: number,
    byteDisplacement: I64,
    widthInBits: number,
    access: 'r' | 'w' | 'rw',
  ): MemoryReference;

  /** Register by number (GPR.RAX …; 8-bit high bytes 16–19), zero-extended. */
  readRegister(register: number, width: Width): I64;
  writeRegister(register: number, width: Width, value: I64): void;

  /**
   * Probes `widthInBits` bits at segment:offset; `offset` is truncated to the address size.
   * 'effective' is the instruction's data segment after overrides (DS by default), as string sources use it.
   */
  memory(
    segment: number | 'effective',
    offset: I64,
    widthInBits: number,
    access: 'r' | 'w' | 'rw',
  ): MemoryReference;
  /** Probes and writes below RSP, then lowers RSP. `width` is 16, 32 or 64. */
  push(value: I64, width: Width): void;
  /** Reads at RSP without changing it. */
  peekStack(width: Width, byteOffset?: number): I64;
  /** Adds to RSP (stack-address-size wide). */
  adjustStack(bytes: I64 | bigint): void;

  let(value: I64): I64;
  letCondition(value: I32): I32;
  variable(initial: I64): Variable;
  if(condition: I32, whenTrue: () => void, otherwise?: () => void): void;
  /** Ends the instruction with a fault; nothing may have been changed before. */
  raise(vector: number, errorCode?: number): void;

  /** Quotient and remainder of high:low / divisor, unsigned; the caller has checked divisor > high. */
  divideUnsigned128(high: I64, low: I64, divisor: I64): { quotient: I64; remainder: I64 };

  /** RIP of the next instruction. */
  readonly nextInstruction: I64;
  /** Jumps to the target encoded in the instruction. Ends the instruction. */
  jumpRelative(): void;
  /** Jumps to the encoded target when the condition holds, otherwise goes on with the next instruction. */
  jumpRelativeIf(condition: I32): void;
  /** Jumps to a computed RIP (truncated to the operand size; #GP(0) when not canonical). Ends the instruction. */
  jump(target: I64): void;

  /**
   * Body of a string instruction. Without REP it runs once. With REP it runs while the count register is not zero,
   * decrementing it after each iteration, interruptible between iterations; with `zeroFlagDecides` (CMPS, SCAS)
   * REPE/REPNE also stop on ZF.
   */
  repeat(body: () => void, zeroFlagDecides: boolean): void;
}

/** Builds the meaning of one instruction. */
export type Semantics = (context: SemanticsContext) => void;
