/** Diagnostics: their form, their text, and the collector that keeps one per cause. */

import type { LineOrigin } from './source-text.js';
import type { Token } from './token.js';

export interface Diagnostic {
  /** Stable identifier: `undefined-symbol`, `operand-size`, … */
  readonly code: string;
  readonly severity: 'error' | 'warning';
  readonly file: string;
  /** 1-based. */
  readonly line: number;
  /** 1-based, in UTF-16 units. */
  readonly column: number;
  readonly message: string;
  readonly sourceLine: string;
}

/** Of a source line that is longer, only the part around the column is shown. */
const SHOWN_WIDTH = 160;

/** `file:line:column: error: text`, the source line, and a caret under the column. Three lines, no line end. */
export function formatDiagnostic(diagnostic: Diagnostic): string {
  const { file, line, column, severity, message } = diagnostic;
  const { text, before } = excerpt(diagnostic.sourceLine, column - 1);
  const indent = text.slice(0, before).replace(/[^\t]/g, ' ');
  return `${file}:${line}:${column}: ${severity}: ${printable(message)}\n${printable(text)}\n${indent}^`;
}

/** Sources come from anywhere: control characters would drive the reader's terminal. */
const printable = (text: string): string => text.replace(/[^\P{Cc}\t]/gu, '·');

/** The line, or what of it surrounds `index`; `before` counts the characters in front of that place. */
function excerpt(line: string, index: number): { readonly text: string; readonly before: number } {
  if (line.length <= SHOWN_WIDTH) return { text: line, before: index };
  const start = Math.max(0, Math.min(index - SHOWN_WIDTH / 2, line.length - SHOWN_WIDTH));
  const end = start + SHOWN_WIDTH;
  const [left, right] = [start === 0 ? '' : '…', end >= line.length ? '' : '…'];
  return { text: left + line.slice(start, end) + right, before: left.length + index - start };
}

/** Makes a diagnostic for a place in a logical line; inside a macro it points at the invocation and names the body line. */
export function diagnosticAt(
  severity: 'error' | 'warning',
  code: string,
  message: string,
  origin: LineOrigin,
  token?: Token,
): Diagnostic {
  const { line, invocationColumn, macro } = origin;
  const firstColumn = line.tokens[0]?.column ?? 1;
  const column = invocationColumn > 0 ? invocationColumn : (token?.column ?? firstColumn);
  const place =
    macro === undefined ? '' : ` (in macro ${macro.name}, ${macro.body.file}:${macro.body.number})`;
  return {
    code,
    severity,
    file: line.file,
    line: line.number,
    column,
    message: message + place,
    sourceLine: line.text,
  };
}

/**
 * Collects diagnostics over the passes. Errors of syntax count whenever they were seen; what depends on the values of
 * labels (`provisional`) counts only when the last pass still says so.
 */
export class DiagnosticCollector {
  private readonly lasting = new Map<string, Diagnostic>();
  private provisional = new Map<string, Diagnostic>();

  beginPass(): void {
    this.provisional = new Map();
  }

  add(diagnostic: Diagnostic, provisional: boolean): void {
    const { severity, file, line, column, message } = diagnostic;
    const key = `${file}:${line}:${column}:${severity}:${message}`;
    (provisional ? this.provisional : this.lasting).set(key, diagnostic);
  }

  /** In order of place; several messages for one place keep the order in which they arose. */
  sorted(): Diagnostic[] {
    const all = [...new Map([...this.lasting, ...this.provisional]).values()];
    const files = [...new Set(all.map((diagnostic) => diagnostic.file))];
    const order = (d: Diagnostic): number => files.indexOf(d.file);
    return all.sort((a, b) => order(a) - order(b) || a.line - b.line || a.column - b.column);
  }
}
