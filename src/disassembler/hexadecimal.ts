/** Numbers as they appear in assembly text. */

/** `value` as `0x…`, lower case, of a non-negative number. */
export function hexadecimal(value: bigint | number): string {
  return `0x${value.toString(16)}`;
}

/** `+0x8` or `-0x8`. */
export function signedHexadecimal(value: number): string {
  return value < 0 ? `-${hexadecimal(-value)}` : `+${hexadecimal(value)}`;
}
