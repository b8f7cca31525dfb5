import { describe, expect, it } from 'vitest';
import { EngineDriver, type Execution } from '../support/engine-driver.js';
import { TESTED_ENCODINGS } from './generate.js';
import { encodingsOf, failures, readIntegerVectors, readSequenceVectors } from './vector-files.js';
import type { Vector } from './vectors.js';

/** Vectors are ordered by row: a fresh machine now and then keeps the number of handlers per machine small. */
const VECTORS_PER_MACHINE = 500;
/** The other ways of execution take the same handlers, so fewer vectors do. */
const SHARE = 10;

function failuresOnEngine(
  execution: Execution,
  vectors: readonly Vector[],
  vectorsPerMachine = VECTORS_PER_MACHINE,
): string[] {
  const messages: string[] = [];
  for (let first = 0; first < vectors.length && messages.length < 20; first += vectorsPerMachine)
    messages.push(...failures(new EngineDriver(execution), vectors.slice(first, first + vectorsPerMachine)));
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
    const share = vectors.filter((_, index) => index % SHARE === 0);
    expect(failuresOnEngine('single-step', share)).toEqual([]);
  });

  it('come out the same when writes are held back until the instruction is done', () => {
    // ENTER with overlapping displays reads what it has written: a known deviation, see its semantics.
    const share = vectors.filter(
      ({ testCase }, index) => index % SHARE === 1 && encodingsOf(testCase)[0]?.mnemonic !== 'ENTER',
    );
    expect(failuresOnEngine('watched-memory', share)).toEqual([]);
  });
});

describe('straight-line sequences captured from silicon', () => {
  const { vectors } = readSequenceVectors();

  it('come out the same on the processor', () => {
    expect(vectors.length).toBeGreaterThanOrEqual(2000);
    expect(failuresOnEngine('blocks', vectors, vectors.length)).toEqual([]);
  });

  it('come out the same single-stepped', () => {
    expect(failuresOnEngine('single-step', vectors.slice(0, 500))).toEqual([]);
  });
});
