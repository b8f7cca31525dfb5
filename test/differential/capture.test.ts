/** Captures the committed vectors anew: run `test/differential/capture.sh`. */

import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { generateCases, generateSequence } from './generate.js';
import { NativeHarness, reasonAgainstNative } from './native-harness.js';
import { Random } from './random.js';
import type { TestCase } from './test-case.js';
import { type Vector, writeVectors } from './vectors.js';

const SEED = 20260101;
const SEQUENCES = 3000;
const requested = process.env.CAPTURE_VECTORS !== undefined;
const folder = join(import.meta.dirname, 'vectors');

describe.runIf(requested)('capture of vectors (only when CAPTURE_VECTORS is set)', () => {
  it('runs the generated cases on this processor and writes their outcomes', () => {
    expect(reasonAgainstNative()).toBeUndefined();
    const harness = new NativeHarness();
    const capture = (file: string, codeSize: 32 | 64, cases: TestCase[]): void => {
      const outcomes = harness.run(cases);
      const vectors = cases.flatMap((testCase, index): Vector[] => {
        const outcome = outcomes[index];
        return outcome === undefined ? [] : [{ testCase, outcome }];
      });
      const date = new Date().toISOString().slice(0, 10);
      const processor = harness.identify();
      const origin = { processor, date, generatorSeed: SEED, cases: vectors.length, codeSize };
      writeVectors(join(folder, file), origin, vectors);
      console.log(`${file}: ${vectors.length} of ${cases.length} cases kept`);
      expect(vectors.length).toBeGreaterThan(cases.length * 0.9);
    };
    capture('integer.txt.gz', 64, generateCases(SEED, 64));
    capture('integer-32-bit.txt.gz', 32, generateCases(SEED, 32));
    const random = new Random(SEED);
    const sequences = Array.from({ length: SEQUENCES }, () =>
      generateSequence(random, random.between(10, 30)),
    );
    capture('sequences.txt.gz', 64, sequences);
    harness.close();
  });
});
