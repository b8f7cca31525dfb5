/** What the preprocessor reads from: files, expansions of macros, repetitions, one inside the other. */

import type { LineOrigin, SourceLine } from '../source-text.js';
import type { Token } from '../token.js';
import type { MultiLineMacro } from './multi-line-macros.js';

/** One invocation of a macro with parameters. */
export interface MacroExpansion {
  readonly macro: MultiLineMacro;
  readonly parameters: readonly (readonly Token[])[];
  /** How far %ROTATE has turned the parameters. */
  rotation: number;
  /** Makes `%%name` unique. */
  readonly id: number;
  /** The label before the invocation (`%00`). */
  readonly label: readonly Token[];
}

export interface ConditionState {
  /** Lines of the current branch count. */
  active: boolean;
  /** A branch has been taken, or none can be because the surroundings do not count. */
  settled: boolean;
  seenElse: boolean;
  readonly line: SourceLine;
  readonly token: Token;
}

export interface Frame {
  readonly kind: 'file' | 'macro' | 'repetition';
  readonly lines: readonly SourceLine[];
  next: number;
  /** Innermost macro whose parameters the lines can use. */
  readonly expansion: MacroExpansion | undefined;
  /** Where the outermost macro was invoked, undefined outside of macros. */
  readonly invocation: { readonly line: SourceLine; readonly column: number } | undefined;
  readonly conditions: ConditionState[];
  /** Macros around the lines. */
  readonly depth: number;
  /** Repetitions still to come after this one. */
  remaining: number;
}

/** All conditions around the next line hold. */
export function isActive(frame: Frame): boolean {
  const { conditions } = frame;
  return conditions.length === 0 || conditions[conditions.length - 1].active;
}

export function originOf(frame: Frame, line: SourceLine): LineOrigin {
  const { invocation, expansion } = frame;
  if (invocation === undefined || expansion === undefined) return { line, invocationColumn: 0 };
  return {
    line: invocation.line,
    invocationColumn: invocation.column,
    macro: { name: expansion.macro.name, body: line },
  };
}
