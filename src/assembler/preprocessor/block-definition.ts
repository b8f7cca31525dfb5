/** Blocks whose lines are collected before they count: %MACRO … %ENDMACRO and %REP … %ENDREP. */

import type { LineOrigin, SourceLine } from '../source-text.js';
import type { Token } from '../token.js';
import type { MultiLineMacro } from './multi-line-macros.js';

export interface BlockDefinition {
  readonly directive: Token;
  readonly origin: LineOrigin;
  readonly lines: SourceLine[];
  /** Undefined for a repetition, and for a macro whose header was in error: its lines are dropped. */
  readonly macro: MultiLineMacro | undefined;
  readonly repetitions: number;
  readonly isRepetition: boolean;
  /** Blocks of the same kind that are open inside. */
  nested: number;
}

const OPENING_MACRO = /^%(i?macro|rmacro|irmacro)$/i;
const CLOSING_MACRO = /^%(endm|endmacro)$/i;
const OPENING_REPETITION = /^%rep$/i;
const CLOSING_REPETITION = /^%endrep$/i;

/** Adds a line to the block; true when the line closes it. */
export function collectLine(definition: BlockDefinition, line: SourceLine): boolean {
  const first = line.tokens[0];
  const text = first?.kind === 'preprocessor' ? first.text : '';
  const opening = definition.isRepetition ? OPENING_REPETITION : OPENING_MACRO;
  const closing = definition.isRepetition ? CLOSING_REPETITION : CLOSING_MACRO;
  if (opening.test(text)) definition.nested++;
  else if (closing.test(text) && definition.nested-- === 0) return true;
  definition.lines.push(line);
  return false;
}
