/** Words out of a list, as options and arguments take them. Who mistypes one is told which was probably meant. */

import { InvalidArgumentError, Option } from 'commander';

/** Suggestions beyond these are a guess at random. */
const MOST_SUGGESTIONS = 3;

/** An option that takes one of `names`. */
export function choiceOption(flags: string, description: string, names: readonly string[]): Option {
  return new Option(flags, description).choices(names).argParser((text) => oneOf(text, names));
}

/** For commander options. */
export function oneOf<Name extends string>(text: string, names: readonly Name[]): Name {
  const found = names.find((name) => name === text);
  if (found === undefined)
    throw new InvalidArgumentError(`${question(text, names)}Allowed choices are ${names.join(', ')}.`);
  return found;
}

/**
 * `there is no experiment "x2apic-eio". Did you mean x2apic-eoi?`, or all names where none is like it.
 * @param what kind of thing that is named
 */
export function unknownName(what: string, text: string, names: readonly string[]): string {
  const ask = question(text, names);
  return `there is no ${what} "${text}"${ask === '' ? `: ${names.join(', ')}` : `. ${ask.trimEnd()}`}`;
}

function question(text: string, names: readonly string[]): string {
  const similar = similarNames(text, names);
  return similar.length === 0 ? '' : `Did you mean ${either(similar)}? `;
}

/** `a, b or c` */
export function either(names: readonly string[]): string {
  return names.join(', ').replace(/, ([^,]*)$/, ' or $1');
}

/** The names nearest to what was typed, if they are near: a third of it may be wrong. Else those that contain it. */
export function similarNames(text: string, names: readonly string[]): string[] {
  const typed = text.toLowerCase();
  const distances = names.map((name) => editDistance(typed, name.toLowerCase()));
  const least = Math.min(...distances);
  const nearest =
    least <= Math.max(1, Math.floor(typed.length / 3))
      ? names.filter((_, index) => distances[index] === least)
      : names.filter((name) => typed.length > 2 && name.toLowerCase().includes(typed));
  return nearest.length > MOST_SUGGESTIONS ? [] : nearest;
}

/** Characters to insert, delete, replace, or swap with their neighbour to get from one text to the other. */
function editDistance(from: string, to: string): number {
  const rows = [Array.from({ length: to.length + 1 }, (_, column) => column)];
  for (let i = 1; i <= from.length; i++) {
    const row = [i];
    for (let j = 1; j <= to.length; j++) {
      const isSame = from[i - 1] === to[j - 1];
      row[j] = Math.min(rows[i - 1][j] + 1, row[j - 1] + 1, rows[i - 1][j - 1] + (isSame ? 0 : 1));
      if (i > 1 && j > 1 && from[i - 1] === to[j - 2] && from[i - 2] === to[j - 1])
        row[j] = Math.min(row[j], rows[i - 2][j - 2] + 1);
    }
    rows.push(row);
  }
  return rows[from.length][to.length];
}
