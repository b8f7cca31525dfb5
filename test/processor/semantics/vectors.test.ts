import { describe, expect, it } from 'vitest';
import { TESTED_ENCODINGS_32 } from '../../differential/generate.js';
import {
  encodingsOf,
  failures,
  readIntegerVectors,
  readIntegerVectors32,
} from '../../differential/vector-files.js';
import { SemanticsEvaluator } from '../../support/semantics-evaluator.js';

describe('semantics worked out without an engine', () => {
  it('agree with silicon on every vector of 64-bit code', () => {
    expect(failures(new SemanticsEvaluator(), readIntegerVectors().vectors)).toEqual([]);
  });

  it('agree with silicon on every vector of 32-bit code, which cover every row', () => {
    const { vectors } = readIntegerVectors32();
    const covered = new Set(vectors.map(({ testCase }) => encodingsOf(testCase)[0]?.id));
    expect(TESTED_ENCODINGS_32.filter(({ id }) => !covered.has(id)).map(({ id }) => id)).toEqual([]);
    expect(failures(new SemanticsEvaluator(), vectors)).toEqual([]);
  });
});
