/** Directives of the assembler: mode, sections, symbols, alignment, structures. */

import { fail } from './assembly-error.js';
import { ExpressionParser } from './expression.js';
import type { CodeSize } from './instruction-statement.js';
import type { Pass } from './pass.js';
import { applySectionAttributes, sectionName } from './section-attributes.js';
import { beginInstance, beginStructure, endInstance, endStructure, instanceField } from './structures.js';
import { keywordText, operatorText, splitAtCommas, type Token } from './token.js';
import { TokenCursor } from './token-cursor.js';
import { constantValue, requireScalar, type Value } from './value.js';

/** Assembles the rest of a line as a statement (`at field, dd 1`, `align 4, db 0`). */
type AssembleRest = (cursor: TokenCursor) => void;
type Directive = (pass: Pass, cursor: TokenCursor, token: Token, assembleRest: AssembleRest) => void;

function expression(pass: Pass, cursor: TokenCursor, token: Token): Value {
  if (cursor.atEnd) fail('expression', `${token.text} expects a value`, token);
  return new ExpressionParser(cursor, pass).parse();
}

function scalar(pass: Pass, cursor: TokenCursor, token: Token): bigint {
  const start = cursor.peek();
  return requireScalar(expression(pass, cursor, token), `the operand of ${token.text}`, start);
}

function setBits(pass: Pass, size: bigint, token: Token | undefined): void {
  if (size !== 16n && size !== 32n && size !== 64n)
    fail('directive', `BITS ${size}: 16, 32 or 64 expected`, token);
  pass.codeSize = Number(size) as CodeSize;
}

function section(pass: Pass, cursor: TokenCursor, token: Token): void {
  const name = sectionName(cursor, token);
  const opened = pass.assembly.sections.open(name);
  pass.enterSection(opened);
  applySectionAttributes(pass, opened, cursor);
}

function takeRest(cursor: TokenCursor): readonly Token[] {
  const rest = cursor.rest();
  cursor.position = cursor.tokens.length;
  return rest;
}

function setDefault(pass: Pass, cursor: TokenCursor, token: Token): void {
  for (const part of splitAtCommas(takeRest(cursor), '(', ')')) {
    const keyword = keywordText(part[0]);
    if (keyword === 'rel') pass.defaultRelative = true;
    else if (keyword === 'abs') pass.defaultRelative = false;
    else if (keyword !== 'bnd' && keyword !== 'nobnd')
      fail('directive', 'DEFAULT expects REL or ABS', part[0] ?? token);
  }
}

function eachSymbol(cursor: TokenCursor, token: Token, use: (name: Token, rest: TokenCursor) => void): void {
  const parts = splitAtCommas(takeRest(cursor), '(', ')');
  if (parts.length === 0) fail('directive', `${token.text} expects a symbol`, token);
  for (const part of parts) {
    const inner = new TokenCursor(part);
    const name = inner.next();
    if (name?.kind !== 'identifier') fail('directive', `${token.text} expects a symbol`, name ?? token);
    use(name, inner);
  }
}

/** Type and visibility of a symbol in an ELF object. */
const ELF_SYMBOL_WORDS = new Set([
  'function',
  'data',
  'object',
  'notype',
  'tls',
  'default',
  'internal',
  'hidden',
  'protected',
]);

const global: Directive = (pass, cursor, token) =>
  eachSymbol(cursor, token, (name, rest) => {
    const entry = pass.assembly.symbols.entry(pass.scope.fullName(name));
    entry.isGlobal = true;
    if (!rest.takeOperator(':')) return;
    const words: string[] = [];
    while (ELF_SYMBOL_WORDS.has(keywordText(rest.peek()))) words.push(keywordText(rest.next()));
    entry.elfWords = words;
    if (!rest.atEnd) entry.elfSize = scalar(pass, rest, token);
  });

const extern: Directive = (pass, cursor, token) =>
  eachSymbol(cursor, token, (name) => {
    if (pass.assembly.format === 'bin')
      fail('directive', "a flat binary can't refer to external symbols", name);
    pass.declareExternal(name);
  });

const common: Directive = (pass, cursor, token) =>
  eachSymbol(cursor, token, (name, rest) => {
    if (pass.assembly.format === 'bin') fail('directive', "a flat binary can't have common variables", name);
    const size = scalar(pass, rest, token);
    const alignment = rest.takeOperator(':') ? scalar(pass, rest, token) : 1n;
    pass.declareExternal(name).common = { size, alignment };
  });

function origin(pass: Pass, cursor: TokenCursor, token: Token): void {
  if (pass.assembly.format !== 'bin') fail('directive', 'ORG is for flat binaries only', token);
  pass.origin = BigInt.asUintN(64, scalar(pass, cursor, token));
}

function absolute(pass: Pass, cursor: TokenCursor, token: Token): void {
  pass.enterAbsolute(expression(pass, cursor, token));
}

function powerOfTwo(pass: Pass, cursor: TokenCursor, token: Token): number {
  const start = cursor.peek();
  const alignment = pass.checkCount(scalar(pass, cursor, token), 'the alignment', start);
  if (alignment === 0 || (alignment & (alignment - 1)) !== 0)
    fail('alignment', `alignment ${alignment} is not a power of two`, start);
  return alignment;
}

/** Bytes up to the next multiple, counted from the start of the section. */
function paddingTo(pass: Pass, alignment: number): number {
  const start = pass.location.kind === 'absolute' ? Number(pass.location.start.constant) : 0;
  return (alignment - ((start + pass.offset) % alignment)) % alignment;
}

const NOP_BYTE = 0x90;

/** ALIGN fills with NOP unless told otherwise, ALIGNB reserves. */
function align(fill: number): Directive {
  return (pass, cursor, token, assembleRest) => {
    const alignment = powerOfTwo(pass, cursor, token);
    if (pass.section !== undefined)
      pass.section.neededAlignment = Math.max(pass.section.neededAlignment, alignment);
    const padding = paddingTo(pass, alignment);
    if (!cursor.takeOperator(',')) return pass.fill(padding, fill);
    const start = cursor.position;
    const target = pass.offset + padding;
    while (pass.offset < target) {
      const before = pass.offset;
      cursor.position = start;
      assembleRest(cursor);
      const length = pass.offset - before;
      if (length === 0) return;
      if (length === 1 && pass.section !== undefined && !pass.section.nobits)
        pass.fill(target - pass.offset, pass.section.bytes[before]);
    }
    cursor.position = cursor.tokens.length;
  };
}

function sectionAlign(pass: Pass, cursor: TokenCursor, token: Token): void {
  const keyword = keywordText(cursor.peek());
  if (keyword === 'on' || keyword === 'off') {
    skip(pass, cursor);
    return;
  }
  const alignment = powerOfTwo(pass, cursor, token);
  if (pass.section !== undefined)
    pass.section.neededAlignment = Math.max(pass.section.neededAlignment, alignment);
}

/** Accepted and without effect here: CPU, FLOAT, LIST, DEBUG, WARNING, MAP. */
function skip(_pass: Pass, cursor: TokenCursor): void {
  cursor.position = cursor.tokens.length;
}

const DIRECTIVES: Readonly<Record<string, Directive>> = {
  bits: (pass, cursor, token) => {
    const start = cursor.peek();
    setBits(pass, scalar(pass, cursor, token), start);
  },
  use16: (pass) => setBits(pass, 16n, undefined),
  use32: (pass) => setBits(pass, 32n, undefined),
  use64: (pass) => setBits(pass, 64n, undefined),
  section,
  segment: section,
  default: setDefault,
  global,
  static: (pass, cursor) => skip(pass, cursor),
  extern,
  required: extern,
  common,
  org: origin,
  absolute,
  align: align(NOP_BYTE),
  alignb: align(0),
  sectalign: sectionAlign,
  struc: (pass, cursor, token) => {
    const name = cursor.next();
    if (name?.kind !== 'identifier') fail('directive', 'STRUC expects a name', name ?? token);
    const start = cursor.takeOperator(',') ? expression(pass, cursor, token) : constantValue(0n);
    beginStructure(pass, name, start);
  },
  endstruc: (pass, _cursor, token) => endStructure(pass, token),
  istruc: (pass, cursor, token) => {
    const name = cursor.next();
    if (name?.kind !== 'identifier') fail('directive', 'ISTRUC expects a name', name ?? token);
    beginInstance(pass, name);
  },
  at: (pass, cursor, token, assembleRest) => {
    const start = cursor.peek();
    instanceField(pass, expression(pass, cursor, token), start);
    if (cursor.takeOperator(',') && !cursor.atEnd) assembleRest(cursor);
  },
  iend: (pass, _cursor, token) => endInstance(pass, token),
  cpu: skip,
  float: skip,
  list: skip,
  debug: skip,
  warning: skip,
  map: skip,
};

/** A lower-case word that is a directive. */
export function isDirective(name: string): boolean {
  return Object.hasOwn(DIRECTIVES, name);
}

/** Runs a directive; the cursor stands behind its name. */
export function runDirective(
  pass: Pass,
  cursor: TokenCursor,
  token: Token,
  assembleRest: AssembleRest,
): void {
  DIRECTIVES[keywordText(token)](pass, cursor, token, assembleRest);
  const extra = cursor.peek();
  if (extra !== undefined) {
    if (extra.kind === 'invalid') fail('invalid-token', extra.message as string, extra);
    fail(
      'directive',
      `unexpected ${operatorText(extra) ? `'${extra.text}'` : extra.text} after ${token.text}`,
      extra,
    );
  }
}
