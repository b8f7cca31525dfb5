/** Exact conversions to the 80-bit format (SDM Vol. 1, 4.2.2 and 4.8). */

import { FSW } from '../../architecture/floating-point.js';
import type { Extended } from './x87-state.js';

const INTEGER_BIT = 1n << 63n;
const QUIET_BIT = 1n << 62n;
const BIAS = 16383;

/** Result of a conversion and the exceptions that it raises. */
export interface Converted {
  readonly value: Extended;
  readonly exceptions: number;
}

interface BinaryFormat {
  readonly fractionBits: number;
  readonly exponentBits: number;
}
export const SINGLE: BinaryFormat = { fractionBits: 23, exponentBits: 8 };
export const DOUBLE: BinaryFormat = { fractionBits: 52, exponentBits: 11 };

/** Position of the highest set bit, -1 for zero. */
const highestBit = (value: bigint): number => (value === 0n ? -1 : value.toString(2).length - 1);

/** Signalling NaNs become quiet (#IA), denormals are normalized (#D); everything else is exact and silent. */
export function extendBinary(bits: bigint, format: BinaryFormat): Converted {
  const { fractionBits, exponentBits } = format;
  const fraction = bits & ((1n << BigInt(fractionBits)) - 1n);
  const exponent = Number(bits >> BigInt(fractionBits)) & ((1 << exponentBits) - 1);
  const sign = Number(bits >> BigInt(fractionBits + exponentBits)) << 15;
  const bias = (1 << (exponentBits - 1)) - 1;
  const aligned = fraction << BigInt(63 - fractionBits);
  if (exponent === (1 << exponentBits) - 1) {
    const signalling = fraction !== 0n && (aligned & QUIET_BIT) === 0n;
    const significand = INTEGER_BIT | aligned | (fraction === 0n ? 0n : QUIET_BIT);
    return { value: { significand, signExponent: sign | 0x7fff }, exceptions: signalling ? FSW.IE : 0 };
  }
  if (exponent !== 0)
    return {
      value: { significand: INTEGER_BIT | aligned, signExponent: sign | (exponent - bias + BIAS) },
      exceptions: 0,
    };
  if (fraction === 0n) return { value: { significand: 0n, signExponent: sign }, exceptions: 0 };
  const shift = 63 - highestBit(aligned);
  return {
    value: { significand: aligned << BigInt(shift), signExponent: sign | (1 - bias + BIAS - shift) },
    exceptions: FSW.DE,
  };
}

/** @param integer signed, at most 64 bits */
export function extendInteger(integer: bigint): Extended {
  const magnitude = integer < 0n ? -integer : integer;
  if (magnitude === 0n) return { significand: 0n, signExponent: 0 };
  const position = highestBit(magnitude);
  return {
    significand: magnitude << BigInt(63 - position),
    signExponent: (integer < 0n ? 0x8000 : 0) | (BIAS + position),
  };
}

export type ExtendedClass = 'unsupported' | 'nan' | 'normal' | 'infinity' | 'zero' | 'denormal';

/** Classes of FXAM and of the tag word (SDM Vol. 1, Table 8-3; Vol. 2A, FXAM). */
export function classify(value: Extended): ExtendedClass {
  const exponent = value.signExponent & 0x7fff;
  const hasIntegerBit = (value.significand & INTEGER_BIT) !== 0n;
  if (exponent === 0) return value.significand === 0n ? 'zero' : 'denormal';
  if (!hasIntegerBit) return 'unsupported';
  if (exponent !== 0x7fff) return 'normal';
  return value.significand === INTEGER_BIT ? 'infinity' : 'nan';
}
