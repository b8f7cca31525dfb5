import { describe, expect, it } from 'vitest';
import { combineSinks, LimitedSink } from '../../src/trace/combine-sinks.js';
import type { TraceSink } from '../../src/trace/events.js';
import { exitRecord } from './records.js';

const counting = (): { sink: TraceSink; count: () => number } => {
  let count = 0;
  return { sink: { vmExit: () => count++ }, count: () => count };
};

describe('combined sinks', () => {
  it('pass each event to all who listen', () => {
    const [a, b] = [counting(), counting()];
    combineSinks([a.sink, b.sink]).vmExit?.(exitRecord());
    expect([a.count(), b.count()]).toEqual([1, 1]);
  });

  it('listen only for what one of them listens for', () => {
    const combined = combineSinks([counting().sink]);
    expect(combined.instruction).toBeUndefined();
    expect(combined.injection).toBeUndefined();
    expect(combineSinks([{ instruction: () => {} }]).instruction).toBeDefined();
  });
});

describe('limited sink', () => {
  it('stops after the limit and counts the rest', () => {
    const { sink, count } = counting();
    const limited = new LimitedSink(2, sink);
    for (let index = 0; index < 5; index++) limited.vmExit(exitRecord());
    expect(count()).toBe(2);
    expect(limited.dropped).toBe(3);
  });
});
