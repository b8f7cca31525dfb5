import { describe, expect, it } from 'vitest';
import { failures, readIntegerVectors } from '../../differential/vector-files.js';
import { SemanticsEvaluator } from '../../support/semantics-evaluator.js';

describe('semantics worked out without an engine', () => {
  it('agree with silicon on every captured vector', () => {
    expect(failures(new SemanticsEvaluator(), readIntegerVectors().vectors)).toEqual([]);
  });
});
