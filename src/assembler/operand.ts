/** The operands of an instruction as written. */

import type { BaseHint } from './expression.js';
import type { RegisterReference } from './registers.js';
import type { Token } from './token.js';
import type { Value } from './value.js';

interface Modifiers {
  /** Width in bits from a size keyword, 0 when there is none. */
  readonly size: number;
  readonly strict: boolean;
  readonly distance: '' | 'short' | 'near' | 'far';
  /** x87: `fadd to st1`. */
  readonly to: boolean;
  /** First token, for diagnostics. */
  readonly token: Token | undefined;
}

export interface EffectiveAddress {
  readonly value: Value;
  readonly hint: BaseHint;
  /** Segment register number of an override, or -1. */
  readonly segmentOverride: number;
  /** Width in bits from a size keyword inside the brackets, 0 when there is none. */
  readonly displacementSize: number;
  readonly relative: '' | 'rel' | 'abs';
  readonly nosplit: boolean;
}

export type Operand = Modifiers &
  (
    | { readonly kind: 'register'; readonly register: RegisterReference }
    | { readonly kind: 'memory'; readonly address: EffectiveAddress }
    | { readonly kind: 'immediate'; readonly value: Value }
    | { readonly kind: 'far-pointer'; readonly segment: Value; readonly offset: Value }
  );

export type MemoryOperand = Extract<Operand, { kind: 'memory' }>;
export type ImmediateOperand = Extract<Operand, { kind: 'immediate' }>;
export type RegisterOperand = Extract<Operand, { kind: 'register' }>;
