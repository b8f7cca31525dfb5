/** DB, DW, DD, DQ, DT, DO, RESB and their relatives, INCBIN. */

import { fail } from './assembly-error.js';
import { ExpressionParser } from './expression.js';
import { emitValue } from './field-emitter.js';
import { floatBits, isFloatToken } from './float-literals.js';
import type { Pass } from './pass.js';
import { appendCopies, isPositionIndependent } from './repetition.js';
import { keywordText, operatorText, type Token } from './token.js';
import type { TokenCursor } from './token-cursor.js';
import { requireScalar } from './value.js';

/** Size in bytes of the unit that DB … and RESB … count in. */
export const DATA_UNITS: Readonly<Record<string, number>> = {
  db: 1,
  dw: 2,
  dd: 4,
  dq: 8,
  dt: 10,
  do: 16,
  dy: 32,
  dz: 64,
};

export const RESERVE_UNITS: Readonly<Record<string, number>> = {
  resb: 1,
  resw: 2,
  resd: 4,
  resq: 8,
  rest: 10,
  reso: 16,
  resy: 32,
  resz: 64,
};

/** UTF-16 or UTF-32 of a string, little-endian. */
const STRING_FUNCTIONS: Readonly<Record<string, 16 | 32>> = {
  '__?utf16?__': 16,
  '__?utf16le?__': 16,
  '__?utf32?__': 32,
  '__?utf32le?__': 32,
  __utf16__: 16,
  __utf16le__: 16,
  __utf32__: 32,
  __utf32le__: 32,
};

function transcode(bytes: Uint8Array, bits: 16 | 32): Uint8Array {
  const text = new TextDecoder().decode(bytes);
  const units =
    bits === 16
      ? Array.from({ length: text.length }, (_, index) => text.charCodeAt(index))
      : [...text].map((character) => character.codePointAt(0) as number);
  const result = new Uint8Array((units.length * bits) / 8);
  const view = new DataView(result.buffer);
  for (const [index, unit] of units.entries())
    if (bits === 16) view.setUint16(index * 2, unit, true);
    else view.setUint32(index * 4, unit, true);
  return result;
}

function isEndOfItem(token: Token | undefined): boolean {
  const operator = operatorText(token);
  return token === undefined || operator === ',' || operator === ')';
}

function emitPadded(pass: Pass, bytes: Uint8Array, unit: number): void {
  pass.emit(bytes);
  pass.fill((unit - (bytes.length % unit)) % unit, 0);
}

function emitFloat(pass: Pass, cursor: TokenCursor, unit: number, negative: boolean): void {
  const literal = cursor.next() as Token;
  let bits = floatBits(literal, negative, unit);
  const bytes = new Uint8Array(unit);
  for (let index = 0; index < unit; index++, bits >>= 8n) bytes[index] = Number(bits & 0xffn);
  pass.emit(bytes);
}

/** A string alone, or inside a transcoding function; false when the item is something else. */
function emitString(pass: Pass, cursor: TokenCursor, unit: number): boolean {
  const token = cursor.peek() as Token;
  if (token.kind === 'string' && isEndOfItem(cursor.peek(1))) {
    cursor.next();
    emitPadded(pass, token.bytes as Uint8Array, unit);
    return true;
  }
  const bits = Object.hasOwn(STRING_FUNCTIONS, keywordText(token))
    ? STRING_FUNCTIONS[keywordText(token)]
    : undefined;
  if (bits === undefined || operatorText(cursor.peek(1)) !== '(') return false;
  const argument = cursor.peek(2);
  if (argument?.kind !== 'string' || operatorText(cursor.peek(3)) !== ')')
    fail('expression', `${token.text} expects a string`, argument ?? token);
  cursor.position += 4;
  emitPadded(pass, transcode(argument.bytes as Uint8Array, bits), unit);
  return true;
}

const MAXIMUM_DUP_DEPTH = 20;

/** Moves behind the parenthesis that closes the one just read. */
function skipParentheses(cursor: TokenCursor, open: Token | undefined): void {
  for (let depth = 1; depth > 0; ) {
    const token = cursor.next();
    if (token === undefined) fail('expression', "missing ')' of DUP", open);
    const operator = operatorText(token);
    depth += operator === '(' ? 1 : operator === ')' ? -1 : 0;
  }
}

/** `count dup (items)`: the items stand once for each count. */
function emitRepeated(pass: Pass, cursor: TokenCursor, unit: number, count: number, depth: number): void {
  const open = cursor.peek();
  if (!cursor.takeOperator('(')) fail('expression', "'(' expected after DUP", open ?? cursor.last());
  if (count === 0) {
    skipParentheses(cursor, open);
    return;
  }
  const start = cursor.position;
  const before = pass.offset;
  emitItems(pass, cursor, unit, depth + 1);
  if (!cursor.takeOperator(')')) fail('expression', "missing ')' of DUP", cursor.peek() ?? open);
  const end = cursor.position;
  if (count > 1) pass.checkCount(BigInt(count) * BigInt(pass.offset - before), 'size of DUP', open);
  const items = cursor.tokens.slice(start, end - 1);
  if (count > 1 && isPositionIndependent(items) && appendCopies(pass, before, count - 1, open)) return;
  for (let repetition = 1; repetition < count; repetition++) {
    cursor.position = start;
    pass.countStatement();
    emitItems(pass, cursor, unit, depth + 1);
  }
  cursor.position = end;
}

function emitItem(pass: Pass, cursor: TokenCursor, unit: number, depth: number): void {
  const token = cursor.peek();
  if (token === undefined) fail('expression', 'value expected', cursor.last());
  if (operatorText(token) === '?' && isEndOfItem(cursor.peek(1))) {
    cursor.next();
    pass.fill(unit, 0);
    return;
  }
  const sign = operatorText(token);
  if ((sign === '-' || sign === '+') && isFloatToken(cursor.peek(1))) {
    cursor.next();
    emitFloat(pass, cursor, unit, sign === '-');
    return;
  }
  if (isFloatToken(token)) {
    emitFloat(pass, cursor, unit, false);
    return;
  }
  if (emitString(pass, cursor, unit)) return;
  const value = new ExpressionParser(cursor, pass).parse();
  if (keywordText(cursor.peek()) === 'dup') {
    if (depth > MAXIMUM_DUP_DEPTH) fail('expression-too-deep', 'DUP is nested too deeply', cursor.peek());
    cursor.next();
    const count = pass.checkCount(requireScalar(value, 'the count of DUP', token), 'the count of DUP', token);
    emitRepeated(pass, cursor, unit, count, depth);
    return;
  }
  if (unit > 8) fail('data-size', 'an integer can only stand in DB, DW, DD and DQ', token);
  if (value.registers.length > 0) fail('expression', 'a register is no value', token);
  emitValue(pass, value, unit, token);
}

function emitItems(pass: Pass, cursor: TokenCursor, unit: number, depth: number): void {
  for (;;) {
    emitItem(pass, cursor, unit, depth);
    if (cursor.atEnd || operatorText(cursor.peek()) === ')') return;
    const separator = cursor.peek() as Token;
    if (!cursor.takeOperator(',')) {
      if (separator.kind === 'invalid') fail('invalid-token', separator.message as string, separator);
      fail('expression', `',' or end of line expected before '${separator.text}'`, separator);
    }
    // A comma may end the list.
    if (cursor.atEnd) return;
  }
}

/** The operands of DB and its relatives; `unit` in bytes. */
export function emitData(pass: Pass, cursor: TokenCursor, unit: number, directive: Token): void {
  if (cursor.atEnd) {
    pass.warn('no-data', 'no data given', directive);
    return;
  }
  emitItems(pass, cursor, unit, 0);
  if (!cursor.atEnd) fail('expression', `unexpected '${cursor.peek()?.text}'`, cursor.peek());
}

/** RESB and its relatives. */
export function emitReserved(pass: Pass, cursor: TokenCursor, unit: number, directive: Token): void {
  if (cursor.atEnd) fail('expression', `${directive.text} expects a count`, directive);
  const start = cursor.peek();
  const count = requireScalar(new ExpressionParser(cursor, pass).parse(), 'the count', start);
  if (!cursor.atEnd) fail('expression', `unexpected '${cursor.peek()?.text}'`, cursor.peek());
  pass.fill(pass.checkCount(count * BigInt(unit), `the size of ${directive.text}`, start), 0);
}

/** `INCBIN "file"[, skip[, length]]`. */
export function emitFile(pass: Pass, cursor: TokenCursor, directive: Token): void {
  const name = cursor.next();
  if (name?.kind !== 'string') fail('expression', `${directive.text} expects a file name`, name ?? directive);
  const numbers: number[] = [];
  while (cursor.takeOperator(',')) {
    const start = cursor.peek();
    const value = requireScalar(new ExpressionParser(cursor, pass).parse(), 'the operand', start);
    numbers.push(pass.checkCount(value, 'the operand', start));
  }
  if (!cursor.atEnd) fail('expression', `unexpected '${cursor.peek()?.text}'`, cursor.peek());
  const path = new TextDecoder().decode(name.bytes);
  const content = pass.assembly.readFile(path, pass.line.line.file);
  if (content === undefined) fail('missing-file', `can't read file '${path}'`, name);
  const [skip = 0, length = content.length] = numbers;
  pass.emit(content.subarray(skip, Math.min(content.length, skip + length)));
}
