import { describe, expect, it } from 'vitest';
import { assemble } from '../../src/assembler/index.js';
import { ENCODINGS } from '../../src/instruction-set/index.js';
import { codeSizesOf } from '../support/instruction-generator.js';
import { RandomSource } from '../support/random-source.js';
import { hasTool, skipNote } from '../support/tools.js';
import { assembleLinesWithNasm, toHex } from './nasm.js';
import { rowText } from './row-text.js';

const LINES_PER_ROW = Number(process.env.ASSEMBLER_LINES_PER_ROW ?? 5);

/** Rows that nasm 2.16 does not know under this name or with these operands; ours accepts them. */
const UNKNOWN_TO_NASM = new Set([
  'MOVZX_r16_rm16',
  'MOVSX_r16_rm16',
  'MOVSXD_r16_rm16',
  'MOVSXD_r32_rm32',
  'BSWAP_r16',
  'SYSRETQ',
  'SYSEXITQ',
]);

/** Rows where nasm sets REX.W although the instruction ignores it: ours is as long or shorter. */
const EQUALLY_SHORT = new Set(['INVPCID_r64_m128']);

/** Bytes per line, undefined for a line in error; errors of other lines do not matter. */
function assembleLines(lines: readonly string[], bits: number): (Uint8Array | undefined)[] {
  const header = `bits ${bits}`;
  const first = assemble([header, ...lines, ''].join('\n'), { fileName: 'rows.asm' });
  const wrong = new Set(first.diagnostics.filter((d) => d.severity === 'error').map((d) => d.line));
  const kept = lines.map((_, index) => index).filter((index) => !wrong.has(index + 2));
  const { listing } = assemble([header, ...kept.map((index) => lines[index]), ''].join('\n'), {
    fileName: 'rows.asm',
  });
  const result: (Uint8Array | undefined)[] = lines.map(() => undefined);
  for (const { line, bytes } of listing) if (line >= 2) result[kept[line - 2]!] = bytes;
  return result;
}

describe.skipIf(!hasTool('nasm'))(`lines for every row of the table${skipNote('nasm')}`, () => {
  it.each([16, 32, 64] as const)('nasm agrees in %i-bit code', (bits) => {
    const random = new RandomSource(bits);
    const rows = ENCODINGS.filter((row) => codeSizesOf(row).includes(bits)).flatMap((row) =>
      Array.from({ length: LINES_PER_ROW }, () => row),
    );
    const lines = rows.map((row) => rowText(row, bits, random));
    const ours = assembleLines(lines, bits);
    const theirs = assembleLinesWithNasm(lines, bits);
    const differences: string[] = [];
    const accepted = new Set<string>();
    for (const [index, line] of lines.entries()) {
      const row = rows[index]!;
      const [mine, nasm] = [ours[index], theirs[index]];
      if (mine !== undefined) accepted.add(row.id);
      if (toHex(mine) === toHex(nasm)) continue;
      if (nasm === undefined && UNKNOWN_TO_NASM.has(row.id)) continue;
      if (EQUALLY_SHORT.has(row.id) && mine !== undefined && nasm !== undefined && mine.length <= nasm.length)
        continue;
      differences.push(`${row.id}: ${line}: ours ${toHex(mine)}, nasm ${toHex(nasm)}`);
    }
    expect(differences).toEqual([]);
    expect(rows.filter((row) => !accepted.has(row.id)).map((row) => row.id)).toEqual([]);
  });
});
