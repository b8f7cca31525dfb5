/** The questions that %IF and its relatives ask. */

import { fail } from '../assembly-error.js';
import { operatorText, splitAtCommas, type Token } from '../token.js';
import { type MultiLineMacros, parseMacroHeader } from './multi-line-macros.js';
import type { Context } from './parameter-substitution.js';
import type { SingleLineMacros } from './single-line-macros.js';

export interface ConditionSurroundings {
  readonly singleLineMacros: SingleLineMacros;
  readonly multiLineMacros: MultiLineMacros;
  readonly contexts: readonly Context[];
  /** Value of a critical expression. */
  evaluate(tokens: readonly Token[], directive: Token): bigint;
}

type Question = (tokens: readonly Token[], surroundings: ConditionSurroundings, directive: Token) => boolean;

function sameBytes(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && left.every((byte, index) => byte === right[index]);
}

function sameTokens(left: readonly Token[], right: readonly Token[], ignoresCase: boolean): boolean {
  if (left.length !== right.length) return false;
  return left.every((token, index) => {
    const other = right[index];
    if (token.bytes !== undefined && other.bytes !== undefined && !ignoresCase)
      return sameBytes(token.bytes, other.bytes);
    const [a, b] =
      token.bytes && other.bytes
        ? [token.text.slice(1, -1), other.text.slice(1, -1)]
        : [token.text, other.text];
    return ignoresCase ? a.toLowerCase() === b.toLowerCase() : a === b;
  });
}

/** Compares two lists of tokens that a comma separates. */
function identical(ignoresCase: boolean): Question {
  return (tokens, { singleLineMacros }, directive) => {
    const parts = splitAtCommas(singleLineMacros.expand(tokens), '({[', ')}]');
    if (parts.length !== 2) fail('preprocessor', `${directive.text} expects two operands`, directive);
    return sameTokens(parts[0], parts[1], ignoresCase);
  };
}

/** Looks at the first token of the expanded operands. */
function firstToken(test: (token: Token, next: Token | undefined) => boolean): Question {
  return (tokens, { singleLineMacros }) => {
    const [first, next] = singleLineMacros.expand(tokens);
    return first !== undefined && test(first, next);
  };
}

const anyName =
  (test: (name: string, surroundings: ConditionSurroundings) => boolean): Question =>
  (tokens, surroundings, directive) => {
    if (tokens.length === 0) fail('preprocessor', `${directive.text} expects a name`, directive);
    return tokens.some((token) => test(token.text, surroundings));
  };

const isSign = (token: Token): boolean => operatorText(token) === '-' || operatorText(token) === '+';

/** By the name behind `%if`, `%ifn`, `%elif`, `%elifn`. */
const QUESTIONS: Readonly<Record<string, Question>> = {
  '': (tokens, { singleLineMacros, evaluate }, directive) =>
    evaluate(singleLineMacros.expand(tokens), directive) !== 0n,
  def: anyName((name, { singleLineMacros }) => singleLineMacros.isDefined(name)),
  macro: (tokens, { multiLineMacros }, directive) => {
    const [name, ...range] = tokens;
    if (name?.kind !== 'identifier') fail('preprocessor', `${directive.text} expects a name`, directive);
    const found = multiLineMacros.find(name.text);
    if (range.length === 0) return found.length > 0;
    const { minimum, maximum } = parseMacroHeader(tokens, false, directive);
    return found.some((macro) => minimum <= macro.maximum && maximum >= macro.minimum);
  },
  ctx: (tokens, { contexts }) => {
    const context = contexts[contexts.length - 1];
    return (
      context !== undefined && (tokens.length === 0 || tokens.some((token) => token.text === context.name))
    );
  },
  idn: identical(false),
  idni: identical(true),
  id: firstToken((token) => token.kind === 'identifier'),
  num: firstToken((token, next) => token.kind === 'integer' || (isSign(token) && next?.kind === 'integer')),
  str: firstToken((token) => token.kind === 'string'),
  empty: (tokens, { singleLineMacros }) => singleLineMacros.expand(tokens).length === 0,
  token: (tokens, { singleLineMacros }) => singleLineMacros.expand(tokens).length === 1,
  // No environment and no packages exist here.
  env: () => false,
  usable: () => false,
  using: () => false,
};

export interface ConditionDirective {
  readonly isElse: boolean;
  readonly negated: boolean;
  readonly question: Question;
}

/** Takes `%ifndef` or `%elifidn` apart; undefined when it is no conditional. */
export function parseConditionDirective(name: string): ConditionDirective | undefined {
  const match = /^(el)?if(.*)$/.exec(name);
  if (match === null) return undefined;
  const isElse = match[1] !== undefined;
  const kind = match[2];
  if (Object.hasOwn(QUESTIONS, kind)) return { isElse, negated: false, question: QUESTIONS[kind] };
  if (kind.startsWith('n') && Object.hasOwn(QUESTIONS, kind.slice(1)))
    return { isElse, negated: true, question: QUESTIONS[kind.slice(1)] };
  return undefined;
}
