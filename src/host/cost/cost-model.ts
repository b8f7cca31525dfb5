/** The type of a cost model: what each operation costs on one processor, and where the figure comes from. */

import { OPERATION_NAMES, type OperationName } from './operations.js';

/**
 * Where a figure comes from.
 * - `talk`: printed in M. Tosatti's talk. `commit`: stated by a commit message. `paper`: read in a paper.
 * - `recalled`: from the literature, not read again: a loose sanity band.
 * - `derived`: computed by `calibration.ts` from published figures. `assumed`: a stated assumption.
 */
export type Provenance = 'talk' | 'commit' | 'paper' | 'recalled' | 'derived' | 'assumed';

export interface CostEntry {
  readonly cycles: number;
  /** What one charge of the operation is: `each`, `per step`, `per line`, … */
  readonly unit: string;
  readonly provenance: Provenance;
  readonly source: string;
}

export interface CostModel {
  readonly name: string;
  readonly description: string;
  /** Cycles per second of virtual time. */
  readonly clockInHertz: number;
  /** Operations with a fixed price. Work, waiting and idling have none: they are measured in cycles. */
  readonly entries: { readonly [Name in OperationName]?: CostEntry };
}

/** Operations whose cycles are counted, not looked up. */
const MEASURED: ReadonlySet<OperationName> = new Set([
  'guest code',
  'idle',
  'halt polling',
  'kernel thread work',
  'user code',
  'wait for a cache line',
  'wait for a lock',
  'wait for another CPU',
]);

/** A cost model lacks an operation, or has a cost that cannot be charged. */
export class CostModelError extends Error {
  readonly code = 'cost-model';
  readonly operationName: string;
  constructor(operationName: string, problem: string) {
    super(`cost of "${operationName}": ${problem}`);
    this.name = 'CostModelError';
    this.operationName = operationName;
  }
}

/** Cycles by operation number. Every cost must be a whole number of cycles, so that sums are exact. */
export function compileCosts(model: CostModel): Float64Array {
  const costs = new Float64Array(OPERATION_NAMES.length);
  for (const [number, name] of OPERATION_NAMES.entries()) {
    const entry = model.entries[name];
    if (entry === undefined) {
      if (!MEASURED.has(name)) throw new CostModelError(name, `missing in the model "${model.name}"`);
      continue;
    }
    if (!Number.isInteger(entry.cycles) || entry.cycles < 0)
      throw new CostModelError(name, `${entry.cycles} is no whole number of cycles`);
    costs[number] = entry.cycles;
  }
  return costs;
}
