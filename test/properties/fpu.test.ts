/** Every guest task finds its own FPU registers, and every host thread its own. */

import { describe, expect, it } from 'vitest';
import { IMPLEMENTED, type Policies } from '../../src/kvm/policies.js';
import { type Arrangement, anyArrangement } from './support/arrangement.js';
import { complaintAbout, forAll, PROPERTY_TIMEOUT, skipCalls } from './support/property.js';
import { expectAllRight, runArrangement } from './support/run-arrangement.js';
import type { Action } from './support/verifier.js';

const FPU_ACTIONS: readonly Action[] = ['use-fpu', 'switch-task'];
const INTERRUPTIONS: readonly Action[] = ['port', 'identify', 'delay', 'sleep'];

describe('FPU registers', () => {
  it(
    'are right whatever happens',
    () => {
      forAll(0.3, anyArrangement(INTERRUPTIONS, FPU_ACTIONS), (arrangement) => {
        expectAllRight(runArrangement(arrangement));
      });
    },
    PROPERTY_TIMEOUT,
  );
});

/**
 * Two guests, one of them with a lazy kernel, and a process that uses the FPU, on one CPU. Long enough for the process to
 * use it in many slices one after the other: only then its registers are loaded before it asks for them.
 */
const crowd = (hostFpu: Policies['hostFpu']): Arrangement => ({
  sockets: 1,
  coresPerSocket: 1,
  timeSlice: 30_000,
  hostFpu,
  vms: [1, 2].map((seed) => ({
    seed,
    rounds: 150,
    lazyFpu: seed === 2,
    x2apic: true,
    actions: [...FPU_ACTIONS, ...INTERRUPTIONS],
    cpus: [0],
    policies: { taskSwitchedFlag: 'guest-owned' },
  })),
  kernelThreads: [],
  processes: [{ cpu: 0, period: 100_000, duration: 5_000, usesFpu: true }],
  migrations: [],
  signals: [],
});

describe.each(IMPLEMENTED.hostFpu)('noticed with host FPU %s: skipped', (hostFpu) => {
  // From the fifth one on: a single one may not matter, when the registers still hold the values.
  it('FXRSTOR of what a guest holds', () => {
    const complaint = complaintAbout(crowd(hostFpu), ({ host, vms }) => {
      const { guestFpu } = vms[0]!.vcpus[0]!;
      let calls = 0;
      skipCalls(host.cpus[0]!.cpu, 'fxrstor', (area) => area === guestFpu && ++calls >= 5);
    });
    expect(complaint).toMatch(/VM 0 ended with/);
  });

  it('FXRSTOR of what a process holds', () => {
    const complaint = complaintAbout(crowd(hostFpu), ({ host, threads }) => {
      const { savedFpu } = threads[0]!;
      skipCalls(host.cpus[0]!.cpu, 'fxrstor', (area) => area === savedFpu);
    });
    expect(complaint).toMatch(/HostInvariantError: bytes/);
  });

  it('FXSAVE of what a guest holds', () => {
    const complaint = complaintAbout(crowd(hostFpu), ({ host, vms }) => {
      const { guestFpu } = vms[0]!.vcpus[0]!;
      let calls = 0;
      skipCalls(host.cpus[0]!.cpu, 'fxsave', (area) => area === guestFpu && ++calls >= 5);
    });
    expect(complaint).toMatch(/VM 0 ended with/);
  });
});
