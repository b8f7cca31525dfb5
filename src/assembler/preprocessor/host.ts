/** What the preprocessor needs from the assembler around it. */

import type { LineOrigin, SourceLine } from '../source-text.js';
import type { Token } from '../token.js';

export interface PreprocessorHost {
  /** The lines of an included file, or undefined when there is no such file. */
  readLines(path: string, from: string): readonly SourceLine[] | undefined;
  /** Value of an expression all of whose symbols must be known already. */
  evaluate(tokens: readonly Token[], directive: Token): bigint;
  report(
    severity: 'error' | 'warning',
    code: string,
    message: string,
    origin: LineOrigin,
    token?: Token,
  ): void;
  /** A line has been read, for the listing. `depth` counts the macros around it. */
  listLine(line: SourceLine, depth: number): void;
  /** A name that stays an instruction when the macro of that name does not take the operands. */
  isInstruction(name: string): boolean;
  /** What a failed %INCLUDE would have defined is unknown. */
  noteIncomplete(): void;
}
