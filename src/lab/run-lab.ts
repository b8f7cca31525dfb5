/** Runs experiments, one after the other. */

import type { Experiment, GuestLoader } from './experiment.js';
import type { Observation } from './observation.js';
import { type ExperimentReport, reportOf } from './report.js';
import { runSetup } from './run-setup.js';

/** Time that passes outside the simulation, in seconds. The lab has no clock of its own. */
export type WallClock = () => number;

/** How fast an experiment was simulated. */
export interface Pace {
  readonly simulatedSeconds: number;
  readonly wallSeconds: number;
  readonly exits: number;
}

/** Simulated time per wall time: 1 is as fast as the modelled machine. */
export const realTimeRatio = ({ simulatedSeconds, wallSeconds }: Pace): number =>
  simulatedSeconds / wallSeconds;

/**
 * @throws GuestProgramError, ReadOffError; what the machine throws
 */
export function runExperiment(
  experiment: Experiment,
  guest: GuestLoader,
  clock: WallClock,
): { readonly report: ExperimentReport; readonly pace: Pace } {
  const runs = new Map<string, Observation>();
  const pace = { simulatedSeconds: 0, wallSeconds: 0, exits: 0 };
  for (const [name, setup] of Object.entries(experiment.setups)) {
    const start = clock();
    const run = runSetup(setup, guest);
    pace.wallSeconds += clock() - start;
    pace.simulatedSeconds += run.result.cycles / run.result.clockInHertz;
    pace.exits += run.result.vms.reduce((sum, { statistics }) => sum + statistics.exits, 0);
    runs.set(name, run);
  }
  return { report: reportOf(experiment, runs), pace };
}
