/**
 * What protects memory slots and buses, under load: virtual CPUs that all make exits at the same time. The talk's slide
 * "SRCU results" is a picture without numbers, so that there is no figure to meet; the shape follows from the cost of a
 * cache line's way between CPUs.
 */

import type { OperationName } from '../../host/cost/operations.js';
import { TALK_I7 } from '../../host/cost/talk-i7.js';
import type { Policies } from '../../kvm/policies.js';
import type { PublishedValue } from '../arithmetic.js';
import type { Experiment, ReadAll, RowDefinition, Setup } from '../experiment.js';
import type { ReadOff } from '../observation.js';
import { exitsPerSecond, operationCount } from '../read-off.js';
import { GUEST_MEMORY_BYTES } from './setups.js';

const SECTION = 'Memory slots, devices and SRCU';
const VCPUS = [1, 2, 4, 6, 8, 10, 12, 14, 16] as const;
const WRITES = '800';

type Protection = Policies['slotsProtection'];

interface Hammering {
  readonly slotsProtection: Protection;
  readonly sockets: number;
  readonly vcpus: number;
  /** One device of all, instead of the local APIC of each. */
  readonly shared?: boolean;
}

function hammered({ slotsProtection, sockets, vcpus, shared = false }: Hammering): Setup {
  return {
    label: `${slotsProtection}, ${vcpus} vCPUs`,
    observe: 'counts',
    scenario: (guest) => ({
      topology: { sockets, coresPerSocket: Math.ceil(vcpus / sockets) },
      policies: { slotsProtection },
      vms: [
        {
          image: guest('hammer', { WRITES, ...(shared ? { SHARED: '1' } : {}) }),
          memoryBytes: GUEST_MEMORY_BYTES,
          vcpus,
          placement: acrossSockets(sockets, vcpus),
        },
      ],
    }),
  };
}

/** Virtual CPUs go to the sockets by turns. */
function acrossSockets(sockets: number, vcpus: number): number[] {
  const coresPerSocket = Math.ceil(vcpus / sockets);
  return Array.from(
    { length: vcpus },
    (_, vcpu) => (vcpu % sockets) * coresPerSocket + Math.floor(vcpu / sockets),
  );
}

const nameOf = (protection: Protection, vcpus: number): string => `${protection}-${vcpus}`;

/** The number of virtual CPUs beyond which another one adds less than half of what the first one does. */
function saturation(protection: Protection, vcpuCounts: readonly number[]): ReadAll {
  return (runs) => {
    const rate = (vcpus: number): number => exitsPerSecond(runs.get(nameOf(protection, vcpus))!);
    const first = rate(vcpuCounts[0]!) / vcpuCounts[0]!;
    const end = vcpuCounts.findIndex((vcpus, index) => {
      const next = vcpuCounts[index + 1];
      return next === undefined || (rate(next) - rate(vcpus)) / (next - vcpus) < first / 2;
    });
    return vcpuCounts[end]!;
  };
}

const SAME: OperationName = 'cache-line transfer (same socket)';
const OTHER: OperationName = 'cache-line transfer (other socket)';
const cost = (name: OperationName): number => TALK_I7.entries[name]!.cycles;

/** Share of the transfers of cache lines that go to another socket, in percent. */
const crossing: ReadOff = (run) => {
  const [same, other] = [operationCount(SAME)(run), operationCount(OTHER)(run)];
  return (100 * other) / (same + other);
};

/** What is done under the inner spinlock of the semaphore (`CRITICAL_SECTION` of `RwSemaphore`). */
const HOLD = 20;

/**
 * The derivation of the figure, with the exits and transfers of the runs: how many exits fit into the time that the
 * line is busy for one of them.
 */
function derived(alone: string, together: string): ReadAll {
  return (runs) => {
    const share = crossing(runs.get(together)!) / 100;
    const transfer = share * cost(OTHER) + (1 - share) * cost(SAME);
    const exit = TALK_I7.clockInHertz / exitsPerSecond(runs.get(alone)!);
    return exit / (2 * (transfer + cost('locked operation') + HOLD));
  };
}

const counts = (sockets: number): number[] => VCPUS.filter((vcpus) => vcpus >= sockets);

/** How the rows about two sockets explain what was found. */
const crossingRows: readonly RowDefinition[] = [
  {
    title: 'transfers that cross sockets, 16 vCPUs',
    unit: '%',
    before: nameOf('rwsem', 16),
    after: null,
    read: crossing,
    figure: {
      of: 'before',
      value: 100,
      source: 'what the derivation of 4 to 5 vCPUs assumes: no CPU follows one of its own socket',
      kind: 'predicted',
    },
  },
  {
    title: 'the derivation, with that share',
    unit: 'vCPUs',
    digits: 1,
    read: { all: derived('alone', nameOf('rwsem', 16)) },
  },
];

function scaling(name: string, sockets: number, title: string, saturated: PublishedValue): Experiment {
  const vcpuCounts = counts(sockets);
  const protections: readonly Protection[] = ['rwsem', 'srcu-expedited'];
  return {
    name,
    section: SECTION,
    title,
    setups: {
      ...Object.fromEntries(
        protections.flatMap((slotsProtection) =>
          vcpuCounts.map((vcpus) => [
            nameOf(slotsProtection, vcpus),
            hammered({ slotsProtection, sockets, vcpus }),
          ]),
        ),
      ),
      ...(sockets === 1 ? {} : { alone: hammered({ slotsProtection: 'rwsem', sockets: 1, vcpus: 1 }) }),
    },
    rows: [
      ...vcpuCounts.map(
        (vcpus): RowDefinition => ({
          title: `${vcpus} vCPU${vcpus === 1 ? '' : 's'}: rwsem, SRCU`,
          unit: 'exits/s',
          before: nameOf('rwsem', vcpus),
          after: nameOf('srcu-expedited', vcpus),
          read: exitsPerSecond,
        }),
      ),
      {
        title: 'rwsem is saturated from here on',
        unit: 'vCPUs',
        read: { all: saturation('rwsem', vcpuCounts) },
        figure: {
          of: 'before',
          value: saturated,
          source:
            'derived: an exit of 2,500 cycles ÷ two transfers of the cache line and what is done under the lock (perfbook)',
          kind: 'predicted',
        },
      },
      ...(sockets === 1 ? [] : crossingRows),
    ],
    curves: {
      title: 'Exits handled by a device in the kernel',
      xLabel: 'virtual CPUs',
      yLabel: 'million exits per second',
      read: (run) => exitsPerSecond(run) / 1e6,
      lines: protections.map((protection) => ({
        label: `${protection === 'rwsem' ? 'rwsem (2.6.32)' : 'SRCU'}, ${sockets === 1 ? 'one socket' : `${sockets} sockets`}`,
        points: vcpuCounts.map((vcpus) => [vcpus, nameOf(protection, vcpus)] as const),
      })),
    },
  };
}

/** Where SRCU's curve ends as well: a device that all virtual CPUs write to has a lock of its own. */
const sharedDevice: Experiment = {
  name: 'shared-device',
  section: SECTION,
  title:
    'Under SRCU: each virtual CPU its own local APIC, or all of them one interrupt controller, two sockets',
  setups: Object.fromEntries(
    [2, 8, 16].flatMap((vcpus) => [
      [`own-${vcpus}`, hammered({ slotsProtection: 'srcu-expedited', sockets: 2, vcpus })],
      [`shared-${vcpus}`, hammered({ slotsProtection: 'srcu-expedited', sockets: 2, vcpus, shared: true })],
    ]),
  ),
  rows: [2, 8, 16].map((vcpus) => ({
    title: `${vcpus} vCPUs: own, shared`,
    unit: 'exits/s',
    before: `own-${vcpus}`,
    after: `shared-${vcpus}`,
    read: exitsPerSecond,
  })),
};

export const SCALING: readonly Experiment[] = [
  scaling(
    'scaling-one-socket',
    1,
    'Virtual CPUs that each write to a device in the kernel, their local APIC, all on one socket',
    12,
  ),
  scaling('scaling-two-sockets', 2, 'The same, on two sockets by turns', { from: 4, to: 5 }),
  sharedDevice,
];
