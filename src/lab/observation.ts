/** What is known about a run afterwards: its exits, its books, what its guests printed. */

import type { LedgerAccount } from '../host/ledger.js';
import type { ScenarioResult } from '../machine/scenario/scenario-result.js';
import type { ExitRecord } from '../trace/events.js';

export interface ObservedVm {
  /** Empty where exits are only counted. */
  readonly exits: readonly ExitRecord[];
  /** What the guest printed, byte by byte. */
  readonly output: string;
}

export interface Observation {
  readonly result: ScenarioResult;
  readonly vms: readonly ObservedVm[];
  readonly accounts: readonly LedgerAccount[];
  /** Numbers that threads of the experiment took down, by subject. */
  readonly notes: ReadonlyMap<string, readonly number[]>;
}

/** Takes down a number, in cycles as a rule. */
export type TakeNote = (subject: string, value: number) => void;

/** What is read off a run: a number, in the unit of its row. */
export type ReadOff = (observation: Observation) => number;

/** A read-off asked for something that did not happen in the run. */
export class ReadOffError extends Error {
  readonly code = 'read-off';
  constructor(message: string) {
    super(message);
    this.name = 'ReadOffError';
  }
}
