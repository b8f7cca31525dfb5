/** Directives that give names a meaning: %DEFINE, %ASSIGN, %UNDEF, and those that work on strings. */

import { fail } from '../assembly-error.js';
import { tokenizeLine } from '../lexer.js';
import { operatorText, splitAtCommas, type Token, tokensToText } from '../token.js';
import type { SingleLineMacro, SingleLineMacros } from './single-line-macros.js';

export interface DefinitionSurroundings {
  readonly singleLineMacros: SingleLineMacros;
  evaluate(tokens: readonly Token[], directive: Token): bigint;
}

type DefinitionDirective = (
  tokens: readonly Token[],
  surroundings: DefinitionSurroundings,
  directive: Token,
  ignoresCase: boolean,
) => void;

function readName(tokens: readonly Token[], directive: Token): Token {
  const [name] = tokens;
  if (name?.kind !== 'identifier')
    fail('preprocessor', `${directive.text} expects a name`, name ?? directive);
  return name;
}

interface Header {
  readonly parameters: string[] | undefined;
  readonly greedy: boolean;
  readonly bodyStart: number;
}

/** `(a, b+)` directly behind the name; `=a` marks are accepted and mean nothing here. */
function readParameters(tokens: readonly Token[], directive: Token): Header {
  const open = tokens[1];
  if (operatorText(open) !== '(' || open.spaceBefore)
    return { parameters: undefined, greedy: false, bodyStart: 1 };
  const close = tokens.findIndex((token) => operatorText(token) === ')');
  if (close < 0) fail('preprocessor', `missing ')' of the parameters of ${tokens[0].text}`, open);
  let greedy = false;
  const parameters = splitAtCommas(tokens.slice(2, close), '', '').map((part) => {
    const names = part.filter((token) => token.kind === 'identifier');
    if (names.length !== 1)
      fail('preprocessor', `${directive.text} expects names of parameters`, part[0] ?? open);
    if (operatorText(part[part.length - 1]) === '+') greedy = true;
    return names[0].text;
  });
  return { parameters, greedy, bodyStart: close + 1 };
}

function define(expandsBody: boolean): DefinitionDirective {
  return (tokens, { singleLineMacros }, directive, ignoresCase) => {
    const name = readName(tokens, directive);
    const { parameters, greedy, bodyStart } = readParameters(tokens, directive);
    const written = tokens.slice(bodyStart);
    const body = expandsBody ? singleLineMacros.expand(written) : written;
    singleLineMacros.define({ name: name.text, ignoresCase, parameters, greedy, body });
  };
}

function plainMacro(name: Token, ignoresCase: boolean, body: readonly Token[]): SingleLineMacro {
  return { name: name.text, ignoresCase, parameters: undefined, greedy: false, body };
}

function integerToken(value: bigint, column: number): Token {
  return { kind: 'integer', text: String(value), value, column, spaceBefore: false };
}

/** A string token for arbitrary bytes, with a quote that its text does not contain where one is left. */
function stringToken(bytes: Uint8Array, column: number): Token {
  const text = new TextDecoder('latin1').decode(bytes);
  const quote = ["'", '"', '`'].find((candidate) => !text.includes(candidate)) ?? "'";
  return {
    kind: 'string',
    text: quote + new TextDecoder().decode(bytes) + quote,
    bytes,
    column,
    spaceBefore: false,
  };
}

function readString(tokens: readonly Token[], directive: Token): Token & { bytes: Uint8Array } {
  const [token] = tokens;
  if (token?.kind !== 'string')
    fail('preprocessor', `${directive.text} expects a string`, token ?? directive);
  return token as Token & { bytes: Uint8Array };
}

const substring: DefinitionDirective = (tokens, surroundings, directive, ignoresCase) => {
  const name = readName(tokens, directive);
  const operands = surroundings.singleLineMacros.expand(tokens.slice(1));
  const { bytes } = readString(operands, directive);
  const numbers = splitAtCommas(operands.slice(operatorText(operands[1]) === ',' ? 2 : 1), '(', ')').map(
    (part) => Number(surroundings.evaluate(part, directive)),
  );
  if (numbers.length === 0) fail('preprocessor', `${directive.text} expects a position`, directive);
  const [first, count = 1] = numbers;
  const start = first - 1;
  const end = count < 0 ? bytes.length + count + 1 : start + count;
  const part = start < 0 ? bytes.slice(0, 0) : bytes.slice(start, Math.max(start, end));
  surroundings.singleLineMacros.define(plainMacro(name, ignoresCase, [stringToken(part, name.column)]));
};

const MAXIMUM_STRING_LENGTH = 65536;

const concatenate: DefinitionDirective = (tokens, { singleLineMacros }, directive, ignoresCase) => {
  const name = readName(tokens, directive);
  const strings = singleLineMacros.expand(tokens.slice(1)).filter((token) => operatorText(token) !== ',');
  const parts = strings.map((token) => readString([token], directive).bytes);
  if (parts.reduce((sum, part) => sum + part.length, 0) > MAXIMUM_STRING_LENGTH)
    fail('too-long', 'the string is too long', directive);
  const bytes = parts.flatMap((part) => [...part]);
  singleLineMacros.define(plainMacro(name, ignoresCase, [stringToken(Uint8Array.from(bytes), name.column)]));
};

const DIRECTIVES: Readonly<Record<string, DefinitionDirective>> = {
  define: define(false),
  xdefine: define(true),
  assign: (tokens, surroundings, directive, ignoresCase) => {
    const name = readName(tokens, directive);
    const value = surroundings.evaluate(surroundings.singleLineMacros.expand(tokens.slice(1)), directive);
    surroundings.singleLineMacros.define(plainMacro(name, ignoresCase, [integerToken(value, name.column)]));
  },
  undef: (tokens, { singleLineMacros }, directive) =>
    singleLineMacros.undefine(readName(tokens, directive).text),
  strlen: (tokens, { singleLineMacros }, directive, ignoresCase) => {
    const name = readName(tokens, directive);
    const { bytes } = readString(singleLineMacros.expand(tokens.slice(1)), directive);
    singleLineMacros.define(plainMacro(name, ignoresCase, [integerToken(BigInt(bytes.length), name.column)]));
  },
  substr: substring,
  strcat: concatenate,
  defstr: (tokens, { singleLineMacros }, directive, ignoresCase) => {
    const name = readName(tokens, directive);
    const text = tokensToText(singleLineMacros.expand(tokens.slice(1)));
    singleLineMacros.define(
      plainMacro(name, ignoresCase, [stringToken(new TextEncoder().encode(text), name.column)]),
    );
  },
  deftok: (tokens, { singleLineMacros }, directive, ignoresCase) => {
    const name = readName(tokens, directive);
    const { bytes } = readString(singleLineMacros.expand(tokens.slice(1)), directive);
    const body = tokenizeLine(new TextDecoder().decode(bytes));
    singleLineMacros.define(plainMacro(name, ignoresCase, body));
  },
};

/** Runs a directive of this file; false when the name is none. `%idefine` is `%define` that ignores case. */
export function runDefinitionDirective(
  name: string,
  tokens: readonly Token[],
  surroundings: DefinitionSurroundings,
  directive: Token,
): boolean {
  const ignoresCase = !Object.hasOwn(DIRECTIVES, name) && name.startsWith('i');
  const plain = ignoresCase ? name.slice(1) : name;
  if (!Object.hasOwn(DIRECTIVES, plain)) return false;
  DIRECTIVES[plain](tokens, surroundings, directive, ignoresCase);
  return true;
}
