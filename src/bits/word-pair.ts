/** 64-bit values as two 32-bit words, low one first: where a big integer would be made for every access. */

/** Two words. */
export type WordPair = Int32Array;

export function wordPair(value = 0n): WordPair {
  const pair = new Int32Array(2);
  setPair(pair, value);
  return pair;
}

/** The value, unsigned. */
export function pairValue(pair: WordPair): bigint {
  return (BigInt(pair[1]! >>> 0) << 32n) | BigInt(pair[0]! >>> 0);
}

/** @param value taken modulo 2^64 */
export function setPair(pair: WordPair, value: bigint): void {
  pair[0] = Number(value & 0xffffffffn);
  pair[1] = Number((value >> 32n) & 0xffffffffn);
}

export function pairsEqual(a: WordPair, b: WordPair): boolean {
  return a[0] === b[0] && a[1] === b[1];
}

/** Whether they are the same in the bits that are set in `mask`. */
export function pairsAgree(a: WordPair, b: WordPair, mask: WordPair): boolean {
  return ((a[0]! ^ b[0]!) & mask[0]!) === 0 && ((a[1]! ^ b[1]!) & mask[1]!) === 0;
}

/** `to` becomes `a` where `mask` is set and `b` where it is not. */
export function mixPairs(to: WordPair, a: WordPair, b: WordPair, mask: WordPair): void {
  for (let word = 0; word < 2; word++) to[word] = (a[word]! & mask[word]!) | (b[word]! & ~mask[word]!);
}
