/** Macros of %DEFINE, %XDEFINE and %ASSIGN, and their expansion in a line. */

import { fail } from '../assembly-error.js';
import { tokenizeLine } from '../lexer.js';
import { operatorText, type Token } from '../token.js';

export interface SingleLineMacro {
  readonly name: string;
  readonly ignoresCase: boolean;
  /** Names of the parameters; undefined for a macro without a list. */
  readonly parameters: readonly string[] | undefined;
  /** The last parameter takes the rest, commas and all. */
  readonly greedy: boolean;
  readonly body: readonly Token[];
}

/** What a line may expand to; beyond it macros multiply without end. */
const MAXIMUM_TOKENS = 100_000;
const MAXIMUM_DEPTH = 200;
const MAXIMUM_PASTE_ROUNDS = 16;

/** Gives the tokens of names that the assembler itself defines (`__LINE__`), or undefined. */
export type BuiltInNames = (name: string) => Token | undefined;

interface Expansion {
  /** Names being expanded: they stand for themselves inside their own bodies. */
  readonly hidden: ReadonlySet<string>;
  readonly depth: number;
}

export class SingleLineMacros {
  private readonly macros = new Map<string, SingleLineMacro[]>();
  private readonly builtIn: BuiltInNames;
  private budget = 0;

  constructor(builtIn: BuiltInNames) {
    this.builtIn = builtIn;
  }

  /** Defines or redefines; macros with different numbers of parameters live side by side. */
  define(macro: SingleLineMacro): void {
    const key = macro.name.toLowerCase();
    const arity = macro.parameters?.length ?? -1;
    const others = (this.macros.get(key) ?? []).filter(
      (other) =>
        (other.parameters?.length ?? -1) !== arity ||
        !(other.ignoresCase || macro.ignoresCase || other.name === macro.name),
    );
    this.macros.set(key, [...others, macro]);
  }

  undefine(name: string): void {
    const key = name.toLowerCase();
    const others = (this.macros.get(key) ?? []).filter((macro) => !macro.ignoresCase && macro.name !== name);
    this.macros.set(key, others);
  }

  isDefined(name: string): boolean {
    return this.find(name).length > 0 || this.builtIn(name) !== undefined;
  }

  private find(name: string): SingleLineMacro[] {
    const candidates = this.macros.get(name.toLowerCase());
    return candidates?.filter((macro) => macro.ignoresCase || macro.name === name) ?? [];
  }

  /** Expands every macro in the tokens, then joins what `%+` asks to join, until nothing changes. */
  expand(tokens: readonly Token[]): Token[] {
    this.budget = MAXIMUM_TOKENS + tokens.length;
    let result = this.expandTokens(tokens, { hidden: new Set(), depth: 0 });
    for (let round = 0; round < MAXIMUM_PASTE_ROUNDS; round++) {
      const pasted = paste(result);
      if (pasted === result) return result;
      result = this.expandTokens(pasted, { hidden: new Set(), depth: 0 });
    }
    return result;
  }

  /** Expands only the `%[…]` of a line: they count even where macros do not, as in the body of a %DEFINE. */
  expandIndirections(tokens: readonly Token[]): readonly Token[] {
    if (!tokens.some((token) => token.kind === 'preprocessor' && token.text === '%[')) return tokens;
    const result: Token[] = [];
    for (let position = 0; position < tokens.length; position++) {
      const token = tokens[position];
      if (token.kind !== 'preprocessor' || token.text !== '%[') {
        result.push(token);
        continue;
      }
      let depth = 1;
      let end = position + 1;
      for (; end < tokens.length; end++) {
        if (operatorText(tokens[end]) === '[' || tokens[end].text === '%[') depth++;
        else if (operatorText(tokens[end]) === ']' && --depth === 0) break;
      }
      if (end === tokens.length) fail('preprocessor', "missing ']' of '%['", token);
      const inner = this.expand(this.expandIndirections(tokens.slice(position + 1, end)));
      result.push(
        ...inner.map((one, index) => (index === 0 ? { ...one, spaceBefore: token.spaceBefore } : one)),
      );
      position = end;
    }
    return joinAdjacent(result);
  }

  private expandTokens(tokens: readonly Token[], expansion: Expansion): Token[] {
    if (expansion.depth > MAXIMUM_DEPTH) fail('macro-depth', 'macros are nested too deeply', tokens[0]);
    const result: Token[] = [];
    for (let position = 0; position < tokens.length; position++) {
      const token = tokens[position];
      if (--this.budget < 0) fail('macro-size', 'the line grows too long by macros', token);
      if (token.kind !== 'identifier' || token.escaped || expansion.hidden.has(token.text.toLowerCase())) {
        result.push(token);
        continue;
      }
      const builtIn = this.builtIn(token.text);
      if (builtIn !== undefined) {
        result.push({ ...builtIn, column: token.column, spaceBefore: token.spaceBefore });
        continue;
      }
      const macros = this.find(token.text);
      const list =
        macros.length > 0 && operatorText(tokens[position + 1]) === '('
          ? readArguments(tokens, position + 1)
          : undefined;
      const macro = list && chooseByCount(macros, list.arguments);
      const plain = macros.find((candidate) => candidate.parameters === undefined);
      if (list !== undefined && macro !== undefined) {
        const given = bindArguments(macro, list.arguments).map((argument) =>
          this.expandTokens(argument, deeper(expansion)),
        );
        result.push(...this.expandBody(macro, token, given, expansion));
        position = list.end;
      } else if (plain !== undefined) result.push(...this.expandBody(plain, token, [], expansion));
      else result.push(token);
    }
    return result;
  }

  private expandBody(
    macro: SingleLineMacro,
    name: Token,
    given: readonly Token[][],
    expansion: Expansion,
  ): Token[] {
    const body: Token[] = [];
    for (const token of macro.body) {
      const parameter =
        token.kind === 'identifier' && !token.escaped ? (macro.parameters?.indexOf(token.text) ?? -1) : -1;
      if (parameter >= 0)
        body.push(
          ...given[parameter].map((one, index) =>
            index === 0 ? { ...one, spaceBefore: token.spaceBefore } : one,
          ),
        );
      else if (token.kind === 'preprocessor' && (token.text === '%?' || token.text === '%??'))
        body.push({ ...name, spaceBefore: token.spaceBefore });
      else body.push({ ...token, column: name.column });
    }
    if (body.length > 0) body[0] = { ...body[0], spaceBefore: name.spaceBefore };
    this.budget -= body.length;
    if (this.budget < 0) fail('macro-size', 'the line grows too long by macros', name);
    const hidden = new Set(expansion.hidden).add(name.text.toLowerCase());
    return this.expandTokens(paste(body), { hidden, depth: expansion.depth + 1 });
  }
}

const deeper = ({ hidden, depth }: Expansion): Expansion => ({ hidden, depth: depth + 1 });

/** Splits `( a, b )` that opens at `start`; undefined when it is not closed. */
function readArguments(
  tokens: readonly Token[],
  start: number,
): { arguments: Token[][]; end: number } | undefined {
  const list: Token[][] = [[]];
  let depth = 0;
  for (let position = start; position < tokens.length; position++) {
    const operator = operatorText(tokens[position]);
    if (operator === '(' || operator === '[' || operator === '{') depth++;
    if (operator === ')' || operator === ']' || operator === '}') depth--;
    if (depth === 0) {
      if (list.length === 1 && list[0].length === 0) list.pop();
      return { arguments: list.map(stripBraces), end: position };
    }
    if (position === start) continue;
    if (operator === ',' && depth === 1) list.push([]);
    else list[list.length - 1].push(tokens[position]);
  }
  return undefined;
}

/** Braces only group: `{a, b}` is one argument without them. */
export function stripBraces(tokens: Token[]): Token[] {
  const braced =
    tokens.length >= 2 && operatorText(tokens[0]) === '{' && operatorText(tokens[tokens.length - 1]) === '}';
  return braced ? tokens.slice(1, -1) : tokens;
}

function chooseByCount(
  macros: readonly SingleLineMacro[],
  given: readonly Token[][],
): SingleLineMacro | undefined {
  const count = given.length;
  return (
    macros.find(({ parameters }) => parameters?.length === count) ??
    macros.find(
      ({ parameters, greedy }) => greedy && parameters !== undefined && count >= parameters.length,
    ) ??
    macros.find(({ parameters }) => parameters?.length === 1 && count === 0)
  );
}

function bindArguments(macro: SingleLineMacro, given: readonly Token[][]): Token[][] {
  const count = macro.parameters?.length ?? 0;
  const bound = given.slice(0, count).map((argument) => [...argument]);
  while (bound.length < count) bound.push([]);
  if (macro.greedy)
    for (const argument of given.slice(count)) {
      const comma: Token = {
        kind: 'operator',
        text: ',',
        column: argument[0]?.column ?? 1,
        spaceBefore: false,
      };
      bound[count - 1].push(comma, ...argument);
    }
  return bound;
}

function joined(left: Token, right: Token): Token[] {
  const text = (token: Token): string => (token.escaped ? `$${token.text}` : token.text);
  return tokenizeLine(text(left) + text(right)).map((token, index) => ({
    ...token,
    column: left.column,
    spaceBefore: index === 0 ? left.spaceBefore : token.spaceBefore,
  }));
}

/** Joins the tokens around each `%+`. Gives the same list back when there is none. */
function paste(tokens: Token[]): Token[] {
  const isPaste = (token: Token | undefined): boolean =>
    token?.kind === 'preprocessor' && token.text === '%+';
  if (!tokens.some(isPaste)) return tokens;
  const result: Token[] = [];
  for (let position = 0; position < tokens.length; position++) {
    if (!isPaste(tokens[position])) {
      result.push(tokens[position]);
      continue;
    }
    while (isPaste(tokens[position + 1])) position++;
    const left = result.pop();
    const right = tokens[++position];
    if (left !== undefined && right !== undefined) result.push(...joined(left, right));
    else if (left !== undefined) result.push(left);
    else if (right !== undefined) result.push(right);
  }
  return result;
}

/** Joins neighbours that have no blank between them and together make one word: what `%1` and `%[…]` leave behind. */
export function joinAdjacent(tokens: readonly Token[]): Token[] {
  const result: Token[] = [];
  const wordLike = (token: Token): boolean => token.kind === 'identifier' || token.kind === 'integer';
  for (const token of tokens) {
    const left = result[result.length - 1];
    const word = left !== undefined && !token.spaceBefore && !token.escaped && wordLike(token);
    if (word && (left.kind === 'identifier' || (left.kind === 'integer' && token.kind === 'integer')))
      result.splice(-1, 1, ...joined(left, token));
    else result.push(token);
  }
  return result;
}
