/** Every row of the table: generated instances decode to that row, with the length that others see. */

import { describe, expect, it } from 'vitest';
import { DecodeStatus, decode } from '../../src/decoder/index.js';
import { ENCODINGS, type Encoding, Instruction } from '../../src/instruction-set/index.js';
import { disassembleWithObjdump } from '../support/assembly-oracles.js';
import { icedLength } from '../support/iced.js';
import { type CodeSize, codeSizesOf, generateInstruction } from '../support/instruction-generator.js';
import { RandomSource } from '../support/random-source.js';
import { skipNote } from '../support/tools.js';

const CODE_SIZES: readonly CodeSize[] = [16, 32, 64];
const INSTANCES_PER_ROW = 12;
/** Each instance starts at a multiple of this, padded with NOP. */
const STRIDE = 16;

interface Instance {
  readonly encoding: Encoding;
  readonly bytes: Uint8Array;
}

function instancesFor(codeSize: CodeSize, seed: number): Instance[] {
  const random = new RandomSource(seed);
  return ENCODINGS.filter((encoding) => codeSizesOf(encoding).includes(codeSize)).flatMap((encoding) =>
    Array.from({ length: INSTANCES_PER_ROW }, () => ({
      encoding,
      bytes: generateInstruction(encoding, codeSize, random),
    })),
  );
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

/**
 * Rows that objdump 2.40 calls `(bad)` or takes for something else: SALC, second encodings of x87
 * instructions, the unnamed no-operations of 0F 0D, and 0F 1A and 0F 1B, which are MPX there.
 */
const OBJDUMP_DIFFERS = /^(SALC|F(COMP?|XCH|STP)_STi_D[^8]\w*|NOP_0F0D_\w+|HINT_NOP(1[6-9]|2\d|3[01])_\w+)$/;
const OBJDUMP_NOTE = skipNote('objdump');

describe.each(CODE_SIZES)('instances of every row in %i-bit code', (codeSize) => {
  const instances = instancesFor(codeSize, 2024 + codeSize);

  it('decode to their row, all bytes used', () => {
    const out = new Instruction();
    const failures: string[] = [];
    for (const { encoding, bytes } of instances) {
      const status = decode(bytes, 0, bytes.length, codeSize, out);
      if (status !== DecodeStatus.OK || out.encoding !== encoding || out.length !== bytes.length)
        failures.push(`${encoding.id} ${hex(bytes)}: status ${status}, ${out.encoding?.id}, ${out.length}`);
    }
    expect(failures).toEqual([]);
    expect(instances.length).toBeGreaterThan(5000);
  });

  it('need more bytes when cut off anywhere', () => {
    const out = new Instruction();
    const failures: string[] = [];
    for (const { encoding, bytes } of instances)
      for (let end = 0; end < bytes.length; end++)
        if (decode(bytes, 0, end, codeSize, out) !== DecodeStatus.NEEDS_MORE)
          failures.push(`${encoding.id} ${hex(bytes)} cut to ${end}`);
    expect(failures).toEqual([]);
  });

  it('have the length that iced-x86 sees', () => {
    const failures: string[] = [];
    for (const { encoding, bytes } of instances) {
      const length = icedLength(bytes, codeSize);
      if (length !== bytes.length) failures.push(`${encoding.id} ${hex(bytes)}: iced ${length}`);
    }
    expect(failures).toEqual([]);
  });

  it.skipIf(OBJDUMP_NOTE !== '')(`have the length that objdump sees${OBJDUMP_NOTE}`, () => {
    const code = new Uint8Array(instances.length * STRIDE).fill(0x90);
    for (const [position, { bytes }] of instances.entries()) code.set(bytes, position * STRIDE);
    const lines = disassembleWithObjdump(code, codeSize);
    const starts = new Map(lines.map((line, position) => [line.address, position]));
    const failures: string[] = [];
    for (const [position, { encoding, bytes }] of instances.entries()) {
      const start = starts.get(position * STRIDE);
      const line = start === undefined ? undefined : lines[start];
      const isSame =
        line !== undefined &&
        !line.text.includes('(bad)') &&
        lines[start! + 1]?.address === position * STRIDE + bytes.length;
      if (!isSame && !OBJDUMP_DIFFERS.test(encoding.id))
        failures.push(`${encoding.id} ${hex(bytes)}: ${line?.text}`);
    }
    expect(failures).toEqual([]);
  });
});
