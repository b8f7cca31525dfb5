/** Directives that steer what is read: %INCLUDE, %MACRO, %REP, %ROTATE, %PUSH, %ERROR and their relatives. */

import { AssemblyError, fail } from '../assembly-error.js';
import { operatorText, type Token, tokensToText } from '../token.js';
import type { Frame } from './frames.js';
import { type MultiLineMacro, type MultiLineMacros, parseMacroHeader } from './multi-line-macros.js';
import type { Context } from './parameter-substitution.js';
import type { SingleLineMacros } from './single-line-macros.js';

/** What the directives need of the preprocessor. */
export interface FlowSurroundings {
  readonly singleLineMacros: SingleLineMacros;
  readonly multiLineMacros: MultiLineMacros;
  readonly contexts: Context[];
  /** From the main file inward. */
  readonly frames: Frame[];
  evaluate(tokens: readonly Token[], directive: Token): bigint;
  report(severity: 'error' | 'warning', code: string, message: string, token: Token): void;
  beginMacro(directive: Token, macro: MultiLineMacro | undefined): void;
  beginRepetition(directive: Token, count: number): void;
  include(path: string, place: Token): void;
  openContext(name: string): void;
  stop(): void;
}

type FlowDirective = (surroundings: FlowSurroundings, tokens: readonly Token[], directive: Token) => void;

const MAXIMUM_REPETITIONS = 1_000_000n;

function macro(ignoresCase: boolean): FlowDirective {
  return (surroundings, tokens, directive) => {
    try {
      surroundings.beginMacro(directive, parseMacroHeader(tokens, ignoresCase, directive));
    } catch (error) {
      // The body must still be skipped.
      if (error instanceof AssemblyError) surroundings.beginMacro(directive, undefined);
      throw error;
    }
  };
}

function forgetMacro(surroundings: FlowSurroundings, tokens: readonly Token[], directive: Token): void {
  const { name, minimum, maximum } = parseMacroHeader(tokens, false, directive);
  surroundings.multiLineMacros.undefine(name, minimum, maximum);
}

function repeat(surroundings: FlowSurroundings, tokens: readonly Token[], directive: Token): void {
  try {
    const operands = tokens.filter((token) => token.text.toLowerCase() !== '.nolist');
    const count = surroundings.evaluate(surroundings.singleLineMacros.expand(operands), directive);
    if (count > MAXIMUM_REPETITIONS) fail('too-long', `%rep ${count} is too large`, tokens[0] ?? directive);
    surroundings.beginRepetition(directive, Math.max(0, Number(count)));
  } catch (error) {
    if (error instanceof AssemblyError) surroundings.beginRepetition(directive, 0);
    throw error;
  }
}

/** Ends the innermost frame of a kind, and everything inside it. */
function leave(surroundings: FlowSurroundings, kind: Frame['kind'], directive: Token): void {
  const { frames } = surroundings;
  const index = frames.findLastIndex((frame) => frame.kind === kind);
  if (index < 0) fail('preprocessor', `${directive.text} outside of a ${kind}`, directive);
  frames.length = index + 1;
  const frame = frames[index];
  frame.next = frame.lines.length;
  frame.remaining = 0;
  frame.conditions.length = 0;
}

function include(surroundings: FlowSurroundings, tokens: readonly Token[], directive: Token): void {
  const operands = surroundings.singleLineMacros.expand(tokens);
  const [first] = operands;
  if (first === undefined) fail('preprocessor', '%include expects a file name', directive);
  if (first.kind === 'invalid') fail('invalid-token', first.message as string, first);
  const isString = first.kind === 'string';
  surroundings.include(isString ? new TextDecoder().decode(first.bytes) : tokensToText(operands), tokens[0]);
}

function rotate(surroundings: FlowSurroundings, tokens: readonly Token[], directive: Token): void {
  const expansion = surroundings.frames[surroundings.frames.length - 1].expansion;
  if (expansion === undefined) fail('preprocessor', '%rotate outside of a macro', directive);
  const count = expansion.parameters.length;
  const by = surroundings.evaluate(surroundings.singleLineMacros.expand(tokens), directive);
  if (count > 0) expansion.rotation = Number((BigInt(expansion.rotation) + by) % BigInt(count));
}

function messageText(surroundings: FlowSurroundings, tokens: readonly Token[]): string {
  const expanded = surroundings.singleLineMacros.expand(tokens);
  return expanded.length === 1 && expanded[0].bytes !== undefined
    ? new TextDecoder().decode(expanded[0].bytes)
    : tokensToText(expanded);
}

function message(severity: 'error' | 'warning'): FlowDirective {
  return (surroundings, tokens, directive) =>
    surroundings.report(severity, `user-${severity}`, messageText(surroundings, tokens), directive);
}

function innermostContext(surroundings: FlowSurroundings, directive: Token): Context {
  const context = surroundings.contexts[surroundings.contexts.length - 1];
  if (context === undefined) fail('context', `${directive.text}: no context is open`, directive);
  return context;
}

const ignore: FlowDirective = () => {};

function unsupported(_surroundings: FlowSurroundings, _tokens: readonly Token[], directive: Token): never {
  return fail('preprocessor', `${directive.text} is not supported`, directive);
}

export const FLOW_DIRECTIVES: Readonly<Record<string, FlowDirective>> = {
  macro: macro(false),
  imacro: macro(true),
  rmacro: macro(false),
  irmacro: macro(true),
  endmacro: (_surroundings, _tokens, directive) =>
    fail('preprocessor', '%endmacro without %macro', directive),
  endm: (_surroundings, _tokens, directive) => fail('preprocessor', '%endm without %macro', directive),
  unmacro: forgetMacro,
  unimacro: forgetMacro,
  exitmacro: (surroundings, _tokens, directive) => leave(surroundings, 'macro', directive),
  rep: repeat,
  endrep: (_surroundings, _tokens, directive) => fail('preprocessor', '%endrep without %rep', directive),
  exitrep: (surroundings, _tokens, directive) => leave(surroundings, 'repetition', directive),
  include,
  rotate,
  error: message('error'),
  warning: message('warning'),
  fatal: (surroundings, tokens, directive) => {
    message('error')(surroundings, tokens, directive);
    surroundings.stop();
  },
  push: (surroundings, tokens) => surroundings.openContext(tokens[0]?.text ?? ''),
  pop: (surroundings, tokens, directive) => {
    const { name } = innermostContext(surroundings, directive);
    if (tokens.length > 0 && tokens[0].text !== name)
      fail('context', `%pop ${tokens[0].text}: the innermost context is '${name}'`, tokens[0]);
    surroundings.contexts.pop();
  },
  repl: (surroundings, tokens, directive) => {
    const { id } = innermostContext(surroundings, directive);
    surroundings.contexts.pop();
    surroundings.contexts.push({ id, name: tokens[0]?.text ?? '' });
  },
  use: (surroundings, tokens, directive) =>
    surroundings.report(
      'warning',
      'unsupported-package',
      `%use ${tokens[0]?.text ?? ''} is ignored`,
      directive,
    ),
  line: ignore,
  pragma: ignore,
  depend: ignore,
  arg: unsupported,
  local: unsupported,
  stacksize: unsupported,
};

/** `foo` or `foo:` as a label on a line of its own. */
export function asLabel(tokens: readonly Token[]): readonly Token[] {
  const [name] = tokens;
  if (operatorText(tokens[1]) === ':') return tokens;
  return [name, { kind: 'operator', text: ':', column: name.column, spaceBefore: false }];
}
