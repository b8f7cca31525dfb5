/** Rows that stand for several: conditions (`Jcc`) and operand sizes (`ov`, `oy`, `oz`). */

import { CONDITIONS } from './condition.js';
import type { Size } from './pattern-parser.js';

const SIZE_SETS: Readonly<Record<string, readonly Size[]>> = {
  ov: [16, 32, 64],
  oy: [32, 64],
  oz: [16, 32],
};

const hex = (value: number): string => value.toString(16).toUpperCase().padStart(2, '0');

/** `Jcc … 70+cc … r:cc` becomes sixteen rows; other rows stay as they are. */
export function expandConditions(row: string): string[] {
  if (!/^[A-Z]+cc /.test(row)) return [row];
  return CONDITIONS.map(({ code, names, flags }) => {
    const stem = row.slice(0, row.indexOf('cc'));
    const aliases = names.slice(1).map((name) => stem + name);
    return row
      .replace('cc', names[0])
      .replace(/([0-9A-F]{2})\+cc/, (_, base: string) => hex(Number.parseInt(base, 16) + code))
      .replace('r:cc', `r:${flags}`)
      .replace('@aliases', aliases.length > 0 ? `alias:${aliases.join()}` : '');
  });
}

function fillSize(row: string, marker: string, size: Size): string {
  const immediate = Math.min(size, 32);
  return row
    .replace(new RegExp(`\\b${marker}\\b`), `o${size}`)
    .replace(/(?<![\w/])(r|m|r\/m|moffs|s?imm|m16:)[vy]\b/g, `$1${size}`)
    .replace(/\b(s?imm|rel|ptr16:)z\b/g, (_, kind: string) =>
      kind === 'imm' && size === 64 ? 'simm32' : `${kind}${immediate}`,
    )
    .replace(/\brAX\b/g, size === 16 ? 'AX' : size === 32 ? 'EAX' : 'RAX')
    .replace(/\b([ic])z\b/, size === 16 ? '$1w' : '$1d')
    .replace(/\biv\b/, size === 16 ? 'iw' : size === 32 ? 'id' : 'iq');
}

/** `ov`, `oy` and `oz` become one row per operand size, with every `v`, `y` and `z` filled in. */
export function expandSizes(row: string): string[] {
  const marker = /\bo[vyz]\b/.exec(row)?.[0];
  return marker === undefined ? [row] : SIZE_SETS[marker]!.map((size) => fillSize(row, marker, size));
}
