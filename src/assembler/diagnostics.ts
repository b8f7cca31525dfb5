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

/** `file:line:column: error: text`, the source line, and a caret under the column. Three lines, no line end. */
export function formatDiagnostic(diagnostic: Diagnostic): string {
  const { file, line, column, severity, message, sourceLine } = diagnostic;
  const indent = sourceLine.slice(0, column - 1).replace(/[^\t]/g, ' ');
  return `${file}:${line}:${column}: ${severity}: ${message}\n${sourceLine}\n${indent}^`;
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

  get hasLastingErrors(): boolean {
    return [...this.lasting.values()].some((diagnostic) => diagnostic.severity === 'error');
  }

  /** In order of place; several messages for one place keep the order in which they arose. */
  sorted(): Diagnostic[] {
    const all = [...new Map([...this.lasting, ...this.provisional]).values()];
    const files = [...new Set(all.map((diagnostic) => diagnostic.file))];
    const order = (d: Diagnostic): number => files.indexOf(d.file);
    return all.sort((a, b) => order(a) - order(b) || a.line - b.line || a.column - b.column);
  }
}
