import { describe, expect, it } from 'vitest';
import { EngineDriver } from '../support/engine-driver.js';
import { TESTED_ENCODINGS } from './generate.js';
import { encodingsOf, failures, readIntegerVectors, readSequenceVectors } from './vector-files.js';
import type { Vector } from './vectors.js';

/** Vectors are ordered by row: a fresh machine now and then keeps the number of handlers per machine small. */
const VECTORS_PER_MACHINE = 500;
/** Single-stepping takes the same handlers another way, so fewer vectors do. */
const SINGLE_STEP_SHARE = 6;

function failuresOnEngine(execution: 'blocks' | 'single-step', vectors: readonly Vector[]): string[] {
  const messages: string[] = [];
  for (let first = 0; first < vectors.length && messages.length < 20; first += VECTORS_PER_MACHINE)
    messages.push(
      ...failures(new EngineDriver(execution), vectors.slice(first, first + VECTORS_PER_MACHINE)),
    );
  return messages;
}

describe('integer instructions captured from silicon', () => {
  const { origin, vectors } = readIntegerVectors();

  it('come with their origin and are all there', () => {
    expect(origin.processor).not.toBe('');
    expect(origin.date).toMatch(/^\d{4}-\d\d-\d\d$/);
    expect(vectors.length).toBe(origin.cases);
    expect(vectors.length).toBeGreaterThanOrEqual(20_000);
  });

  it('cover every row of the table that has a meaning in 64-bit mode', () => {
    const covered = new Set(vectors.map(({ testCase }) => encodingsOf(testCase)[0]?.id));
    expect(TESTED_ENCODINGS.filter(({ id }) => !covered.has(id)).map(({ id }) => id)).toEqual([]);
  });

  it('come out the same on the processor', () => {
    expect(failuresOnEngine('blocks', vectors)).toEqual([]);
  });

  it('come out the same single-stepped', () => {
    const share = vectors.filter((_, index) => index % SINGLE_STEP_SHARE === 0);
    expect(failuresOnEngine('single-step', share)).toEqual([]);
  });
});

describe('straight-line sequences captured from silicon', () => {
  const { vectors } = readSequenceVectors();

  it('come out the same on the processor', () => {
    expect(vectors.length).toBeGreaterThanOrEqual(2000);
    expect(failuresOnEngine('blocks', vectors)).toEqual([]);
  });

  it('come out the same single-stepped', () => {
    expect(failuresOnEngine('single-step', vectors.slice(0, 500))).toEqual([]);
  });
});
