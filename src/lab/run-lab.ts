/** Runs experiments, one after the other. */

import type { Experiment, GuestLoader } from './experiment.js';
import type { Observation } from './observation.js';
import { type ExperimentReport, reportOf } from './report.js';
import { runSetup, type Surroundings } from './run-setup.js';

/** Time that passes outside the simulation, in seconds. The lab has no clock of its own. */
export type WallClock = () => number;

/** How fast something was simulated. */
export interface Pace {
  readonly simulatedSeconds: number;
  readonly wallSeconds: number;
  readonly exits: number;
}

export interface ExperimentPace extends Pace {
  /** The same of each set-up. */
  readonly setups: readonly (Pace & { readonly label: string })[];
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
  surroundings: Surroundings = {},
): { readonly report: ExperimentReport; readonly pace: ExperimentPace } {
  const runs = new Map<string, Observation>();
  const setups: ExperimentPace['setups'][number][] = [];
  for (const [name, setup] of Object.entries(experiment.setups)) {
    const start = clock();
    const run = runSetup(setup, guest, surroundings);
    setups.push({
      label: setup.label,
      wallSeconds: clock() - start,
      simulatedSeconds: run.result.cycles / run.result.clockInHertz,
      exits: run.result.vms.reduce((sum, { statistics }) => sum + statistics.exits, 0),
    });
    runs.set(name, run);
  }
  const total = (of: 'simulatedSeconds' | 'wallSeconds' | 'exits'): number =>
    setups.reduce((sum, pace) => sum + pace[of], 0);
  const pace = {
    simulatedSeconds: total('simulatedSeconds'),
    wallSeconds: total('wallSeconds'),
    exits: total('exits'),
    setups,
  };
  return { report: reportOf(experiment, runs), pace };
}
