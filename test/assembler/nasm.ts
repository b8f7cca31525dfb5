/** NASM as the assembler's oracle: whole files, and batches of independent lines in one run. */

import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { inTemporaryFolder } from '../support/tools.js';

const MAXIMUM_OUTPUT_IN_BYTES = 1 << 28;

export interface NasmRun {
  /** The output file; undefined when nasm reports errors. */
  readonly image: Uint8Array | undefined;
  readonly listing: string;
  readonly messages: string;
}

/** Runs nasm on a file in its own folder. */
export function runNasm(file: string, format = 'bin', extraArguments: readonly string[] = []): NasmRun {
  return inTemporaryFolder((folder) => {
    const output = join(folder, 'output');
    const listing = join(folder, 'listing');
    const { stderr, status } = spawnSync(
      'nasm',
      ['-w-all', '-f', format, '-o', output, '-l', listing, ...extraArguments, basename(file)],
      { cwd: dirname(file), encoding: 'utf8', maxBuffer: MAXIMUM_OUTPUT_IN_BYTES },
    );
    return {
      image: status === 0 ? new Uint8Array(readFileSync(output)) : undefined,
      listing: existsSync(listing) ? readFileSync(listing, 'utf8') : '',
      messages: stderr,
    };
  });
}

/** Runs nasm on a text. */
export function assembleTextWithNasm(source: string, format = 'bin'): NasmRun {
  return inTemporaryFolder((folder) => {
    const file = join(folder, 'source.asm');
    writeFileSync(file, source);
    return runNasm(file, format);
  });
}

/** Line numbers of nasm's errors. */
function errorLines(messages: string): Set<number> {
  return new Set([...messages.matchAll(/:(\d+): error: /g)].map((match) => Number(match[1])));
}

/** Start offsets by line number, from a listing. */
function offsetsByLine(listing: string): Map<number, number> {
  const offsets = new Map<number, number>();
  for (const match of listing.matchAll(/^ *(\d+) ([0-9A-F]{8}) /gm)) {
    const line = Number(match[1]);
    if (!offsets.has(line)) offsets.set(line, Number.parseInt(match[2]!, 16));
  }
  return offsets;
}

/**
 * Assembles lines that do not depend on each other, all in one run of nasm (two when some of them are errors).
 * @returns bytes per line, undefined for a line that nasm rejects
 */
export function assembleLinesWithNasm(lines: readonly string[], bits: number): (Uint8Array | undefined)[] {
  const kept = lines.map((_, index) => index);
  const results: (Uint8Array | undefined)[] = lines.map(() => undefined);
  for (let attempt = 0; attempt < 6; attempt++) {
    const source = [`bits ${bits}`, ...kept.map((index) => lines[index]!), ''].join('\n');
    const { image, listing, messages } = assembleTextWithNasm(source);
    if (image === undefined) {
      const wrong = errorLines(messages);
      if (wrong.size === 0) throw new Error(`nasm failed: ${messages}`);
      const good = kept.filter((_, position) => !wrong.has(position + 2));
      kept.splice(0, kept.length, ...good);
      continue;
    }
    const offsets = offsetsByLine(listing);
    let end = image.length;
    for (let position = kept.length - 1; position >= 0; position--) {
      const start = offsets.get(position + 2);
      // A word that nasm does not know is a label to it.
      if (start === undefined) continue;
      results[kept[position]!] = image.slice(start, end);
      end = start;
    }
    return results;
  }
  throw new Error('nasm keeps finding errors');
}

export const toHex = (bytes: Uint8Array | undefined): string =>
  bytes === undefined ? 'rejected' : [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
