/** Little-endian numbers out of code bytes. */

/** 16 bits, unsigned. */
export function readWord(bytes: Uint8Array, position: number): number {
  return bytes[position]! | (bytes[position + 1]! << 8);
}

/** 32 bits, signed. */
export function readDoubleword(bytes: Uint8Array, position: number): number {
  return (
    bytes[position]! |
    (bytes[position + 1]! << 8) |
    (bytes[position + 2]! << 16) |
    (bytes[position + 3]! << 24)
  );
}

/** 32 bits, signed, of which bytes from `limit` on are zero. */
export function peekDoubleword(bytes: Uint8Array, position: number, limit: number): number {
  if (position + 4 <= limit) return readDoubleword(bytes, position);
  let value = 0;
  for (let index = position; index < limit; index++) value |= bytes[index]! << (8 * (index - position));
  return value;
}

/** The low `size` bytes (0, 1, 2 or 4) of a doubleword, sign-extended; without a branch. */
export function extend(doubleword: number, size: number): number {
  const shift = 32 - 8 * size;
  return ((doubleword << shift) >> shift) & -((size + 3) >> 2);
}
