/** What a scenario came to: ends and counts of the VMs, cycles of every thread. */

import type { LedgerAccount } from '../../host/ledger.js';
import type { SimulationStop } from '../../host/scheduler.js';
import { STAGE_NAMES } from '../../host/stages.js';
import type { VmStatistics } from '../../kvm/vm.js';
import type { RunEnd, StageCycles } from '../virtual-machine.js';

export interface ThreadResult {
  readonly name: string;
  /** All cycles charged to the thread. */
  readonly cycles: number;
  readonly stages: readonly StageCycles[];
}

export interface VcpuResult extends ThreadResult {
  readonly id: number;
  /** Number of the host CPU that the vCPU is on. */
  readonly cpu: number;
  /** Completed exits, and their number by basic exit reason. */
  readonly exits: number;
  readonly exitsByReason: ReadonlyMap<number, number>;
}

export interface VmResult {
  readonly name: string;
  readonly end: RunEnd;
  readonly statistics: Readonly<VmStatistics>;
  readonly vcpus: readonly VcpuResult[];
}

export interface ScenarioResult {
  readonly stop: SimulationStop;
  /** Virtual time that passed, in cycles, and the frequency in cycles per second. */
  readonly cycles: number;
  readonly clockInHertz: number;
  /** Guest instructions retired on all CPUs. */
  readonly instructions: number;
  readonly vms: readonly VmResult[];
  /** Kernel threads, processes and idle time of each CPU. */
  readonly threads: readonly ThreadResult[];
  /** Cycles of all CPUs by stage. */
  readonly stages: readonly StageCycles[];
}

/** Cycles by stage over accounts, in the order of the stages, those without cycles left out. */
export function stagesOf(accounts: readonly LedgerAccount[]): StageCycles[] {
  const cycles = new Float64Array(STAGE_NAMES.length);
  for (const account of accounts) for (const entry of account.entries()) cycles[entry.stage]! += entry.cycles;
  return STAGE_NAMES.map((name, stage) => ({ name, cycles: cycles[stage]! })).filter(
    (stage) => stage.cycles > 0,
  );
}

export const threadResult = (account: LedgerAccount): ThreadResult => ({
  name: account.name,
  cycles: account.total,
  stages: stagesOf([account]),
});
