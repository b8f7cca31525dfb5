/** Memory slots that come and go: a guest sees the old backing, the new one or none, never memory that is free again. */

import { describe, expect, it } from 'vitest';
import type { Policies } from '../../src/kvm/policies.js';
import type { Scenario } from '../../src/machine/scenario/scenario.js';
import { type Arrangement, anyArrangement } from './support/arrangement.js';
import { complaintAbout, forAll, PROPERTY_TIMEOUT, skipCalls } from './support/property.js';
import { expectAllRight, runArrangement } from './support/run-arrangement.js';
import type { Action } from './support/verifier.js';

const INTERRUPTIONS: readonly Action[] = ['port', 'identify', 'delay', 'sleep'];

describe('memory slots', () => {
  it(
    'are right whatever happens',
    () => {
      forAll(0.2, anyArrangement(INTERRUPTIONS, ['window', 'window']), (arrangement) => {
        expectAllRight(runArrangement(arrangement));
      });
    },
    PROPERTY_TIMEOUT,
  );
});

/** Two virtual CPUs on CPUs of their own that both use the windows. */
const crowd = (slotsProtection: Policies['slotsProtection']): Arrangement => ({
  sockets: 1,
  coresPerSocket: 2,
  timeSlice: 50_000,
  hostFpu: 'unconditional',
  vms: [
    {
      seed: 1,
      rounds: 120,
      lazyFpu: false,
      x2apic: true,
      actions: ['window'],
      cpus: [0, 1],
      policies: { slotsProtection },
    },
  ],
  kernelThreads: [],
  processes: [],
  migrations: [],
  signals: [],
});

const withoutInvalidation = ({ host }: Scenario): void => {
  for (const { cpu } of host.cpus) skipCalls(cpu, 'invept', () => true);
};

describe.each(['rwsem', 'srcu-expedited'] as const)('noticed with %s: skipped', (slotsProtection) => {
  it('invalidation of translations', () => {
    expect(complaintAbout(crowd(slotsProtection), withoutInvalidation)).toMatch(/VM 0 ended with/);
  });
});

it('notices that a writer does not wait for a grace period', () => {
  const complaint = complaintAbout(crowd('srcu-expedited'), ({ vms }) => {
    const { lock } = vms[0]!.kvmVm.vm.slotsProtection as unknown as {
      lock: { waitForReaders(): Generator };
    };
    lock.waitForReaders = function* () {};
  });
  expect(complaint).toMatch(/HostInvariantError: memory slots in the hands of/);
});
