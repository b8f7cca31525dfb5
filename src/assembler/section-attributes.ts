/** The words behind SECTION: name, `align=16`, `start=…`, `vstart=…`, `follows=…`, `nobits`, `exec` … */

import { fail } from './assembly-error.js';
import { ExpressionParser } from './expression.js';
import type { Pass } from './pass.js';
import type { Section } from './sections.js';
import { keywordText, operatorText, type Token } from './token.js';
import type { TokenCursor } from './token-cursor.js';
import { requireScalar } from './value.js';

/** A section name is everything up to the next blank: `.note.GNU-stack`. */
export function sectionName(cursor: TokenCursor, directive: Token): string {
  const first = cursor.next();
  if (first === undefined || (first.kind !== 'identifier' && first.kind !== 'string'))
    fail('directive', `${directive.text} expects a name`, first ?? directive);
  let name = first.kind === 'string' ? first.text.slice(1, -1) : first.text;
  while (!cursor.atEnd && !cursor.peek()?.spaceBefore && operatorText(cursor.peek()) !== ']')
    name += (cursor.next() as Token).text;
  return name;
}

const FLAG_WORDS = new Set([
  'exec',
  'noexec',
  'write',
  'nowrite',
  'alloc',
  'noalloc',
  'progbits',
  'nobits',
  'tls',
  'merge',
  'strings',
  'code',
  'data',
  'rdata',
  'bss',
  'note',
]);

function isPowerOfTwo(value: bigint): boolean {
  return value > 0n && (value & (value - 1n)) === 0n;
}

function setAttribute(pass: Pass, section: Section, keyword: string, cursor: TokenCursor): void {
  const start = cursor.peek();
  if (keyword === 'follows' || keyword === 'vfollows') {
    const name = sectionName(cursor, start as Token);
    if (keyword === 'follows') section.follows = name;
    else section.virtualFollows = name;
    return;
  }
  const value = requireScalar(new ExpressionParser(cursor, pass).parse(), `the value of ${keyword}`, start);
  if (keyword === 'align' || keyword === 'valign') {
    if (!isPowerOfTwo(value) || value > 1n << 30n)
      fail('alignment', `alignment ${value} is not a power of two`, start);
    if (keyword === 'align') section.alignment = Number(value);
    else section.virtualAlignment = Number(value);
  } else if (keyword === 'start') section.start = BigInt.asUintN(64, value);
  else section.virtualStart = BigInt.asUintN(64, value);
}

/** Reads the attributes up to the end of the line. */
export function applySectionAttributes(pass: Pass, section: Section, cursor: TokenCursor): void {
  while (!cursor.atEnd) {
    const token = cursor.next() as Token;
    const keyword = keywordText(token);
    if (
      ['align', 'start', 'vstart', 'follows', 'vfollows', 'valign'].includes(keyword) &&
      cursor.takeOperator('=')
    )
      setAttribute(pass, section, keyword, cursor);
    else if (FLAG_WORDS.has(keyword)) {
      section.attributes.add(keyword);
      if (keyword === 'nobits') section.nobits = true;
      if (keyword === 'progbits') section.nobits = false;
    } else fail('directive', `unknown section attribute '${token.text}'`, token);
  }
}
