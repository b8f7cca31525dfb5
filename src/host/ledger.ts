/**
 * The cycle ledger: every cycle of virtual time is charged to an account (a vCPU, a host thread, idle), there to the
 * exit reason being handled, the stage and the operation. Charging allocates nothing; the order of the operations of a
 * single exit is kept only while somebody listens.
 */

import { OPERATION_NAMES } from './cost/operations.js';
import { STAGE_NAMES, type Stage } from './stages.js';

const OPERATION_COUNT = OPERATION_NAMES.length;
const ROW_SIZE = OPERATION_COUNT * STAGE_NAMES.length;

/** Row index for time that belongs to no exit: before the first entry, and guest code itself. */
export const NO_EXIT = 96;

/** What was charged for one exit reason, indexed by stage × operation. */
interface LedgerRow {
  readonly counts: Float64Array;
  /** Cycles beyond counts × price: all those of operations that have no fixed price. */
  readonly unpriced: Float64Array;
}

/** Durations of the exits of one reason, from VM exit to the next VM entry, in cycles. */
export interface ExitStatistics {
  samples: number;
  total: number;
  minimum: number;
  maximum: number;
  sumOfSquares: number;
}

export interface LedgerEntry {
  /** Basic exit reason, or `NO_EXIT`. */
  readonly reason: number;
  readonly stage: Stage;
  readonly operation: number;
  readonly count: number;
  readonly cycles: number;
}

/** Who pays: one vCPU thread, one other host thread, or a CPU's idle time. */
export class LedgerAccount {
  readonly name: string;
  /** Values per logged operation in `log`. */
  static readonly LOG_STRIDE = 4;
  /** Stage, operation, count, cycles of each charge since `beginExit`; null when nobody listens. */
  log: number[] | null = null;
  readonly exits: (ExitStatistics | undefined)[] = [];
  private readonly rows: (LedgerRow | undefined)[] = [];
  private readonly prices: Float64Array;
  private row: LedgerRow;
  /** Those of `row`. */
  private counts: Float64Array;
  private currentReason: number = NO_EXIT;
  /** Index of the current stage's first operation in a row. */
  private offset = 0;

  /** @param prices cycles by operation number */
  constructor(name: string, prices: Float64Array) {
    this.name = name;
    this.prices = prices;
    this.row = this.rowOf(NO_EXIT);
    this.counts = this.row.counts;
  }

  get reason(): number {
    return this.currentReason;
  }
  get stage(): Stage {
    return (this.offset / OPERATION_COUNT) as Stage;
  }

  /** Following charges belong to an exit of this reason (or to none, `NO_EXIT`). */
  setReason(reason: number): void {
    this.currentReason = reason;
    this.row = this.rows[reason] ?? this.rowOf(reason);
    this.counts = this.row.counts;
  }

  setStage(stage: Stage): void {
    this.offset = stage * OPERATION_COUNT;
  }

  /** Charges an operation at its price. */
  charge(operation: number, times: number): void {
    this.counts[this.offset + operation]! += times;
    if (this.log !== null) this.note(operation, times);
  }

  /** Charges an operation with cycles that were measured. */
  add(operation: number, times: number, cycles: number): void {
    const index = this.offset + operation;
    this.counts[index]! += times;
    this.row.unpriced[index]! += cycles - times * this.prices[operation]!;
    if (this.log !== null) this.note(operation, times, cycles);
  }

  /** Records the duration of a finished exit. */
  finishExit(reason: number, cycles: number): void {
    let statistics = this.exits[reason];
    if (statistics === undefined) {
      statistics = { samples: 0, total: 0, minimum: Number.POSITIVE_INFINITY, maximum: 0, sumOfSquares: 0 };
      this.exits[reason] = statistics;
    }
    statistics.samples++;
    statistics.total += cycles;
    if (cycles < statistics.minimum) statistics.minimum = cycles;
    if (cycles > statistics.maximum) statistics.maximum = cycles;
    statistics.sumOfSquares += cycles * cycles;
  }

  /** Everything charged so far, in order of reason, stage and operation. */
  *entries(): Generator<LedgerEntry> {
    for (const [reason, row] of this.rows.entries()) {
      if (row === undefined) continue;
      for (let index = 0; index < ROW_SIZE; index++) {
        const count = row.counts[index]!;
        const cycles = this.cyclesAt(row, index);
        if (count === 0 && cycles === 0) continue;
        yield {
          reason,
          stage: Math.floor(index / OPERATION_COUNT) as Stage,
          operation: index % OPERATION_COUNT,
          count,
          cycles,
        };
      }
    }
  }

  /** Times that `operation` was charged, optionally for one exit reason only. */
  count(operation: number, reason?: number): number {
    let sum = 0;
    for (const [rowReason, row] of this.rows.entries()) {
      if (row === undefined || (reason !== undefined && rowReason !== reason)) continue;
      for (let index = operation; index < ROW_SIZE; index += OPERATION_COUNT) sum += row.counts[index]!;
    }
    return sum;
  }

  /** All cycles charged to this account. */
  get total(): number {
    let sum = 0;
    for (const row of this.rows) {
      if (row === undefined) continue;
      for (let index = 0; index < ROW_SIZE; index++) sum += this.cyclesAt(row, index);
    }
    return sum;
  }

  private note(operation: number, times: number, cycles = times * this.prices[operation]!): void {
    this.log!.push(this.stage, operation, times, cycles);
  }

  private cyclesAt(row: LedgerRow, index: number): number {
    return row.counts[index]! * this.prices[index % OPERATION_COUNT]! + row.unpriced[index]!;
  }

  private rowOf(reason: number): LedgerRow {
    let row = this.rows[reason];
    if (row === undefined) {
      row = { counts: new Float64Array(ROW_SIZE), unpriced: new Float64Array(ROW_SIZE) };
      this.rows[reason] = row;
    }
    return row;
  }
}

/** The books do not balance: a defect of this program, never of the guest. */
export class LedgerError extends Error {
  readonly code = 'ledger';
  readonly charged: number;
  readonly elapsed: number;
  constructor(charged: number, elapsed: number) {
    super(`${charged} cycles were charged while ${elapsed} cycles of virtual time passed`);
    this.name = 'LedgerError';
    this.charged = charged;
    this.elapsed = elapsed;
  }
}

/** All accounts of a simulated host. */
export class Ledger {
  readonly accounts: LedgerAccount[] = [];
  private readonly prices: Float64Array;

  /** @param prices cycles by operation number; by default every operation's cycles are measured */
  constructor(prices: Float64Array = new Float64Array(OPERATION_COUNT)) {
    this.prices = prices;
  }

  open(name: string): LedgerAccount {
    const account = new LedgerAccount(name, this.prices);
    this.accounts.push(account);
    return account;
  }

  get total(): number {
    return this.accounts.reduce((sum, account) => sum + account.total, 0);
  }

  /** Throws `LedgerError` unless all charges together are the virtual time that passed on all CPUs. */
  verify(elapsedCycles: number): void {
    const charged = this.total;
    if (charged !== elapsedCycles) throw new LedgerError(charged, elapsedCycles);
  }
}
