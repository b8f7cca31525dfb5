/** Source files as numbered lines, and where a line that reaches the assembler came from. */

import { tokenizeLine } from './lexer.js';
import type { Token } from './token.js';

export interface SourceLine {
  readonly file: string;
  /** 1-based number of the first physical line. */
  readonly number: number;
  readonly text: string;
  readonly tokens: readonly Token[];
}

/** Place of a logical line for diagnostics and the listing. */
export interface LineOrigin {
  /** The line in a file, for lines out of a macro the line that invoked the outermost one. */
  readonly line: SourceLine;
  /** Column of the outermost macro's name when the line comes out of a macro, otherwise 0. */
  readonly invocationColumn: number;
  /** Innermost macro and the line of its body, when the line comes out of one. */
  readonly macro?: { readonly name: string; readonly body: SourceLine };
}

/** A line ready for the assembler: macros expanded, directives of the preprocessor gone. */
export interface LogicalLine {
  readonly tokens: readonly Token[];
  readonly origin: LineOrigin;
}

/** Splits a file into lines; a backslash at the end of a line joins the next one. */
export function splitIntoLines(file: string, text: string): SourceLine[] {
  const lines: SourceLine[] = [];
  const physical = withoutByteOrderMark(text)
    .split('\n')
    .map((line) => (line.endsWith('\r') ? line.slice(0, -1) : line));
  if (physical[physical.length - 1] === '') physical.pop();
  for (let index = 0; index < physical.length; index++) {
    const number = index + 1;
    const parts = [physical[index]];
    while (parts[parts.length - 1].endsWith('\\') && index + 1 < physical.length) {
      parts.push(parts.pop()!.slice(0, -1));
      parts.push(physical[++index]);
    }
    const joined = parts.join('');
    lines.push({ file, number, text: joined, tokens: tokenizeLine(joined) });
  }
  return lines;
}

/** Some editors put one in front of UTF-8. */
function withoutByteOrderMark(text: string): string {
  return text.startsWith('\ufeff') ? text.slice(1) : text;
}
