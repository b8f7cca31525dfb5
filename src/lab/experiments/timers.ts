/** Timers of guests: who runs them, and what a guest that sleeps on them pays. */

import { operation } from '../../host/cost/operations.js';
import type { Policies } from '../../kvm/policies.js';
import type { Experiment, RowDefinition, Setup } from '../experiment.js';
import type { ReadOff } from '../observation.js';
import { exitCount, printed, reason } from '../read-off.js';
import { GUEST_MEMORY_BYTES, oneGuest } from './setups.js';

const SECTION = 'Later improvements';
const IDLE = operation('idle');

const timer = (
  label: string,
  deadlineTimer: Policies['deadlineTimer'],
  defines?: Record<string, string>,
): Setup =>
  oneGuest(label, 'deadline', {
    era: '6.x',
    policies: { deadlineTimer, haltPolling: 'off' },
    ...(defines === undefined ? {} : { defines }),
  });

const deadline: Experiment = {
  name: 'deadline-timer',
  section: SECTION,
  title: 'TSC-deadline timer: run by a timer of the host, and by the VMX-preemption timer',
  setups: {
    before: timer('hrtimer', 'hrtimer'),
    after: timer('preemption timer', 'preemption-timer'),
    haltBefore: timer('hrtimer, halted', 'hrtimer', { HALT: '1' }),
    haltAfter: timer('preemption timer, halted', 'preemption-timer', { HALT: '1' }),
  },
  rows: [
    {
      title: 'lateness of the handler, guest spins',
      unit: 'cycles',
      read: printed('cycles late'),
      figure: {
        of: 'change',
        value: -25,
        source: 'commit ce7a058a2117: about 800 of 3,200 cycles less (busy wait)',
        kind: 'predicted',
      },
    },
    {
      title: 'lateness of the handler, guest halts',
      unit: 'cycles',
      before: 'haltBefore',
      after: 'haltAfter',
      read: printed('cycles late'),
      figure: {
        of: 'saving',
        value: -20,
        source: 'commit ce7a058a2117: about 20 cycles more where the guest halts',
        kind: 'predicted',
      },
    },
  ],
};

const sleeper = (haltPolling: Policies['haltPolling']): Setup =>
  oneGuest(haltPolling, 'idle-wakeup', { era: '6.x', policies: { haltPolling } });

/** A guest on a CPU of its own, with another one for what is not its own business. */
const dedicated = (deadlineTimer: Policies['deadlineTimer']): Setup => ({
  label: deadlineTimer,
  scenario: (guest) => ({
    processor: 'ivy-bridge-ep',
    era: '6.x',
    policies: { deadlineTimer, apicVirtualisation: 'posted-interrupts', haltPolling: 'off' },
    topology: { sockets: 1, coresPerSocket: 2 },
    vms: [{ image: guest('deadline'), memoryBytes: GUEST_MEMORY_BYTES }],
  }),
});

const postedTimer: Experiment = {
  name: 'posted-timer',
  section: SECTION,
  title: 'TSC-deadline timer of a guest on a CPU of its own: expired there, or elsewhere and posted',
  setups: { before: dedicated('hrtimer'), after: dedicated('posted') },
  rows: [
    {
      title: 'exits for interrupts of the host',
      unit: 'exits',
      read: exitCount(reason('EXTERNAL_INTERRUPT')),
      figure: {
        of: 'change',
        value: -84,
        source:
          'commit 0c5f81dad46c: 42,916 to 6,871 EXTERNAL_INTERRUPT exits (those left are for other interrupts, which this host has none of)',
        kind: 'predicted',
      },
    },
    { title: 'lateness of the handler', unit: 'cycles', read: printed('cycles late') },
  ],
};

/** A guest that does nothing but take its timer tick, 250 times a second. */
const ticking = (haltPolling: Policies['haltPolling']): Setup =>
  oneGuest(`idle, ${haltPolling}`, 'idle-wakeup', {
    era: '6.x',
    policies: { haltPolling },
    defines: { PERIOD: '4000000', SLEEPS: '64' },
  });

/** Share of the time that the CPU did not sleep, in percent. */
const busyShare: ReadOff = ({ accounts, result }) => {
  let idle = 0;
  for (const account of accounts)
    for (const entry of account.entries()) if (entry.operation === IDLE) idle += entry.cycles;
  return 100 * (1 - idle / result.cycles);
};

const polling: Experiment = {
  name: 'halt-polling',
  section: SECTION,
  title: 'A guest that sleeps 20 µs at a time: looking for interrupts before sleeping',
  setups: {
    before: sleeper('off'),
    after: sleeper('always'),
    dynamic: sleeper('dynamic'),
    'idle, off': ticking('off'),
    'idle, always': ticking('always'),
    'idle, dynamic': ticking('dynamic'),
  },
  rows: [
    {
      title: 'from wake-up to wake-up, always',
      unit: 'cycles',
      read: printed('cycles from one to the next'),
    },
    {
      title: 'from wake-up to wake-up, dynamic',
      unit: 'cycles',
      after: 'dynamic',
      read: printed('cycles from one to the next'),
    },
    ...(
      [
        ['off', 1.1],
        ['always', { from: 4.6, to: 14 }],
        ['dynamic', 1.2],
      ] as const
    ).map(
      ([policy, value]): RowDefinition => ({
        title: `CPU that an idle guest of 250 Hz takes, ${policy}`,
        unit: '%',
        digits: 1,
        before: `idle, ${policy}`,
        after: null,
        read: busyShare,
        figure: {
          of: 'before',
          value,
          source:
            'commit aca6ff29c406: 1.1 % without, 4.6 to 14 % always, 1.2 % dynamic (a Linux guest, which does more at a tick)',
          kind: 'predicted',
        },
      }),
    ),
  ],
};

export const TIMERS: readonly Experiment[] = [deadline, postedTimer, polling];
