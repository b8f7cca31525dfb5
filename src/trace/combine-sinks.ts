/** Several sinks as one, and a sink that stops listening. */

import type { ExitRecord, TraceSink } from './events.js';

/** Passes each event to all sinks in order. A kind that none of them listens for stays unheard. */
export function combineSinks(sinks: readonly TraceSink[]): TraceSink {
  const exits = sinks.filter((sink) => sink.vmExit !== undefined);
  const instructions = sinks.filter((sink) => sink.instruction !== undefined);
  const injections = sinks.filter((sink) => sink.injection !== undefined);
  const combined: TraceSink = {};
  if (exits.length > 0)
    combined.vmExit = (record) => {
      for (const sink of exits) sink.vmExit?.(record);
    };
  if (instructions.length > 0)
    combined.instruction = (record) => {
      for (const sink of instructions) sink.instruction?.(record);
    };
  if (injections.length > 0)
    combined.injection = (record) => {
      for (const sink of injections) sink.injection?.(record);
    };
  return combined;
}

/** Passes on the first `limit` exits and what else happens until then; afterwards only counts exits. */
export class LimitedSink implements TraceSink {
  /** Exits that were not passed on. */
  dropped = 0;
  private passed = 0;
  private readonly limit: number;
  private readonly sink: TraceSink;
  readonly instruction?: NonNullable<TraceSink['instruction']>;

  constructor(limit: number, sink: TraceSink) {
    this.limit = limit;
    this.sink = sink;
    if (sink.instruction !== undefined)
      this.instruction = (record) => {
        if (this.passed < this.limit) sink.instruction?.(record);
      };
  }

  vmExit(record: ExitRecord): void {
    if (this.passed < this.limit) {
      this.passed++;
      this.sink.vmExit?.(record);
    } else this.dropped++;
  }

  injection: NonNullable<TraceSink['injection']> = (record) => {
    if (this.passed < this.limit) this.sink.injection?.(record);
  };
}
