/** `%1`, `%0`, `%{1:3}`, `%-1`, `%%label`, `%$name` in a line: replaced before anything else looks at it. */

import { CONDITIONS } from '../../instruction-set/condition.js';
import { fail } from '../assembly-error.js';
import type { Token } from '../token.js';
import type { MacroExpansion } from './frames.js';
import { joinAdjacent } from './single-line-macros.js';

/** Names that `%$` refers to: one per open context, the innermost last. */
export interface Context {
  readonly name: string;
  readonly id: number;
}

const CONDITION_NAMES = new Map(
  CONDITIONS.flatMap(({ code, names }) => names.map((name) => [name.toLowerCase(), code])),
);

/** The condition code that a parameter names, or its opposite (`j%-1`). */
function conditionParameter(tokens: readonly Token[], inverted: boolean, place: Token): Token[] {
  const [token] = tokens;
  const code =
    token === undefined || tokens.length !== 1 ? undefined : CONDITION_NAMES.get(token.text.toLowerCase());
  if (code === undefined) fail('macro-parameter', `parameter ${place.text} is no condition code`, place);
  if (!inverted) return [token];
  const opposite = CONDITIONS[code ^ 1].names[0].toLowerCase();
  return [{ ...token, text: opposite }];
}

function parameterAt(expansion: MacroExpansion, number: number): readonly Token[] {
  const { parameters, rotation } = expansion;
  const count = parameters.length;
  if (number < 1 || number > count) return [];
  return parameters[(((number - 1 + rotation) % count) + count) % count];
}

function parameterRange(expansion: MacroExpansion, first: number, last: number): Token[] {
  const count = expansion.parameters.length;
  const index = (number: number): number => (number < 0 ? count + number + 1 : number);
  const [from, to] = [index(first), index(last)];
  const step = from <= to ? 1 : -1;
  const result: Token[] = [];
  if (count === 0 || Math.abs(to - from) > count) return result;
  for (let number = from; ; number += step) {
    if (result.length > 0) result.push({ kind: 'operator', text: ',', column: 1, spaceBefore: false });
    result.push(...parameterAt(expansion, number));
    if (number === to) return result;
  }
}

/** What a per cent form stands for, or undefined when it is not for this stage. */
function replacement(
  token: Token,
  expansion: MacroExpansion | undefined,
  contexts: readonly Context[],
): readonly Token[] | undefined {
  const name = token.text.slice(1);
  if (name.startsWith('$')) {
    const depth = /^\$+/.exec(name)![0].length;
    const context = contexts[contexts.length - depth];
    if (context === undefined) fail('context', `'${token.text}': no context is open that far out`, token);
    return [{ ...token, kind: 'identifier', text: `..@${context.id}.${name.slice(depth)}` }];
  }
  const isParameter = /^([+-]?\d+|-?\d+:-?\d+|%.+)$/.test(name);
  if (!isParameter) return undefined;
  if (expansion === undefined) fail('macro-parameter', `'${token.text}' outside of a macro`, token);
  if (name.startsWith('%'))
    return [{ ...token, kind: 'identifier', text: `..@${expansion.id}.${name.slice(1)}` }];
  if (name === '0') {
    const count = expansion.parameters.length;
    return [{ ...token, kind: 'integer', text: String(count), value: BigInt(count) }];
  }
  if (name === '00') return expansion.label;
  const range = /^(-?\d+):(-?\d+)$/.exec(name);
  if (range !== null) return parameterRange(expansion, Number(range[1]), Number(range[2]));
  if (/^[+-]/.test(name))
    return conditionParameter(parameterAt(expansion, Number(name.slice(1))), name.startsWith('-'), token);
  return parameterAt(expansion, Number(name));
}

/** Replaces the per cent forms of a line; words that come to stand side by side without a blank become one. */
export function substituteParameters(
  tokens: readonly Token[],
  expansion: MacroExpansion | undefined,
  contexts: readonly Context[],
): readonly Token[] {
  if (!tokens.some((token) => token.kind === 'preprocessor')) return tokens;
  const result: Token[] = [];
  let replaced = false;
  for (const token of tokens) {
    const by = token.kind === 'preprocessor' ? replacement(token, expansion, contexts) : undefined;
    if (by === undefined) {
      result.push(token);
      continue;
    }
    replaced = true;
    result.push(...by.map((one, index) => (index === 0 ? { ...one, spaceBefore: token.spaceBefore } : one)));
  }
  return replaced ? joinAdjacent(result) : result;
}
