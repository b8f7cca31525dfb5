/** Whatever decodes has a text. */

import { describe, expect, it } from 'vitest';
import { DecodeStatus, decode } from '../../src/decoder/index.js';
import { formatInstruction } from '../../src/disassembler/index.js';
import { Instruction } from '../../src/instruction-set/index.js';
import type { CodeSize } from '../support/instruction-generator.js';
import { RandomSource } from '../support/random-source.js';

const SEQUENCES = 60_000;
const WINDOW = 16;
const WELL_FORMED = /^[a-z0-9_]+( [a-z0-9_]+)*( [-a-z0-9,:+*[\] ]+)?$/;

describe.each<CodeSize>([16, 32, 64])('random bytes in %i-bit code', (codeSize) => {
  it('have a well-formed text where they decode', () => {
    const random = new RandomSource(codeSize);
    const window = new Uint8Array(WINDOW);
    const out = new Instruction();
    let decoded = 0;
    for (let n = 0; n < SEQUENCES; n++) {
      for (let position = 0; position < WINDOW; position++) window[position] = random.next() >>> 8;
      if (random.oneIn(3)) window[random.below(3)] = 0x0f;
      if (decode(window, 0, WINDOW, codeSize, out) !== DecodeStatus.OK) continue;
      decoded++;
      const text = formatInstruction(out, BigInt(random.next()));
      if (!WELL_FORMED.test(text) || /undefined|nan/i.test(text))
        expect.fail(`${Buffer.from(window).toString('hex')}: ${text}`);
    }
    expect(decoded).toBeGreaterThan(SEQUENCES / 3);
  });
});
