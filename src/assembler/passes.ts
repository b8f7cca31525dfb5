/** The passes over a source: again and again until no symbol moves any more. */

import { AssemblyError, fail } from './assembly-error.js';
import { DiagnosticCollector, diagnosticAt } from './diagnostics.js';
import { ExpressionParser } from './expression.js';
import { tokenizeLine } from './lexer.js';
import { rowsOfMnemonic } from './mnemonic-forms.js';
import { type Assembly, type OutputFormat, Pass } from './pass.js';
import type { PreprocessorHost } from './preprocessor/host.js';
import { Preprocessor } from './preprocessor/preprocessor.js';
import { SectionTable } from './sections.js';
import { type SourceLine, splitIntoLines } from './source-text.js';
import { assembleStatement } from './statement.js';
import { SymbolTable } from './symbols.js';
import type { Token } from './token.js';
import { TokenCursor } from './token-cursor.js';
import { requireScalar, type Value } from './value.js';

export interface PassesOptions {
  readonly fileName: string;
  readonly format: OutputFormat;
  readonly readFile: (path: string, from: string) => Uint8Array | undefined;
  readonly includePaths: readonly string[];
  readonly defines: Readonly<Record<string, string>>;
}

/** NASM gives up much later; a program that needs more passes than this does not settle. */
const MAXIMUM_PASSES = 80;
/** Statements in all passes together. */
const MAXIMUM_WORK = 8_000_000;

/** An environment for expressions that must be known at once: %IF, %ASSIGN, %REP. */
function evaluateCritically(pass: Pass, tokens: readonly Token[], directive: Token): bigint {
  if (tokens.length === 0) fail('expression', `${directive.text} expects an expression`, directive);
  const environment = {
    here: () => pass.here(),
    sectionStart: () => pass.sectionStart(),
    lookUpSymbol: (token: Token): Value => {
      const entry = pass.assembly.symbols.find(pass.scope.fullName(token));
      if (entry?.value === undefined || entry.value.unknown) {
        if (pass.assembly.incomplete || entry?.failed) throw new AssemblyError('', '', token);
        fail('undefined-symbol', `symbol '${token.text}' is not defined before its use`, token);
      }
      return entry.value;
    },
  };
  const cursor = new TokenCursor(tokens);
  const value = new ExpressionParser(cursor, environment).parse();
  if (!cursor.atEnd) fail('expression', `unexpected '${cursor.peek()?.text}'`, cursor.peek());
  return requireScalar(value, `the operand of ${directive.text}`, tokens[0]);
}

/** Files, each split into lines once for all passes. */
class SourceFiles {
  private readonly cache = new Map<string, readonly SourceLine[] | undefined>();
  private readonly options: PassesOptions;

  constructor(options: PassesOptions) {
    this.options = options;
  }

  private find(path: string, from: string): { name: string; bytes: Uint8Array } | undefined {
    const { readFile, includePaths } = this.options;
    const inFolder = (folder: string): string => (/^$|\/$/.test(folder) ? folder : `${folder}/`) + path;
    for (const name of [path, ...includePaths.map(inFolder)]) {
      const bytes = readFile(name, from);
      if (bytes !== undefined) return { name, bytes };
    }
    return undefined;
  }

  readonly bytes = (path: string, from: string): Uint8Array | undefined => this.find(path, from)?.bytes;

  lines(path: string, from: string): readonly SourceLine[] | undefined {
    const key = `${from}\n${path}`;
    if (!this.cache.has(key)) {
      const found = this.find(path, from);
      this.cache.set(key, found && splitIntoLines(found.name, new TextDecoder().decode(found.bytes)));
    }
    return this.cache.get(key);
  }
}

function integerToken(value: number): Token {
  return { kind: 'integer', text: String(value), value: BigInt(value), column: 1, spaceBefore: false };
}

/** Names that NASM predefines, with and without its question marks. */
function builtInName(name: string, pass: Pass, preprocessor: () => Preprocessor): Token | undefined {
  if (!name.startsWith('__')) return undefined;
  const plain = name.startsWith('__?') && name.endsWith('?__') ? `__${name.slice(3, -3)}__` : name;
  switch (plain) {
    case '__LINE__':
      return integerToken(preprocessor().currentOrigin.line.number);
    case '__BITS__':
      return integerToken(pass.codeSize);
    case '__FILE__':
      return tokenizeLine(JSON.stringify(preprocessor().current.file))[0];
    case '__OUTPUT_FORMAT__':
      return { kind: 'identifier', text: pass.assembly.format, column: 1, spaceBefore: false };
    default:
      return undefined;
  }
}

function runPass(pass: Pass, files: SourceFiles, main: readonly SourceLine[], options: PassesOptions): void {
  const { diagnostics } = pass.assembly;
  const report: PreprocessorHost['report'] = (severity, code, message, origin, token) => {
    if (code === 'too-long') pass.assembly.aborted = true;
    if (code !== '')
      diagnostics.add(diagnosticAt(severity, code, message, origin, token), severity === 'warning');
  };
  const host: PreprocessorHost = {
    readLines: (path, from) => files.lines(path, from),
    evaluate: (tokens, directive) => evaluateCritically(pass, tokens, directive),
    report,
    listLine: (line, depth) => pass.listLine(line, depth),
    isInstruction: (name) => rowsOfMnemonic(name.toUpperCase()) !== undefined,
    noteIncomplete: () => {
      pass.assembly.incomplete = true;
    },
  };
  const preprocessor: Preprocessor = new Preprocessor(host, main, (name) =>
    builtInName(name, pass, () => preprocessor),
  );
  for (const [name, text] of Object.entries(options.defines)) {
    const body = tokenizeLine(text);
    preprocessor.singleLineMacros.define({
      name,
      ignoresCase: false,
      parameters: undefined,
      greedy: false,
      body,
    });
  }
  for (;;) {
    pass.markPosition();
    const line = preprocessor.nextLine();
    if (line === undefined) break;
    pass.line = line.origin;
    try {
      assembleStatement(pass, line.tokens);
      pass.keepReports();
    } catch (error) {
      if (!(error instanceof AssemblyError)) throw error;
      pass.dropReports();
      report('error', error.code, error.message, line.origin, error.token);
      if (pass.assembly.aborted) return;
    }
  }
  pass.finish();
}

/** Runs passes until they agree; the last one holds sections, listing and diagnostics. */
export function runPasses(source: string, options: PassesOptions): { assembly: Assembly; pass: Pass } {
  const files = new SourceFiles(options);
  const main = splitIntoLines(options.fileName, source);
  const assembly: Assembly = {
    format: options.format,
    symbols: new SymbolTable(),
    sections: new SectionTable(),
    diagnostics: new DiagnosticCollector(),
    readFile: files.bytes,
    longBranches: new Set(),
    incomplete: false,
    aborted: false,
  };
  let sizes = '';
  let work = 0;
  for (let number = 1; ; number++) {
    assembly.sections.reset();
    assembly.diagnostics.beginPass();
    assembly.symbols.changed = false;
    const pass = new Pass(assembly, number, options.fileName);
    runPass(pass, files, main, options);
    assembly.symbols.dropUndefined(number);
    const newSizes = assembly.sections.list.map((section) => section.size).join();
    const settled = number > 1 && !assembly.symbols.changed && newSizes === sizes;
    work += pass.statementCount;
    if (settled || assembly.aborted) return { assembly, pass };
    sizes = newSizes;
    if (number >= MAXIMUM_PASSES || work > MAXIMUM_WORK) {
      const message = `symbols still move after ${number} passes`;
      assembly.diagnostics.add(diagnosticAt('error', 'not-settled', message, pass.line), true);
      return { assembly, pass };
    }
  }
}
