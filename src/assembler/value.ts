/**
 * The value of an expression: a 64-bit constant plus multiples of section bases, external symbols and registers.
 * Only what is linear can be relocated or used as an effective address; everything else must be a plain number.
 */

import { fail } from './assembly-error.js';
import type { RegisterReference } from './registers.js';
import type { Token } from './token.js';

/** What an address can be relative to: a section or an external symbol. Identity is what counts. */
export interface AddressBase {
  readonly name: string;
  readonly kind: 'section' | 'external';
}

export interface Term<T> {
  readonly of: T;
  readonly factor: bigint;
}

export interface Value {
  /** In -2^63 … 2^63-1. */
  readonly constant: bigint;
  readonly bases: readonly Term<AddressBase>[];
  readonly registers: readonly Term<RegisterReference>[];
  /** Depends on a symbol whose value no pass has found yet. */
  readonly unknown: boolean;
}

export function constantValue(constant: bigint): Value {
  return { constant: BigInt.asIntN(64, constant), bases: [], registers: [], unknown: false };
}

export function addressValue(base: AddressBase, offset: bigint): Value {
  return { constant: offset, bases: [{ of: base, factor: 1n }], registers: [], unknown: false };
}

export const UNKNOWN_VALUE: Value = { constant: 0n, bases: [], registers: [], unknown: true };

/** A plain number: neither relocatable nor with registers. Unknown values count as plain until they are known. */
export function isScalar(value: Value): boolean {
  return (value.bases.length === 0 || value.unknown) && value.registers.length === 0;
}

/** One section base or external symbol plus a constant. */
export function singleBase(value: Value): AddressBase | undefined {
  return value.registers.length === 0 && value.bases.length === 1 && value.bases[0].factor === 1n
    ? value.bases[0].of
    : undefined;
}

/**
 * `target - place` where `place` is in the section being assembled: the difference that a self-relative relocation
 * can express. Gives the target's base.
 */
export function relativeTarget(value: Value, here: AddressBase | undefined): AddressBase | undefined {
  if (here === undefined || value.registers.length > 0 || value.bases.length !== 2) return undefined;
  const minus = value.bases.find((term) => term.factor === -1n);
  const plus = value.bases.find((term) => term.factor === 1n);
  return minus?.of === here ? plus?.of : undefined;
}

function addTerms<T>(left: readonly Term<T>[], right: readonly Term<T>[], sign: bigint): Term<T>[] {
  const sum = [...left];
  for (const { of, factor } of right) {
    const index = sum.findIndex((term) => term.of === of);
    if (index < 0) sum.push({ of, factor: factor * sign });
    else sum[index] = { of, factor: sum[index].factor + factor * sign };
  }
  return sum.filter((term) => term.factor !== 0n);
}

/** left + sign × right, sign being 1 or -1. */
export function addValues(left: Value, right: Value, sign: 1n | -1n): Value {
  return {
    constant: BigInt.asIntN(64, left.constant + sign * right.constant),
    bases: addTerms(left.bases, right.bases, sign),
    registers: addTerms(left.registers, right.registers, sign),
    unknown: left.unknown || right.unknown,
  };
}

/** value × factor, term by term. */
export function scaleValue(value: Value, factor: bigint): Value {
  const scale = <T>(terms: readonly Term<T>[]): Term<T>[] =>
    factor === 0n ? [] : terms.map((term) => ({ of: term.of, factor: term.factor * factor }));
  return {
    constant: BigInt.asIntN(64, value.constant * factor),
    bases: scale(value.bases),
    registers: scale(value.registers),
    unknown: value.unknown,
  };
}

/** The number that a scalar stands for; an unknown one counts as its placeholder. */
export function requireScalar(value: Value, what: string, token?: Token): bigint {
  if (!isScalar(value)) fail('not-a-number', `${what} must be a number known at assembly time`, token);
  return value.constant;
}
