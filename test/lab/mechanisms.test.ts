/** Every mechanism of the hypervisor layer is shown by an experiment. */

import { describe, expect, it } from 'vitest';
import { MECHANISMS, type Mechanism, type Policies, selectPolicies } from '../../src/kvm/policies.js';
import type { Experiment } from '../../src/lab/experiment.js';
import { EXPERIMENTS } from '../../src/lab/experiments/index.js';
import type { GuestImage } from '../../src/machine/guest-image.js';

const NO_IMAGE: GuestImage = { segments: [], entry: 0n } as unknown as GuestImage;

/** Policies of the first virtual machine of each setup. */
function policiesOf({ setups }: Experiment): Policies[] {
  return Object.values(setups).map(({ scenario }) => {
    const { era, policies, vms } = scenario(() => NO_IMAGE);
    return selectPolicies(vms[0]!.era ?? era, { ...policies, ...vms[0]!.policies });
  });
}

/** Experiments in which an alternative and another one of its mechanism stand side by side, all else being equal. */
function shownBy(mechanism: Mechanism, alternative: string): string[] {
  return EXPERIMENTS.filter((experiment) => {
    const all = policiesOf(experiment);
    return all.some(
      (one) =>
        one[mechanism] === alternative &&
        all.some(
          (other) =>
            other[mechanism] !== alternative &&
            MECHANISMS.every(({ name }) => name === mechanism || one[name] === other[name]),
        ),
    );
  }).map(({ name }) => name);
}

/** A limit, and the lack of a timer mode: there is nothing to measure. */
const NOT_MEASURED = new Set([
  'busCapacity=6',
  'busCapacity=200',
  'busCapacity=1000',
  'deadlineTimer=absent',
]);

describe('mechanisms in the lab', () => {
  const alternatives = MECHANISMS.flatMap(({ name, alternatives }) =>
    alternatives.map((alternative) => [name, alternative.name] as const),
  );

  it.each(alternatives)('%s=%s is replaced alone by some experiment', (mechanism, alternative) => {
    const experiments = shownBy(mechanism, alternative);
    if (NOT_MEASURED.has(`${mechanism}=${alternative}`)) expect(experiments).toEqual([]);
    else expect(experiments).not.toEqual([]);
  });
});
