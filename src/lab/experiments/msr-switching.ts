/** Syscall MSRs: what is switched when the CPU goes to somebody else for a while, and when it comes back. */

import { MEROM } from '../../host/cost/cost-models.js';
import type { Policies } from '../../kvm/policies.js';
import type { Experiment, RowDefinition, Setup } from '../experiment.js';
import { type ReadOff, ReadOffError } from '../observation.js';
import { both, busyCycles, exitsOf, heavy, operationCount, reason } from '../read-off.js';
import { GUEST_MEMORY_BYTES, likeLinux, oneGuest, type SyscallMsrs } from './setups.js';

const SECTION = 'MSR switching';
const TALK = 'talk, MSR switching, and commit 26bb0981b3ff: about 2,000 where EFER is switched, too';
const HALT = reason('HLT');
const PREEMPTION = both(reason('EXTERNAL_INTERRUPT'), heavy);

/** Work of a thread of the host, in cycles: every 200 µs for 4 µs. */
const THREAD = { period: 520_000, duration: 10_400 } as const;
const TIME_SLICE = 400_000;

type Switching = Policies['syscallMsrs'];

const policies = (syscallMsrs: Switching): { policies: Partial<Policies> } => ({ policies: { syscallMsrs } });

const idle: Experiment = {
  name: 'msr-idle',
  section: SECTION,
  title: 'Guest → idle → the same guest: a halt until the next interrupt, sleep left out',
  setups: {
    before: likeLinux(oneGuest('eager', 'timer', policies('eager'))),
    after: likeLinux(oneGuest('shared', 'timer', policies('shared'))),
    eagerEfer: oneGuest('eager, SYSCALL off', 'timer', policies('eager')),
    sharedEfer: oneGuest('shared, SYSCALL off', 'timer', policies('shared')),
  },
  exit: HALT,
  rows: [
    {
      title: 'host state away and back',
      unit: 'cycles',
      read: busyCycles(HALT),
      figure: { of: 'saving', value: 2000, source: TALK, kind: 'predicted', aimInPercent: 15 },
    },
    {
      title: 'without SYSCALL: EFER, not STAR',
      unit: 'cycles',
      before: 'eagerEfer',
      after: 'sharedEfer',
      read: busyCycles(HALT),
      figure: { of: 'saving', value: 2000, source: TALK, kind: 'predicted', aimInPercent: 15 },
    },
  ],
};

function besideKernelThread(label: Switching): Setup {
  return likeLinux({
    label,
    scenario: (guest) => ({
      ...policies(label),
      vms: [{ image: guest('compute'), memoryBytes: GUEST_MEMORY_BYTES }],
      kernelThreads: [{ name: 'vhost', cpu: 0, ...THREAD }],
    }),
  });
}

const kernelThread: Experiment = {
  name: 'msr-kernel-thread',
  section: SECTION,
  title: 'Guest → kernel thread → the same guest: preempted for a thread that never goes to user mode',
  setups: { before: besideKernelThread('eager'), after: besideKernelThread('shared') },
  exit: PREEMPTION,
  rows: [
    {
      title: 'host state away and back',
      unit: 'cycles',
      read: busyCycles(PREEMPTION),
      figure: { of: 'saving', value: 2000, source: TALK, kind: 'predicted', aimInPercent: 15 },
    },
  ],
};

/** Two guests that take turns on one CPU. */
function twoGuests(label: Switching, second: SyscallMsrs): Setup {
  const setup = likeLinux({
    label: `${label}, ${second === 'other' ? 'different' : 'equal'} values`,
    scenario: (guest) => ({
      ...policies(label),
      timeSliceInCycles: TIME_SLICE,
      vms: [0, 1].map(() => ({
        image: guest('compute'),
        memoryBytes: GUEST_MEMORY_BYTES,
        placement: [0],
      })),
    }),
  });
  return likeLinux(setup, { msrs: second, only: 1 });
}

const switchRow = (title: string, before: string, after: string): RowDefinition[] => [
  { title: `${title}: exit`, unit: 'cycles', before, after, read: busyCycles(PREEMPTION) },
  {
    title: `${title}: WRMSR`,
    unit: 'per switch',
    digits: 1,
    before,
    after,
    read: (run) => operationCount('WRMSR')(run) / exitsOf(run, PREEMPTION).length,
  },
];

const guestToGuest: Experiment = {
  name: 'msr-guest-to-guest',
  section: SECTION,
  title: 'Guest A → guest B: two virtual machines that take turns on one CPU',
  setups: {
    eagerEqual: twoGuests('eager', 'zero'),
    sharedEqual: twoGuests('shared', 'zero'),
    eagerDifferent: twoGuests('eager', 'other'),
    sharedDifferent: twoGuests('shared', 'other'),
    withoutCstar: twoGuests('shared-without-cstar', 'other'),
  },
  exit: PREEMPTION,
  rows: [
    ...switchRow('equal values', 'eagerEqual', 'sharedEqual'),
    ...switchRow('different values', 'eagerDifferent', 'sharedDifferent'),
    ...switchRow('the same, and without CSTAR', 'sharedDifferent', 'withoutCstar'),
  ],
};

/** A port write that user space handles: there the host's values have to come back. */
function portWrite(label: string, syscallMsrs: Switching, msrs: SyscallMsrs): Setup {
  return likeLinux(oneGuest(label, 'pio-write', policies(syscallMsrs)), { msrs });
}

const PORT = both(reason('IO_INSTRUCTION'), heavy);
const userSpace: Experiment = {
  name: 'msr-user-space',
  section: SECTION,
  title: 'Guest → user space → the same guest: where the host wants its own values back',
  setups: {
    before: portWrite('eager', 'eager', 'zero'),
    after: portWrite('shared, guest and host differ', 'shared', 'zero'),
    equal: portWrite('shared, values as the host', 'shared', 'host'),
  },
  exit: PORT,
  rows: [
    { title: 'OUT, guest and host differ', unit: 'cycles', read: busyCycles(PORT) },
    {
      title: 'OUT, guest has the values of its host',
      unit: 'cycles',
      after: 'equal',
      read: busyCycles(PORT),
    },
  ],
};

const REREADING = 'commit 2345df8c555e (2007, x86-64): about 900 cycles, 10 % of an exit';

const rereading = (syscallMsrs: Switching): Setup => {
  const setup = portWrite(syscallMsrs, syscallMsrs, 'zero');
  return { ...setup, scenario: (guest) => ({ ...setup.scenario(guest), costModel: MEROM }) };
};

const beforeTheTalk: Experiment = {
  name: 'msr-rereading',
  section: SECTION,
  title: "Before the talk, on Merom: the host's values read anew at each heavy exit",
  setups: { before: rereading('eager-rereading'), after: rereading('eager') },
  exit: PORT,
  rows: [
    {
      title: 'OUT to user space',
      unit: 'cycles',
      read: busyCycles(PORT),
      figure: { of: 'saving', value: 900, source: REREADING, kind: 'calibrated' },
    },
    {
      title: 'share of the exit',
      unit: 'cycles',
      read: busyCycles(PORT),
      figure: {
        of: 'change',
        value: -10,
        source: `${REREADING}; every exit was a heavy one then, but did not go to user space`,
        kind: 'predicted',
      },
    },
  ],
};

/** A system call of a guest's own, timed by itself: `NAME: right, cycles N`. */
const systemCall =
  (name: string): ReadOff =>
  ({ vms }) => {
    const found = new RegExp(`^${name}: right, cycles (\\d+)$`, 'm').exec(vms[0]!.output);
    if (found === null) throw new ReadOffError(`the guest's ${name} did not come back right`);
    return Number(found[1]);
  };

const callRow = (name: string, from: number, to: number): RowDefinition => ({
  title: `${name}, there and back`,
  unit: 'cycles',
  read: systemCall(name),
  figure: {
    of: 'before',
    value: { from, to },
    source: 'instruction tables of the time, the pair of instructions alone (recalled)',
    kind: 'predicted',
  },
});

const entries: Experiment = {
  name: 'system-calls',
  section: SECTION,
  title: "Ways into a guest's kernel: what these MSRs are for; none of them leaves the guest",
  setups: { before: oneGuest('2.6.32', 'syscall-entries') },
  rows: [callRow('SYSCALL', 90, 150), callRow('SYSENTER', 90, 150), callRow('INT 0x80', 200, 350)],
};

export const MSR_SWITCHING: readonly Experiment[] = [
  beforeTheTalk,
  idle,
  kernelThread,
  guestToGuest,
  userSpace,
  entries,
];
