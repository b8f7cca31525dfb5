/** One logical line: label, TIMES, prefixes, then an instruction, data or a directive. */

import { SEGMENT } from '../architecture/registers.js';
import { fail } from './assembly-error.js';
import { DATA_UNITS, emitData, emitFile, emitReserved, RESERVE_UNITS } from './data.js';
import { isDirective, runDirective } from './directives.js';
import { ExpressionParser } from './expression.js';
import { emitInstruction } from './field-emitter.js';
import { encodeInstruction } from './instruction-encoder.js';
import { type EncodingContext, NO_PREFIXES, type Prefixes } from './instruction-statement.js';
import { rowsOfMnemonic } from './mnemonic-forms.js';
import { parseOperands } from './operand-parser.js';
import type { Pass } from './pass.js';
import { appendCopies, isPositionIndependent } from './repetition.js';
import { keywordText, operatorText, type Token } from './token.js';
import { TokenCursor } from './token-cursor.js';
import { requireScalar } from './value.js';

const PREFIXES: Readonly<Record<string, Partial<Prefixes>>> = {
  rep: { repeat: 0xf3 },
  repe: { repeat: 0xf3 },
  repz: { repeat: 0xf3 },
  repne: { repeat: 0xf2 },
  repnz: { repeat: 0xf2 },
  lock: { lock: true },
  xacquire: { repeat: 0xf2 },
  xrelease: { repeat: 0xf3 },
  bnd: { repeat: 0xf2 },
  wait: { wait: true },
  o16: { operandSize: 16 },
  o32: { operandSize: 32 },
  o64: { operandSize: 64 },
  a16: { addressSize: 16 },
  a32: { addressSize: 32 },
  a64: { addressSize: 64 },
  es: { segment: SEGMENT.ES },
  cs: { segment: SEGMENT.CS },
  ss: { segment: SEGMENT.SS },
  ds: { segment: SEGMENT.DS },
  fs: { segment: SEGMENT.FS },
  gs: { segment: SEGMENT.GS },
};

function isMnemonic(keyword: string): boolean {
  return keyword !== '' && rowsOfMnemonic(keyword.toUpperCase()) !== undefined;
}

/** A word that starts a statement and so can't be a label without a colon. */
function startsStatement(token: Token | undefined): boolean {
  const keyword = keywordText(token);
  if (keyword === '') return false;
  return (
    keyword === 'times' ||
    keyword === 'equ' ||
    keyword === 'incbin' ||
    Object.hasOwn(DATA_UNITS, keyword) ||
    Object.hasOwn(RESERVE_UNITS, keyword) ||
    Object.hasOwn(PREFIXES, keyword) ||
    isDirective(keyword) ||
    isMnemonic(keyword)
  );
}

function defineConstant(pass: Pass, cursor: TokenCursor, label: Token | undefined, equ: Token): void {
  if (label === undefined) fail('label', 'EQU without a label', equ);
  cursor.next();
  const start = cursor.peek();
  const value = new ExpressionParser(cursor, pass).parse();
  if (cursor.takeOperator(':')) fail('expression', 'a far address can not be an EQU', start);
  if (!cursor.atEnd) fail('expression', `unexpected '${cursor.peek()?.text}'`, cursor.peek());
  if (value.registers.length > 0) fail('expression', 'a register is no value', start);
  pass.defineSymbol(label, value, true);
}

function parsePrefixes(cursor: TokenCursor): Prefixes {
  let prefixes = NO_PREFIXES;
  for (;;) {
    const keyword = keywordText(cursor.peek());
    if (!Object.hasOwn(PREFIXES, keyword)) return prefixes;
    // WAIT alone is an instruction.
    if (keyword === 'wait' && !startsStatement(cursor.peek(1))) return prefixes;
    prefixes = { ...prefixes, ...PREFIXES[keyword] };
    cursor.next();
  }
}

const PREFIX_BYTES = { lock: 0xf0, wait: 0x9b } as const;

/** Prefixes with no instruction behind them: just their bytes. */
function emitBarePrefixes(pass: Pass, prefixes: Prefixes): void {
  const bytes: number[] = [];
  if (prefixes.wait) bytes.push(PREFIX_BYTES.wait);
  if (prefixes.repeat !== 0) bytes.push(prefixes.repeat);
  if (prefixes.lock) bytes.push(PREFIX_BYTES.lock);
  if (prefixes.segment >= 0) bytes.push([0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65][prefixes.segment]);
  const { operandSize, addressSize } = prefixes;
  if ((operandSize === 16) !== (pass.codeSize === 16) && operandSize !== 0 && operandSize !== 64)
    bytes.push(0x66);
  if (addressSize !== 0 && addressSize !== pass.codeSize) bytes.push(0x67);
  pass.emit(Uint8Array.from(bytes));
}

function assembleInstruction(pass: Pass, cursor: TokenCursor): void {
  const first = cursor.peek() as Token;
  const prefixes = parsePrefixes(cursor);
  const token = cursor.next();
  if (token === undefined) {
    emitBarePrefixes(pass, prefixes);
    return;
  }
  if (token.kind === 'invalid') fail('invalid-token', token.message as string, token);
  if (token.kind !== 'identifier')
    fail('syntax', `label or instruction expected before '${token.text}'`, token);
  if (!isMnemonic(keywordText(token)))
    fail(
      'unknown-instruction',
      `unknown instruction '${token.text}'`,
      prefixes === NO_PREFIXES ? token : first,
    );
  const operands = parseOperands(cursor, pass);
  const statement = { mnemonic: token.text.toUpperCase(), token, prefixes, operands };
  const context: EncodingContext = {
    codeSize: pass.codeSize,
    defaultRelative: pass.defaultRelative,
    base: pass.section,
    offset: pass.offset,
    mustStayLong: pass.beginInstruction(),
  };
  const encoded = encodeInstruction(statement, context);
  if (prefixes.lock && !(encoded.row.lockable && operands.some((operand) => operand.kind === 'memory')))
    pass.warn('not-lockable', `${token.text} can't be locked with these operands`, first);
  pass.endInstruction(encoded.bytes.length);
  emitInstruction(pass, encoded);
}

/** The statement behind label and TIMES, once. */
function assembleOnce(pass: Pass, cursor: TokenCursor): void {
  const token = cursor.peek() as Token;
  const keyword = keywordText(token);
  pass.countStatement();
  if (Object.hasOwn(DATA_UNITS, keyword)) {
    cursor.next();
    emitData(pass, cursor, DATA_UNITS[keyword], token);
    return;
  }
  if (Object.hasOwn(RESERVE_UNITS, keyword)) {
    cursor.next();
    emitReserved(pass, cursor, RESERVE_UNITS[keyword], token);
    return;
  }
  if (keyword === 'incbin') {
    cursor.next();
    emitFile(pass, cursor, token);
    return;
  }
  assembleInstruction(pass, cursor);
}

/** Largest number of repetitions of a statement that must be assembled one by one. */
const MAXIMUM_REPETITIONS = 1_000_000;

function repeat(pass: Pass, cursor: TokenCursor, count: number, token: Token): void {
  const start = cursor.position;
  const statement = cursor.rest();
  const before = pass.offset;
  if (count > 0) assembleOnce(pass, cursor);
  const isData = Object.hasOwn(DATA_UNITS, keywordText(statement[0])) || statement.length === 1;
  if (
    count > 1 &&
    isData &&
    isPositionIndependent(statement.slice(1)) &&
    appendCopies(pass, before, count - 1, token)
  )
    return;
  if (count > MAXIMUM_REPETITIONS) fail('too-long', `TIMES ${count} is too large`, token);
  for (let repetition = 1; repetition < count; repetition++) {
    cursor.position = start;
    assembleOnce(pass, cursor);
  }
}

/** What follows a label: TIMES, directive, data or instruction. */
function assembleBody(pass: Pass, cursor: TokenCursor): void {
  const token = cursor.peek() as Token;
  const keyword = keywordText(token);
  if (keyword === 'times') {
    cursor.next();
    const start = cursor.peek();
    const value = requireScalar(new ExpressionParser(cursor, pass).parse(), 'the count of TIMES', start);
    if (value < 0n) {
      pass.report('error', 'negative-count', `the count of TIMES is negative: ${value}`, start, true);
      return;
    }
    const count = pass.checkCount(value, 'the count of TIMES', start);
    if (cursor.atEnd) fail('syntax', 'TIMES without a statement', token);
    if (keywordText(cursor.peek()) === 'times') fail('syntax', "TIMES can't be repeated", cursor.peek());
    repeat(pass, cursor, count, token);
    return;
  }
  if (isDirective(keyword)) {
    cursor.next();
    runDirective(pass, cursor, token, (rest) => assembleBody(pass, rest));
    return;
  }
  assembleOnce(pass, cursor);
}

function assembleBracketed(pass: Pass, tokens: readonly Token[]): void {
  const inner = tokens.slice(1, -1);
  if (operatorText(tokens[tokens.length - 1]) !== ']')
    fail('missing-bracket', "missing ']' of the directive", tokens[0]);
  const cursor = new TokenCursor(inner);
  const name = cursor.next();
  if (!isDirective(keywordText(name)))
    fail('unknown-directive', `unknown directive '${name?.text ?? ''}'`, name ?? tokens[0]);
  runDirective(pass, cursor, name as Token, () => fail('syntax', 'not allowed in brackets', name));
}

/** Assembles one logical line. Errors are raised; a label is defined even when the rest of its line is in error. */
export function assembleStatement(pass: Pass, tokens: readonly Token[]): void {
  if (operatorText(tokens[0]) === '[') {
    assembleBracketed(pass, tokens);
    return;
  }
  const cursor = new TokenCursor(tokens);
  let label: Token | undefined;
  const first = tokens[0];
  const colon = operatorText(tokens[1]) === ':';
  pass.beginStatement();
  if (first.kind === 'identifier' && (colon || !startsStatement(first))) {
    const next = tokens[1];
    // `foo eax, 1` is a misspelt instruction, not a label.
    if (!colon && next !== undefined && !startsStatement(next)) {
      if (next.kind === 'invalid') fail('invalid-token', next.message as string, next);
      fail('unknown-instruction', `unknown instruction '${first.text}'`, first);
    }
    label = first;
    cursor.position = colon ? 2 : 1;
    if (!colon && next === undefined)
      pass.warn('label-orphan', `'${first.text}' alone on a line is taken for a label`, first);
  }
  const equ = cursor.peek();
  if (keywordText(equ) === 'equ') {
    try {
      defineConstant(pass, cursor, label, equ as Token);
      return;
    } catch (error) {
      if (label !== undefined) pass.markFailed(label);
      throw error;
    }
  }
  if (label !== undefined) pass.defineSymbol(label, pass.here(), false);
  if (!cursor.atEnd) assembleBody(pass, cursor);
}
