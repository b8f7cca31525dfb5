/** Every guest finds its own system-call MSRs and segment bases, and host user space the host's. */

import { describe, expect, it } from 'vitest';
import { MSR } from '../../src/architecture/msrs.js';
import { pairValue } from '../../src/bits/word-pair.js';
import { HOST_SYSCALL_MSRS } from '../../src/host/host-kernel.js';
import { IMPLEMENTED, type Policies } from '../../src/kvm/policies.js';
import { type Arrangement, anyArrangement } from './support/arrangement.js';
import { complaintAbout, forAll, PROPERTY_TIMEOUT, skipCalls } from './support/property.js';
import { expectAllRight, runArrangement } from './support/run-arrangement.js';
import type { Action } from './support/verifier.js';

const MSR_ACTIONS: readonly Action[] = [
  'write-msrs',
  'verify-msrs',
  'swap-bases',
  'call-system',
  'enter-system',
];
const INTERRUPTIONS: readonly Action[] = ['port', 'identify', 'delay', 'sleep'];

describe('system-call MSRs', () => {
  it(
    'are right whatever happens',
    () => {
      forAll(0.3, anyArrangement(INTERRUPTIONS, MSR_ACTIONS), (arrangement) => {
        expectAllRight(runArrangement(arrangement));
      });
    },
    PROPERTY_TIMEOUT,
  );
});

/** Two guests with different values and a process on one CPU. */
const crowd = (policies: Partial<Policies>): Arrangement => ({
  sockets: 1,
  coresPerSocket: 1,
  timeSlice: 30_000,
  hostFpu: 'unconditional',
  vms: [1, 2].map((seed) => ({
    seed,
    rounds: 60,
    lazyFpu: false,
    x2apic: true,
    actions: [...MSR_ACTIONS, ...INTERRUPTIONS],
    cpus: [0],
    policies,
  })),
  kernelThreads: [],
  processes: [{ cpu: 0, period: 150_000, duration: 5_000, usesFpu: false }],
  migrations: [],
  signals: [],
});

const HOST_VALUES = new Map<number, bigint>(HOST_SYSCALL_MSRS);
const GUEST_LOADS = [MSR.LSTAR, MSR.STAR, MSR.SYSCALL_MASK, MSR.KERNEL_GS_BASE];

describe.each(IMPLEMENTED.syscallMsrs)('noticed with %s MSRs: skipped', (syscallMsrs) => {
  it.each(GUEST_LOADS)('load of a guest value, MSR %i', (index) => {
    const complaint = complaintAbout(crowd({ syscallMsrs }), ({ host }) => {
      // After the guests have set all their values.
      let loads = 0;
      skipCalls(
        host.cpus[0]!.cpu,
        'wrmsrWords',
        (written, value) => written === index && pairValue(value) !== HOST_VALUES.get(index) && ++loads > 8,
      );
    });
    expect(complaint).toMatch(/VM \d ended with|HostInvariantError/);
  });

  it.each([MSR.LSTAR, MSR.STAR, MSR.SYSCALL_MASK])('return of the host value, MSR %i', (index) => {
    const complaint = complaintAbout(crowd({ syscallMsrs }), ({ host }) => {
      // A single one does not matter when another guest comes next.
      let returns = 0;
      skipCalls(
        host.cpus[0]!.cpu,
        'wrmsrWords',
        (written, value) =>
          written === index && pairValue(value) === HOST_VALUES.get(index) && ++returns >= 5,
      );
    });
    expect(complaint).toMatch(/HostInvariantError: MSR/);
  });
});

it('notices that user-return notifiers do not run', () => {
  const complaint = complaintAbout(crowd({ syscallMsrs: 'shared' }), ({ host }) => {
    skipCalls(host.cpus[0]!, 'fireUserReturnNotifiers', () => true);
  });
  expect(complaint).toMatch(/HostInvariantError: MSR/);
});

it('notices that a thread flag does not follow to the next thread', () => {
  const complaint = complaintAbout(crowd({ syscallMsrs: 'shared' }), ({ host, threads }) => {
    const process = threads[0]!;
    const hasFlag = process.hasFlag.bind(process);
    // TIF_USER_RETURN_NOTIFY
    process.hasFlag = (flag) => flag !== 2 && hasFlag(flag);
    expect(host.cpus).toHaveLength(1);
  });
  expect(complaint).toMatch(/HostInvariantError: MSR/);
});
