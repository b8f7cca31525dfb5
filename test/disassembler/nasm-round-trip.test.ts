/** Text of every row, assembled by nasm and decoded again, is the same text. */

import { describe, expect, it } from 'vitest';
import { DecodeStatus, decode } from '../../src/decoder/index.js';
import { formatInstruction } from '../../src/disassembler/index.js';
import { ENCODINGS, type Encoding, Instruction } from '../../src/instruction-set/index.js';
import { assembleWithNasm } from '../support/assembly-oracles.js';
import { type CodeSize, codeSizesOf, generateInstruction } from '../support/instruction-generator.js';
import { RandomSource } from '../support/random-source.js';
import { skipNote } from '../support/tools.js';

const CODE_SIZES: readonly CodeSize[] = [16, 32, 64];
const INSTANCES_PER_ROW = 2;
const ORIGIN = 0x1000;
/** Each instruction starts at a multiple of this. */
const STRIDE = 16;
const NOTE = skipNote('nasm');

/** Rows that nasm 2.16 has no syntax for. */
const UNKNOWN_TO_NASM: ReadonlySet<string> = new Set([
  'MOVZX_r16_rm16',
  'MOVSX_r16_rm16',
  'MOVSXD_r16_rm16',
  'MOVSXD_r32_rm32',
  'BSWAP_r16',
]);

interface Line {
  readonly encoding: Encoding;
  readonly bytes: Uint8Array;
  readonly address: bigint;
  readonly text: string;
}

function linesFor(codeSize: CodeSize): Line[] {
  const random = new RandomSource(5 + codeSize);
  const out = new Instruction();
  const rows = ENCODINGS.filter(
    (encoding) => codeSizesOf(encoding).includes(codeSize) && !UNKNOWN_TO_NASM.has(encoding.id),
  );
  return rows
    .flatMap((encoding) => Array.from({ length: INSTANCES_PER_ROW }, () => encoding))
    .map((encoding, position) => {
      const bytes = generateInstruction(encoding, codeSize, random);
      decode(bytes, 0, bytes.length, codeSize, out);
      const address = BigInt(ORIGIN + position * STRIDE);
      return { encoding, bytes, address, text: formatInstruction(out, address) };
    });
}

/** nasm makes an absolute address of `rel` before a plain number; beside a label's distance it stays relative. */
const forNasm = (text: string): string =>
  text.replace(/\brel (\w\w:)?(0x[0-9a-f]+)/, (_, segment: string | undefined, target: string) => {
    return `rel ${segment ?? ''}$$+(${target}-${ORIGIN})`;
  });

/** Texts for one meaning between which nasm chooses freely. */
function canonical(text: string): string {
  return (
    text
      // The operands of XCHG are interchangeable.
      .replace(
        /xchg (\w+),(\w+)$/,
        (_, first: string, second: string) => `xchg ${[first, second].sort().join()}`,
      )
      // Shorter encodings of the same effect: a zero-extending move, a store of 16 bits into 64.
      .replace(/^mov r([a-ds][xpi]|bp),(0x[0-7]?[0-9a-f]{1,7}|[c-gs]s)$/, 'mov e$1,$2')
      .replace(/^mov (r\d+),(0x[0-7]?[0-9a-f]{1,7}|[c-gs]s)$/, 'mov $1d,$2')
      .replace(/^(sldt|str) r([a-ds][xpi]|bp)$/, '$1 e$2')
      .replace(/^(sldt|str) (r\d+)$/, '$1 $2d')
      // A shift by an immediate 1 has a shorter encoding of its own.
      .replace(/^((?:ro|rc|sh|sa)[lr] .*),0x1$/, '$1,1')
      // An index without base: times 1 is a base, times 2 is base plus index.
      .replace(/(\[|:)(\w+)\*1(?=[\]+-])/, '$1$2')
      .replace(/(\[|:)(\w+)\*2(?=[\]+-])/, '$1$2+$2')
  );
}

describe.each(CODE_SIZES)('text of every row in %i-bit code', (codeSize) => {
  it.skipIf(NOTE !== '')(`survives nasm and back${NOTE}`, () => {
    const lines = linesFor(codeSize);
    const source = [`bits ${codeSize}`, `org ${ORIGIN}`];
    for (const line of lines) source.push(`align ${STRIDE}, db 0x90`, forNasm(line.text));
    const { code, errors } = assembleWithNasm(source.join('\n'));
    expect([...errors].map(([number, message]) => `${source[number - 1]}: ${message}`)).toEqual([]);

    const out = new Instruction();
    const differences: string[] = [];
    for (const [position, { encoding, bytes, address, text }] of lines.entries()) {
      const status = decode(code, position * STRIDE, code.length, codeSize, out);
      const again = status === DecodeStatus.OK ? formatInstruction(out, address) : `status ${status}`;
      if (canonical(again) !== canonical(text))
        differences.push(`${encoding.id} ${Buffer.from(bytes).toString('hex')}: ${text} | ${again}`);
    }
    expect(differences).toEqual([]);
    expect(lines.length).toBeGreaterThan(1000);
  });
});
