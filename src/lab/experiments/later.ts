/** What came after the talk, in its spirit, and was published with a figure. */

import type { Policies } from '../../kvm/policies.js';
import type { ExitRecord } from '../../trace/events.js';
import { medianBy } from '../arithmetic.js';
import type { Experiment, Setup } from '../experiment.js';
import { type Observation, type ReadOff, ReadOffError } from '../observation.js';
import {
  type ExitFilter,
  exitCount,
  exitsOf,
  exitsPerSecondBetween,
  exitsPerSecondOfBetween,
  printed,
  reason,
} from '../read-off.js';
import { GUEST_MEMORY_BYTES, oneGuest } from './setups.js';

const SECTION = 'Later improvements';
const INTERRUPTS = '256';

const stormy = (pvEoi: Policies['pvEoi']): Setup =>
  oneGuest(`PV EOI ${pvEoi}`, 'pv-eoi', { era: '3.x', policies: { pvEoi }, defines: { INTERRUPTS } });

const pvEoi: Experiment = {
  name: 'pv-eoi',
  section: SECTION,
  title: 'Many interrupts, their ends told through a flag in memory',
  setups: { before: stormy('off'), after: stormy('on') },
  rows: [
    {
      title: 'VM entries',
      unit: 'per s',
      read: exitsPerSecondBetween(reason('EXTERNAL_INTERRUPT')),
      figure: {
        of: 'change',
        value: -40.1,
        source: 'commit ab9cf4996bb9: kvm_entry 47,357 to 28,354 per second',
        kind: 'predicted',
        aimInPercent: 25,
      },
    },
    {
      title: 'writes to the APIC',
      unit: 'per s',
      read: exitsPerSecondOfBetween(reason('APIC_ACCESS'), reason('EXTERNAL_INTERRUPT')),
      figure: {
        of: 'change',
        value: -91.3,
        source: 'commit ab9cf4996bb9: kvm_apic 22,124 to 1,931 per second',
        kind: 'predicted',
      },
    },
  ],
};

const STORM = reason('EXTERNAL_INTERRUPT');

const storm = (apicVirtualisation: Policies['apicVirtualisation']): Setup =>
  oneGuest(apicVirtualisation, 'interrupt-storm', {
    processor: 'ivy-bridge-ep',
    era: '3.x',
    policies: { apicVirtualisation },
    defines: { INTERRUPTS },
  });

const apicVirtualisation: Experiment = {
  name: 'apic-virtualisation',
  section: SECTION,
  title: 'Many interrupts, whose local APIC the processor virtualises more and more',
  setups: {
    before: storm('none'),
    register: storm('register'),
    after: storm('register+virtual-interrupt-delivery'),
  },
  rows: [
    {
      title: 'exits, register virtualisation',
      unit: 'per s',
      after: 'register',
      read: exitsPerSecondBetween(STORM),
    },
    { title: 'exits, virtual-interrupt delivery', unit: 'per s', read: exitsPerSecondBetween(STORM) },
  ],
};

function pingPong(label: string, policies: Partial<Policies>, defines: Record<string, string> = {}): Setup {
  return {
    label,
    scenario: (guest) => ({
      processor: 'ivy-bridge-ep',
      era: '6.x',
      policies: { haltPolling: 'off', ...policies },
      topology: { sockets: 1, coresPerSocket: 2 },
      vms: [
        {
          image: guest('ipi-ping-pong', { ROUNDS: '64', X2APIC: '1', ...defines }),
          memoryBytes: GUEST_MEMORY_BYTES,
          vcpus: 2,
        },
      ],
    }),
  };
}

/** The exits at each place in the guest that has many, where they are longest first. */
function sitesOf(run: Observation, filter: ExitFilter): ExitRecord[][] {
  const sites = new Map<bigint, ExitRecord[]>();
  for (const exit of exitsOf(run, filter)) sites.set(exit.rip, [...(sites.get(exit.rip) ?? []), exit]);
  const often = [...sites.values()].filter(({ length }) => length >= OFTEN);
  if (often.length === 0) throw new ReadOffError('no place in the guest with many such exits');
  return often.sort((a, b) => typicalOf(b) - typicalOf(a));
}

const typicalOf = (site: ExitRecord[]): number => medianBy(site, ({ cycles }) => cycles)!.cycles;

const OFTEN = 32;
/** Sending an interrupt takes longer than ending one, which is the other MSR that is written. */
const sendings = (run: Observation): ExitRecord[] => sitesOf(run, reason('MSR_WRITE'))[0]!;

/** Setting the TSC deadline takes less than ending an interrupt. */
const deadlineWrite: ReadOff = (run) => typicalOf(sitesOf(run, reason('MSR_WRITE')).at(-1)!);

/** From the exit of the sender until the interrupt is in the guest of the receiver. */
function flight(run: Observation): number {
  const arrivals = exitsOf(run, reason('EXTERNAL_INTERRUPT'));
  const flights = sendings(run).flatMap((sent) => {
    const arrived = arrivals.find(({ vcpu, time }) => vcpu !== sent.vcpu && time > sent.time);
    return arrived === undefined ? [] : [arrived.time + arrived.cycles - sent.time];
  });
  return medianBy(flights, (cycles) => cycles) ?? Number.NaN;
}

const fastPath: Experiment = {
  name: 'exit-fast-path',
  section: SECTION,
  title: 'Two virtual CPUs that send each other interrupts: the exit of the sender on the fast path',
  setups: {
    before: pingPong('full loop', { exitDispatch: 'full-loop' }),
    after: pingPong('fast path', { exitDispatch: 'fast-path' }),
    'timer, full loop': oneGuest('timer, full loop', 'deadline', {
      era: '6.x',
      policies: { exitDispatch: 'full-loop' },
    }),
    'timer, fast path': oneGuest('timer, fast path', 'deadline', { era: '6.x' }),
  },
  rows: [
    {
      title: 'from the sender to the guest of the receiver',
      unit: 'cycles',
      read: flight,
      figure: {
        of: 'saving',
        value: 200,
        source: 'commit 1e9e2622a149: more than 200 cycles less from sender to receiver (Skylake)',
        kind: 'predicted',
      },
    },
    {
      title: 'exit of the sender',
      unit: 'cycles',
      read: (run) => typicalOf(sendings(run)),
    },
    {
      title: 'write of the TSC deadline',
      unit: 'cycles',
      before: 'timer, full loop',
      after: 'timer, fast path',
      read: deadlineWrite,
    },
  ],
};

const posting = (label: string, policy: Policies['apicVirtualisation']): Setup =>
  pingPong(label, { apicVirtualisation: policy });

const posted: Experiment = {
  name: 'posted-interrupts',
  section: SECTION,
  title: 'Two virtual CPUs that send each other interrupts: the receiver stays in its guest',
  setups: {
    before: posting('kicked out', 'register+virtual-interrupt-delivery'),
    after: posting('posted', 'posted-interrupts'),
  },
  rows: [
    {
      title: 'exits of the receiver for interrupts',
      unit: 'exits',
      read: exitCount(reason('EXTERNAL_INTERRUPT')),
    },
    { title: 'round trip', unit: 'cycles', read: printed('cycles per round trip') },
  ],
};

const cost = (label: string, apicVirtualisation: Policies['apicVirtualisation']): Setup =>
  oneGuest(label, 'vmexit', { processor: 'ivy-bridge-ep', era: '6.x', policies: { apicVirtualisation } });

/** What kvm-unit-tests call a benchmark of a port of user space: `inl_from_qemu N`. */
const inlFromQemu: ReadOff = ({ vms }) => {
  const found = /^inl_from_qemu (\d+)$/m.exec(vms[0]!.output);
  if (found === null) throw new ReadOffError('the guest did not print inl_from_qemu');
  return Number(found[1]);
};

const INL_FROM_QEMU =
  'commit ad3610919e6f: 5,765 to 5,826 cycles, on a server of about 2016; user space and system calls here are those of 2010';

const apicVirtualisationCost: Experiment = {
  name: 'apic-virtualisation-cost',
  section: SECTION,
  title: 'What APIC virtualisation costs an exit that has nothing to do with it',
  setups: { before: cost('without', 'none'), after: cost('with', 'posted-interrupts') },
  rows: [
    {
      title: 'inl_from_qemu',
      unit: 'cycles',
      read: inlFromQemu,
      figure: {
        of: 'change',
        value: 1.06,
        source: INL_FROM_QEMU,
        kind: 'predicted',
      },
    },
    {
      title: 'inl_from_qemu, without',
      unit: 'cycles',
      after: null,
      read: inlFromQemu,
      figure: { of: 'before', value: 5765, source: INL_FROM_QEMU, kind: 'predicted' },
    },
  ],
};

export const LATER: readonly Experiment[] = [
  pvEoi,
  apicVirtualisation,
  apicVirtualisationCost,
  posted,
  fastPath,
];
