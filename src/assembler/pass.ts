/** The state of one pass over the source: where it assembles to, what symbols mean, what it has to say. */

import { AssemblyError, fail } from './assembly-error.js';
import { type Diagnostic, type DiagnosticCollector, diagnosticAt } from './diagnostics.js';
import type { ExpressionEnvironment } from './expression.js';
import type { CodeSize } from './instruction-statement.js';
import { MAXIMUM_SECTION_SIZE, type Section, type SectionTable } from './sections.js';
import type { LineOrigin, SourceLine } from './source-text.js';
import { LabelScope, type SymbolEntry, type SymbolTable } from './symbols.js';
import type { Token } from './token.js';
import { addressValue, addValues, constantValue, UNKNOWN_VALUE, type Value } from './value.js';

export type OutputFormat = 'bin' | 'elf32' | 'elf64';

/** What all passes share. */
export interface Assembly {
  readonly format: OutputFormat;
  readonly symbols: SymbolTable;
  readonly sections: SectionTable;
  readonly diagnostics: DiagnosticCollector;
  readonly readFile: (path: string, from: string) => Uint8Array | undefined;
  /** Branches that must stay long because their size did not settle. */
  readonly longBranches: Set<number>;
  /** A file could not be included: what it would have defined is not reported as missing. */
  incomplete: boolean;
  /** The source exceeds a limit: no further pass makes sense. */
  aborted: boolean;
}

/** A stretch of output that a source line made, for the listing. */
export interface ListedLine {
  readonly file: string;
  readonly number: number;
  readonly text: string;
  /** Macros around it. */
  readonly depth: number;
  section: Section | undefined;
  offset: number;
  length: number;
}

/** Where statements go: a section, or an ABSOLUTE segment that only counts. */
export type Location =
  | { readonly kind: 'section'; readonly section: Section }
  | { readonly kind: 'absolute'; readonly start: Value; size: number };

/** An `istruc` that waits for its `iend`. */
export interface OpenStructure {
  readonly name: Token;
  readonly start: number;
}

const STATEMENT_LIMIT = 2_000_000;
/** Passes in which branches may shrink and grow as they like. */
const FREE_SIZING_PASSES = 24;

export class Pass implements ExpressionEnvironment {
  readonly assembly: Assembly;
  readonly number: number;
  readonly scope = new LabelScope();
  location: Location;
  /** Section to go back to after STRUC or ABSOLUTE. */
  lastSection: Section;
  codeSize: CodeSize;
  defaultRelative = false;
  /** From ORG. */
  origin: bigint | undefined;
  /** Offset at which the current statement starts. */
  statementStart = 0;
  /** The line being assembled. */
  line: LineOrigin;
  openStructure: { name: string; previous: Section } | undefined;
  openInstance: OpenStructure | undefined;
  readonly listing: ListedLine[] = [];
  /** Code sizes for which instructions were encoded. */
  readonly codeSizes = new Set<CodeSize>();
  private instructions = 0;
  private readonly reports: { diagnostic: Diagnostic; provisional: boolean }[] = [];
  private statements = 0;

  constructor(assembly: Assembly, number: number, fileName: string) {
    this.line = { line: { file: fileName, number: 1, text: '', tokens: [] }, invocationColumn: 0 };
    this.assembly = assembly;
    this.number = number;
    this.lastSection = assembly.sections.open('.text');
    this.location = { kind: 'section', section: this.lastSection };
    this.codeSize = assembly.format === 'elf64' ? 64 : assembly.format === 'elf32' ? 32 : 16;
  }

  /** Offset of the next byte in the section or ABSOLUTE segment. */
  get offset(): number {
    return this.location.kind === 'section' ? this.location.section.size : this.location.size;
  }

  get section(): Section | undefined {
    return this.location.kind === 'section' ? this.location.section : undefined;
  }

  enterSection(section: Section): void {
    this.lastSection = section;
    this.location = { kind: 'section', section };
    this.beginStatement();
  }

  enterAbsolute(start: Value): void {
    this.location = { kind: 'absolute', start, size: 0 };
    this.beginStatement();
  }

  /** Fixes `$` for what follows. */
  markPosition(): void {
    this.statementStart = this.offset;
  }

  beginStatement(): void {
    this.markPosition();
    this.countStatement();
  }

  get statementCount(): number {
    return this.statements;
  }

  /** One more statement, or repetition of one. `$` stays where the first repetition starts, as with NASM. */
  countStatement(): void {
    if (++this.statements > STATEMENT_LIMIT) fail('too-long', 'the program has too many statements');
  }

  here(): Value {
    return this.valueOfOffset(this.statementStart);
  }

  sectionStart(): Value {
    return this.valueOfOffset(0);
  }

  private valueOfOffset(offset: number): Value {
    if (this.location.kind === 'section') return addressValue(this.location.section, BigInt(offset));
    return addValues(this.location.start, constantValue(BigInt(offset)), 1n);
  }

  lookUpSymbol(token: Token): Value {
    const name = this.scope.fullName(token);
    const entry = this.assembly.symbols.find(name);
    if (entry?.failed) throw new AssemblyError('', '', token);
    if (entry?.external !== undefined) return addressValue(entry.external, 0n);
    if (entry?.value !== undefined) {
      const isReported = entry.reportedInPass === this.number || this.assembly.incomplete;
      if (entry.value.unknown && this.number > 1 && !isReported)
        this.report('error', 'circular-definition', `symbol '${token.text}' depends on itself`, token, true);
      return entry.value;
    }
    if (this.number === 1 || this.assembly.incomplete) return UNKNOWN_VALUE;
    this.report('error', 'undefined-symbol', `symbol '${token.text}' is not defined`, token, true);
    return UNKNOWN_VALUE;
  }

  /** Defines a label or constant under its full name. */
  defineSymbol(token: Token, value: Value, isConstant: boolean): void {
    const { symbols } = this.assembly;
    const name = this.scope.fullName(token);
    const entry = symbols.entry(name);
    if (entry.external !== undefined)
      fail('redefined-symbol', `symbol '${name}' is declared as external or common`, token);
    const { file, number: line } = this.line.line;
    if (entry.definedInPass === this.number) {
      // The same constant again does no harm.
      if (entry.isConstant && isConstant && entry.value?.constant === value.constant) return;
      const first = entry.definition as { file: string; line: number };
      fail('redefined-symbol', `symbol '${name}' is already defined at ${first.file}:${first.line}`, token);
    }
    symbols.define(name, value, this.number, isConstant, { file, line });
    entry.failed = false;
    // Whatever the value lacks has been reported with this line.
    if (value.unknown) entry.reportedInPass = this.number;
    if (!isConstant) this.scope.enter(name);
  }

  /** Declares a symbol that another object defines. */
  declareExternal(token: Token): SymbolEntry {
    const known = this.assembly.symbols.find(token.text);
    if (known?.definedInPass === this.number)
      fail('redefined-symbol', `symbol '${token.text}' is defined in this file`, token);
    return this.assembly.symbols.declareExternal(token.text);
  }

  /** A definition was in error: later uses of the name are not reported as well. */
  markFailed(token: Token): void {
    const entry = this.assembly.symbols.entry(this.scope.fullName(token));
    if (entry.value === undefined) entry.failed = true;
  }

  report(
    severity: 'error' | 'warning',
    code: string,
    message: string,
    token: Token | undefined,
    provisional: boolean,
  ): void {
    this.reports.push({ diagnostic: diagnosticAt(severity, code, message, this.line, token), provisional });
  }

  /** The line is done: what was reported about it counts. */
  keepReports(): void {
    for (const { diagnostic, provisional } of this.reports)
      this.assembly.diagnostics.add(diagnostic, provisional);
    this.reports.length = 0;
  }

  /** The line is in error: that one error says enough. */
  dropReports(): void {
    this.reports.length = 0;
  }

  warn(code: string, message: string, token?: Token): void {
    this.report('warning', code, message, token, true);
  }

  /** Starts an instruction: true when it must not use a short branch because branches around it did not settle. */
  beginInstruction(): boolean {
    return this.assembly.longBranches.has(++this.instructions);
  }

  /** Ends an instruction. Late passes keep what is not a short branch long, so that sizes can only grow. */
  endInstruction(lengthInBytes: number): void {
    this.codeSizes.add(this.codeSize);
    if (this.number > FREE_SIZING_PASSES && lengthInBytes > 2)
      this.assembly.longBranches.add(this.instructions);
  }

  /** Appends bytes; an ABSOLUTE segment and a section without content only count them. */
  emit(bytes: Uint8Array): void {
    if (this.location.kind === 'section') {
      if (this.location.section.nobits && bytes.length > 0)
        this.warn(
          'nobits-content',
          `bytes in section ${this.location.section.name} without content are ignored`,
        );
      this.location.section.append(bytes);
    } else {
      this.growAbsolute(bytes.length);
    }
  }

  /** Appends `count` bytes of the same value. */
  fill(count: number, byte: number): void {
    if (this.location.kind === 'section') this.location.section.appendFill(count, byte);
    else this.growAbsolute(count);
  }

  private growAbsolute(count: number): void {
    if (this.location.kind !== 'absolute') return;
    this.location.size += count;
    if (this.location.size > Number.MAX_SAFE_INTEGER / 4) fail('section-size', 'the segment is too large');
  }

  /** Notes a line for the listing; what is emitted until the next one belongs to it. */
  listLine(line: SourceLine, depth: number): void {
    this.endListedLine();
    const { file, number, text } = line;
    this.listing.push({ file, number, text, depth, section: this.section, offset: this.offset, length: 0 });
  }

  private endListedLine(): void {
    const last = this.listing[this.listing.length - 1];
    if (last !== undefined && last.section === this.section) last.length = this.offset - last.offset;
  }

  /** Ends the pass: reports what is still open. */
  finish(): void {
    this.endListedLine();
    if (this.openStructure !== undefined)
      this.report('error', 'structure', `STRUC ${this.openStructure.name} is never closed`, undefined, true);
    if (this.openInstance !== undefined)
      this.report(
        'error',
        'structure',
        `ISTRUC ${this.openInstance.name.text} is never closed`,
        undefined,
        true,
      );
    this.keepReports();
  }

  /** A count of bytes or repetitions from an expression: not negative, not beyond all bounds. */
  checkCount(count: bigint, what: string, token?: Token): number {
    if (count < 0n) fail('negative-count', `${what} ${count} is negative`, token);
    if (count > BigInt(MAXIMUM_SECTION_SIZE)) fail('section-size', `${what} ${count} is too large`, token);
    return Number(count);
  }
}
