/** Repetitions of bytes that do not depend on where they stand: copied instead of assembled again. */

import type { Pass } from './pass.js';
import type { Token } from './token.js';

/** No name and no `$` among the tokens of the operands: every repetition gives the same bytes. */
export function isPositionIndependent(tokens: readonly Token[]): boolean {
  return !tokens.some((token) => token.text.startsWith('$') || token.kind === 'identifier');
}

/**
 * Appends `copies` copies of what has been emitted since offset `start`; false when that can't be copied, as in a
 * section without content.
 */
export function appendCopies(pass: Pass, start: number, copies: number, place: Token | undefined): boolean {
  const { section } = pass;
  if (section === undefined || section.nobits) return false;
  const bytes = section.bytes.slice(start);
  const length = pass.checkCount(BigInt(copies) * BigInt(bytes.length), 'the size of the repetition', place);
  if (bytes.length === 1) {
    pass.fill(copies, bytes[0]);
    return true;
  }
  const all = new Uint8Array(length);
  for (let offset = 0; offset < length; offset += bytes.length) all.set(bytes, offset);
  pass.emit(all);
  return true;
}
