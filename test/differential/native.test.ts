/** Cases that no file holds, run on this machine's processor and on ours. `NATIVE_SEED` chooses others. */

import { describe, expect, it } from 'vitest';
import { EngineDriver } from '../support/engine-driver.js';
import { generateCase, generateSequence, TESTED_ENCODINGS } from './generate.js';
import { NativeHarness, reasonAgainstNative } from './native-harness.js';
import { Random } from './random.js';
import type { TestCase } from './test-case.js';
import { failures } from './vector-files.js';
import type { Vector } from './vectors.js';

const SEED = Number(process.env.NATIVE_SEED ?? 7);
const CASES = Number(process.env.NATIVE_CASES ?? 2000);
const CASES_PER_MACHINE = 500;

const reason = reasonAgainstNative();

describe.skipIf(reason !== undefined)(`this processor and ours (${reason ?? 'side by side'})`, () => {
  const compare = (cases: readonly TestCase[]): string[] => {
    const harness = new NativeHarness();
    const outcomes = harness.run(cases);
    harness.close();
    const vectors = cases.flatMap((testCase, index): Vector[] => {
      const outcome = outcomes[index];
      return outcome === undefined ? [] : [{ testCase, outcome }];
    });
    expect(vectors.length).toBeGreaterThan(cases.length * 0.9);
    const messages: string[] = [];
    for (let first = 0; first < vectors.length && messages.length < 20; first += CASES_PER_MACHINE)
      messages.push(...failures(new EngineDriver(), vectors.slice(first, first + CASES_PER_MACHINE)));
    return messages;
  };

  it('agree on single instructions', () => {
    const random = new Random(SEED);
    const cases = Array.from({ length: CASES }, () => generateCase(random.pick(TESTED_ENCODINGS), random));
    expect(compare(cases)).toEqual([]);
  });

  it('agree on sequences', () => {
    const random = new Random(SEED + 1);
    const cases = Array.from({ length: CASES / 4 }, () => generateSequence(random, random.between(10, 30)));
    expect(compare(cases)).toEqual([]);
  });
});
