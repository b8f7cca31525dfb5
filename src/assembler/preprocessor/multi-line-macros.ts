/** Macros of %MACRO: their headers, their table, and how an invocation's operands become parameters. */

import { fail } from '../assembly-error.js';
import type { SourceLine } from '../source-text.js';
import { operatorText, splitAtCommas, type Token } from '../token.js';
import { stripBraces } from './single-line-macros.js';

export interface MultiLineMacro {
  readonly name: string;
  readonly ignoresCase: boolean;
  readonly minimum: number;
  /** Infinity for `*`. */
  readonly maximum: number;
  /** The last parameter takes the rest of the line. */
  readonly greedy: boolean;
  readonly defaults: readonly (readonly Token[])[];
  readonly body: SourceLine[];
}

/** Parses what stands behind %MACRO: `name 1-3+ default, default`. The body is filled in later. */
export function parseMacroHeader(
  tokens: readonly Token[],
  ignoresCase: boolean,
  directive: Token,
): MultiLineMacro {
  const name = tokens[0];
  if (name?.kind !== 'identifier')
    fail('macro-header', `${directive.text} expects a name`, name ?? directive);
  const integer = (token: Token | undefined): number | undefined =>
    token?.kind === 'integer' && (token.value as bigint) < 100_000n ? Number(token.value) : undefined;
  let position = 1;
  const minimum = integer(tokens[position]);
  if (minimum === undefined)
    fail('macro-header', `${directive.text} ${name.text} expects a number of parameters`, tokens[1] ?? name);
  position++;
  let maximum = minimum;
  if (operatorText(tokens[position]) === '-') {
    const limit = tokens[position + 1];
    maximum = operatorText(limit) === '*' ? Number.POSITIVE_INFINITY : (integer(limit) ?? -1);
    if (maximum < minimum) fail('macro-header', 'invalid range of parameters', limit ?? tokens[position]);
    position += 2;
  }
  const greedy = operatorText(tokens[position]) === '+' && !tokens[position].spaceBefore;
  if (greedy) position++;
  if (tokens[position]?.kind === 'identifier' && tokens[position].text.toLowerCase() === '.nolist')
    position++;
  const defaults = splitAtCommas(tokens.slice(position), '{', '}').map(stripBraces);
  return { name: name.text, ignoresCase, minimum, maximum, greedy, defaults, body: [] };
}

export class MultiLineMacros {
  private readonly macros = new Map<string, MultiLineMacro[]>();

  /** A macro with a range of parameters that overlaps replaces the older one. */
  define(macro: MultiLineMacro): void {
    const key = macro.name.toLowerCase();
    const others = (this.macros.get(key) ?? []).filter(
      (other) =>
        other.minimum > macro.maximum || other.maximum < macro.minimum || !sameName(other, macro.name),
    );
    this.macros.set(key, [...others, macro]);
  }

  undefine(name: string, minimum: number, maximum: number): void {
    const key = name.toLowerCase();
    const others = (this.macros.get(key) ?? []).filter(
      (macro) => !sameName(macro, name) || macro.minimum !== minimum || macro.maximum !== maximum,
    );
    this.macros.set(key, others);
  }

  find(name: string): readonly MultiLineMacro[] {
    return this.macros.get(name.toLowerCase())?.filter((macro) => sameName(macro, name)) ?? [];
  }
}

function sameName(macro: MultiLineMacro, name: string): boolean {
  return macro.ignoresCase ? macro.name.toLowerCase() === name.toLowerCase() : macro.name === name;
}

/** The macro that takes so many operands, with its parameters: defaults filled in, the rest in the greedy one. */
export function bindParameters(
  macros: readonly MultiLineMacro[],
  operands: readonly Token[],
): { macro: MultiLineMacro; parameters: Token[][] } | undefined {
  const parts = splitAtCommas(operands, '{', '}');
  const count = parts.length;
  const macro = macros.find((one) => count >= one.minimum && (count <= one.maximum || one.greedy));
  if (macro === undefined) return undefined;
  const limit = macro.maximum;
  let parameters = parts;
  if (macro.greedy && count > limit && limit > 0) {
    const rest = parts.slice(limit - 1).flatMap((part, index): Token[] => {
      if (index === 0) return part;
      const comma: Token = { kind: 'operator', text: ',', column: part[0]?.column ?? 1, spaceBefore: false };
      return [comma, ...part];
    });
    parameters = [...parts.slice(0, limit - 1), rest];
  }
  const bound = parameters.map(stripBraces);
  for (let index = bound.length; index < macro.minimum + macro.defaults.length && index < limit; index++)
    bound.push([...(macro.defaults[index - macro.minimum] ?? [])]);
  return { macro, parameters: bound };
}
