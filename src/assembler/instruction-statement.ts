/** An instruction as written: mnemonic, prefixes, operands, and the surroundings that its encoding depends on. */

import type { Operand } from './operand.js';
import type { Token } from './token.js';
import type { AddressBase } from './value.js';

export type CodeSize = 16 | 32 | 64;

export interface Prefixes {
  /** 0xF3, 0xF2 or 0. */
  readonly repeat: number;
  readonly lock: boolean;
  /** WAIT written as a prefix. */
  readonly wait: boolean;
  /** Segment register number, or -1. */
  readonly segment: number;
  /** From O16, O32, O64 and A16, A32, A64; 0 without one. */
  readonly operandSize: number;
  readonly addressSize: number;
}

export const NO_PREFIXES: Prefixes = {
  repeat: 0,
  lock: false,
  wait: false,
  segment: -1,
  operandSize: 0,
  addressSize: 0,
};

export interface InstructionStatement {
  /** Upper case. */
  readonly mnemonic: string;
  readonly token: Token;
  readonly prefixes: Prefixes;
  readonly operands: readonly Operand[];
}

export interface EncodingContext {
  readonly codeSize: CodeSize;
  readonly defaultRelative: boolean;
  /** Section and offset of the instruction; the base is undefined in an ABSOLUTE segment. */
  readonly base: AddressBase | undefined;
  readonly offset: number;
  /** The branch must not be short. */
  readonly mustStayLong: boolean;
}
