/**
 * Floating-point literals to IEEE 754 bit patterns (16, 32, 64, 80, 128 bits), rounded to nearest even from the exact
 * value, which is kept as a fraction of two integers.
 */

import { fail } from './assembly-error.js';
import { operatorText, type Token } from './token.js';
import type { TokenCursor } from './token-cursor.js';

export interface FloatFormat {
  readonly exponentBits: number;
  /** Bits after the binary point. */
  readonly fractionBits: number;
  /** The bit before the point is stored (80-bit extended precision). */
  readonly explicitOne: boolean;
}

/** By the size of the number in bytes. */
export const FLOAT_FORMATS: Record<number, FloatFormat> = {
  2: { exponentBits: 5, fractionBits: 10, explicitOne: false },
  4: { exponentBits: 8, fractionBits: 23, explicitOne: false },
  8: { exponentBits: 11, fractionBits: 52, explicitOne: false },
  10: { exponentBits: 15, fractionBits: 63, explicitOne: true },
  16: { exponentBits: 15, fractionBits: 112, explicitOne: false },
};

const FUNCTIONS: Record<string, { bytes: number; shift: bigint; mask: bigint }> = {
  __float16__: { bytes: 2, shift: 0n, mask: (1n << 16n) - 1n },
  __float32__: { bytes: 4, shift: 0n, mask: (1n << 32n) - 1n },
  __float64__: { bytes: 8, shift: 0n, mask: (1n << 64n) - 1n },
  __float80m__: { bytes: 10, shift: 0n, mask: (1n << 64n) - 1n },
  __float80e__: { bytes: 10, shift: 64n, mask: (1n << 16n) - 1n },
  __float128l__: { bytes: 16, shift: 0n, mask: (1n << 64n) - 1n },
  __float128h__: { bytes: 16, shift: 64n, mask: (1n << 64n) - 1n },
};

const SPECIAL_NAMES = new Set(['__infinity__', '__nan__', '__qnan__', '__snan__']);
/** Exponents beyond any format; larger ones are cut so that no literal costs much time. */
const EXPONENT_LIMIT = 20000;

/** `__?float32?__` and `__float32__` are the same name. */
function plainName(name: string): string {
  return name.startsWith('__?') && name.endsWith('?__') ? `__${name.slice(3, -3)}__` : name;
}

/** A lower-case name of a function that gives the bits of a number, such as `__?float32?__`. */
export function isFloatFunction(name: string): boolean {
  return Object.hasOwn(FUNCTIONS, plainName(name));
}

/** A name that stands for a special number: `__?Infinity?__`, `__?NaN?__`, `__?QNaN?__`, `__?SNaN?__`. */
export function isFloatName(name: string): boolean {
  return SPECIAL_NAMES.has(plainName(name));
}

/** A token that can start a floating-point number. */
export function isFloatToken(token: Token | undefined): boolean {
  return token?.kind === 'float' || (token?.kind === 'identifier' && isFloatName(token.text.toLowerCase()));
}

/** Reads `( number )` after the name of a conversion function and gives the bits as an integer. */
export function parseFloatFunction(cursor: TokenCursor, name: Token): bigint {
  const { bytes, shift, mask } = FUNCTIONS[plainName(name.text.toLowerCase())];
  if (!cursor.takeOperator('(')) fail('expression', `'(' expected after ${name.text}`, name);
  const sign = operatorText(cursor.peek());
  if (sign === '-' || sign === '+') cursor.next();
  const literal = cursor.next();
  if (literal === undefined || !(isFloatToken(literal) || literal.kind === 'integer'))
    fail('expression', `${name.text} expects a floating-point constant`, literal ?? name);
  if (!cursor.takeOperator(')')) fail('expression', "missing ')'", literal);
  return (floatBits(literal, sign === '-', bytes) >> shift) & mask;
}

/** The bits of a literal or special name in the format of `sizeInBytes`. */
export function floatBits(token: Token, negative: boolean, sizeInBytes: number): bigint {
  const format = FLOAT_FORMATS[sizeInBytes];
  if (format === undefined) fail('float-size', 'no floating-point format has this size', token);
  const sign = negative ? 1n << BigInt(sizeInBytes * 8 - 1) : 0n;
  if (token.kind === 'identifier') return sign | specialBits(plainName(token.text.toLowerCase()), format);
  const { numerator, denominator } = exactValue(token.text);
  return sign | encode(numerator, denominator, format, token);
}

function specialBits(name: string, format: FloatFormat): bigint {
  const { fractionBits, explicitOne, exponentBits } = format;
  const stored = BigInt(fractionBits + (explicitOne ? 1 : 0));
  const one = explicitOne ? 1n << BigInt(fractionBits) : 0n;
  const exponent = ((1n << BigInt(exponentBits)) - 1n) << stored;
  if (name === '__infinity__') return exponent | one;
  if (name === '__snan__') return exponent | one | 1n;
  return exponent | one | (1n << BigInt(fractionBits - 1));
}

/** The literal's exact value as a fraction. */
function exactValue(literal: string): { numerator: bigint; denominator: bigint } {
  const text = literal.replaceAll('_', '').toLowerCase();
  const hexadecimal = /^0[xh]/.test(text);
  const radix = hexadecimal ? 16n : 10n;
  const [mantissa, exponentText = '0'] = (hexadecimal ? text.slice(2) : text).split(hexadecimal ? 'p' : 'e');
  const [whole, fraction = ''] = mantissa.split('.');
  const digits = whole + fraction;
  let numerator = BigInt((hexadecimal ? '0x0' : '0') + digits);
  let denominator = radix ** BigInt(fraction.length);
  const exponent = Math.max(-EXPONENT_LIMIT, Math.min(EXPONENT_LIMIT, Number(exponentText)));
  const scale = (hexadecimal ? 2n : 10n) ** BigInt(Math.abs(exponent));
  if (exponent >= 0) numerator *= scale;
  else denominator *= scale;
  return { numerator, denominator };
}

function encode(numerator: bigint, denominator: bigint, format: FloatFormat, token: Token): bigint {
  const { exponentBits, fractionBits, explicitOne } = format;
  if (numerator === 0n) return 0n;
  const bias = (1 << (exponentBits - 1)) - 1;
  const minimum = 1 - bias;
  let exponent = numerator.toString(2).length - denominator.toString(2).length;
  if (numerator << BigInt(Math.max(0, -exponent)) < denominator << BigInt(Math.max(0, exponent))) exponent--;
  exponent = Math.max(exponent, minimum);
  const shift = fractionBits - exponent;
  let significand = roundedQuotient(
    numerator << BigInt(Math.max(0, shift)),
    denominator << BigInt(Math.max(0, -shift)),
  );
  if (significand >> BigInt(fractionBits + 1) !== 0n) {
    significand >>= 1n;
    exponent++;
  }
  const hidden = 1n << BigInt(fractionBits);
  if (exponent > bias) fail('float-range', 'floating-point constant is too large for its size', token);
  const biased = significand < hidden ? 0n : BigInt(exponent + bias);
  const stored = explicitOne ? significand : significand & (hidden - 1n);
  return (biased << BigInt(fractionBits + (explicitOne ? 1 : 0))) | stored;
}

function roundedQuotient(numerator: bigint, denominator: bigint): bigint {
  const quotient = numerator / denominator;
  const twiceRest = 2n * (numerator % denominator);
  const up = twiceRest > denominator || (twiceRest === denominator && (quotient & 1n) === 1n);
  return up ? quotient + 1n : quotient;
}
