/** Runs one setup and keeps what is known about the run. */

import { createScenario } from '../machine/scenario/scenario.js';
import type { ScenarioOptions } from '../machine/scenario/scenario-options.js';
import type { ExitRecord } from '../trace/events.js';
import type { GuestLoader, Setup } from './experiment.js';
import type { Observation } from './observation.js';

/** What set-ups get that do not choose for themselves. */
export type Surroundings = Pick<ScenarioOptions, 'era' | 'policies' | 'costModel' | 'processor'>;

export function runSetup(
  { scenario, prepare, untilCycles, observe }: Setup,
  guest: GuestLoader,
  surroundings: Surroundings = {},
): Observation {
  const chosen = scenario(guest);
  const options = {
    ...surroundings,
    ...chosen,
    policies: { ...surroundings.policies, ...chosen.policies },
  };
  const observed = options.vms.map(() => ({ exits: [] as ExitRecord[], bytes: [] as number[] }));
  const machine = createScenario({
    ...options,
    vms: options.vms.map((vm, index) => {
      const { exits, bytes } = observed[index]!;
      return {
        ...vm,
        serialOutput: (byte: number) => bytes.push(byte),
        ...(observe === 'counts' ? {} : { trace: { vmExit: (exit: ExitRecord) => exits.push(exit) } }),
      };
    }),
  });
  const notes = new Map<string, number[]>();
  prepare?.(machine, (subject, value) => {
    const values = notes.get(subject);
    if (values === undefined) notes.set(subject, [value]);
    else values.push(value);
  });
  const result = machine.run(untilCycles === undefined ? {} : { untilCycles });
  return {
    result,
    vms: observed.map(({ exits, bytes }) => ({ exits, output: latin1(bytes) })),
    accounts: machine.host.ledger.accounts,
    notes,
  };
}

const latin1 = (bytes: readonly number[]): string => bytes.map((byte) => String.fromCharCode(byte)).join('');
