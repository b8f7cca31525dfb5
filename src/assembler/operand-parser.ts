/** Operand text to `Operand`: size keywords, registers, memory references, far pointers. */

import { fail } from './assembly-error.js';
import { type ExpressionEnvironment, ExpressionParser } from './expression.js';
import type { EffectiveAddress, Operand } from './operand.js';
import { findRegister, isAddressRegister } from './registers.js';
import { keywordText, operatorText, type Token } from './token.js';
import type { TokenCursor } from './token-cursor.js';
import type { Value } from './value.js';

export const SIZE_KEYWORDS: Readonly<Record<string, number>> = {
  byte: 8,
  word: 16,
  dword: 32,
  long: 32,
  qword: 64,
  tword: 80,
  oword: 128,
  yword: 256,
  zword: 512,
};

interface MutableModifiers {
  size: number;
  strict: boolean;
  distance: '' | 'short' | 'near' | 'far';
  to: boolean;
  token: Token | undefined;
}

function parseModifiers(cursor: TokenCursor): MutableModifiers {
  const modifiers: MutableModifiers = {
    size: 0,
    strict: false,
    distance: '',
    to: false,
    token: cursor.peek(),
  };
  for (;;) {
    const token = cursor.peek();
    const keyword = keywordText(token);
    if (Object.hasOwn(SIZE_KEYWORDS, keyword)) {
      if (modifiers.size !== 0 && modifiers.size !== SIZE_KEYWORDS[keyword])
        fail('operand-size', 'two different sizes for one operand', token);
      modifiers.size = SIZE_KEYWORDS[keyword];
    } else if (keyword === 'strict') modifiers.strict = true;
    else if (keyword === 'short' || keyword === 'near' || keyword === 'far') modifiers.distance = keyword;
    else if (keyword === 'to') modifiers.to = true;
    else return modifiers;
    cursor.next();
  }
}

function requireNoRegisters(value: Value, token: Token | undefined): Value {
  if (value.registers.length > 0)
    fail('expression', 'a register can only stand alone or in a memory operand', token);
  return value;
}

/** Reads `seg:` at the cursor and gives the segment register's number, or -1. */
function parseSegmentOverride(cursor: TokenCursor): number {
  const register = findRegister(keywordText(cursor.peek()));
  if (register?.registerClass !== 'segment' || operatorText(cursor.peek(1)) !== ':') return -1;
  cursor.position += 2;
  return register.number;
}

function parseMemory(cursor: TokenCursor, environment: ExpressionEnvironment, open: Token): EffectiveAddress {
  let displacementSize = 0;
  let relative: EffectiveAddress['relative'] = '';
  let nosplit = false;
  let segmentOverride = -1;
  for (;;) {
    const keyword = keywordText(cursor.peek());
    if (Object.hasOwn(SIZE_KEYWORDS, keyword)) displacementSize = SIZE_KEYWORDS[keyword];
    else if (keyword === 'rel' || keyword === 'abs') relative = keyword;
    else if (keyword === 'nosplit') nosplit = true;
    else {
      const override = parseSegmentOverride(cursor);
      if (override < 0) break;
      segmentOverride = override;
      continue;
    }
    cursor.next();
  }
  const parser = new ExpressionParser(cursor, environment);
  const start = cursor.peek();
  const value = parser.parse();
  if (!cursor.takeOperator(']'))
    fail('missing-bracket', "missing ']' of the memory operand", cursor.peek() ?? open);
  for (const { of } of value.registers)
    if (!isAddressRegister(of))
      fail('effective-address', `${of.name} can't be used in an effective address`, start);
  return { value, hint: parser.hint, segmentOverride, displacementSize, relative, nosplit };
}

/** Reads one operand and stops at the comma or end behind it. */
export function parseOperand(cursor: TokenCursor, environment: ExpressionEnvironment): Operand {
  const modifiers = parseModifiers(cursor);
  const token = cursor.peek();
  if (token === undefined) fail('operand', 'operand expected', cursor.last());
  if (operatorText(token) === '[') {
    cursor.next();
    return { kind: 'memory', address: parseMemory(cursor, environment, token), ...modifiers };
  }
  const override = parseSegmentOverride(cursor);
  if (override >= 0) {
    const open = cursor.peek();
    if (!cursor.takeOperator('[')) fail('operand', "'[' expected after the segment register", open ?? token);
    const address = parseMemory(cursor, environment, open as Token);
    return { kind: 'memory', address: { ...address, segmentOverride: override }, ...modifiers };
  }
  const register = findRegister(keywordText(token));
  const after = operatorText(cursor.peek(1));
  if (register !== undefined && (cursor.peek(1) === undefined || after === ',')) {
    cursor.next();
    return { kind: 'register', register, ...modifiers };
  }
  const value = requireNoRegisters(new ExpressionParser(cursor, environment).parse(), token);
  if (!cursor.takeOperator(':')) return { kind: 'immediate', value, ...modifiers };
  const offset = requireNoRegisters(new ExpressionParser(cursor, environment).parse(), token);
  return { kind: 'far-pointer', segment: value, offset, ...modifiers };
}

/** Reads all operands up to the end of the statement. */
export function parseOperands(cursor: TokenCursor, environment: ExpressionEnvironment): Operand[] {
  const operands: Operand[] = [];
  if (cursor.atEnd) return operands;
  for (;;) {
    operands.push(parseOperand(cursor, environment));
    if (cursor.atEnd) return operands;
    const separator = cursor.peek();
    if (!cursor.takeOperator(',')) {
      if (separator?.kind === 'invalid') fail('invalid-token', separator.message as string, separator);
      fail('operand', `',' or end of line expected before '${separator?.text}'`, separator);
    }
  }
}
