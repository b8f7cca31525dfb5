/** The third and fourth field of a row: accesses, words, values and flags. */

import { FLAG_LETTERS } from '../architecture/rflags.js';
import { MalformedRowError } from './malformed-row-error.js';

const PLAIN_WORDS: ReadonlySet<string> = new Set([
  'lock',
  'rep',
  'repcc',
  'cpl0',
  'iopl',
  'anymod',
  'mod3',
  'i64',
  'd64',
  'f64',
  'only64',
]);
const KEYS: ReadonlySet<string> = new Set(['alias', 'feature', 'faults', 'id']);

export interface Attributes {
  readonly accesses: readonly string[];
  readonly words: ReadonlySet<string>;
  readonly values: ReadonlyMap<string, readonly string[]>;
}

/** `rw,r lock feature:CX8`; the accesses are there only when the row has operands. */
export function parseAttributes(text: string, hasOperands: boolean, row: string): Attributes {
  const tokens = text.split(' ').filter(Boolean);
  const accesses = hasOperands ? (tokens.shift() ?? '').split(',') : [];
  const words = new Set<string>();
  const values = new Map<string, readonly string[]>();
  for (const token of tokens) {
    const [key, value] = token.split(':') as [string, string | undefined];
    if (value !== undefined && KEYS.has(key)) values.set(key, value.split(','));
    else if (value === undefined && PLAIN_WORDS.has(key)) words.add(key);
    else throw new MalformedRowError(row, `unknown attribute '${token}'`);
  }
  return { accesses, words, values };
}

/** `r:c w:oszapc u:a` as masks of RFLAGS. */
export function parseFlags(text: string, row: string): { read: number; written: number; undefined: number } {
  const masks: Record<string, number> = { r: 0, w: 0, u: 0 };
  for (const token of text.split(' ').filter(Boolean)) {
    const [kind, letters] = token.split(':') as [string, string | undefined];
    if (masks[kind] === undefined || letters === undefined)
      throw new MalformedRowError(row, `unknown flag field '${token}'`);
    for (const letter of letters) {
      const mask = FLAG_LETTERS[letter];
      if (mask === undefined) throw new MalformedRowError(row, `unknown flag '${letter}'`);
      masks[kind] |= mask;
    }
  }
  return { read: masks.r!, written: masks.w!, undefined: masks.u! };
}
