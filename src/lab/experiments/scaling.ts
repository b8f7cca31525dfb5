/**
 * What protects memory slots and buses, under load: virtual CPUs that all make exits at the same time. The talk's slide
 * "SRCU results" is a picture without numbers, so that there is no figure to meet; the shape follows from the cost of a
 * cache line's way between CPUs.
 */

import type { Policies } from '../../kvm/policies.js';
import type { PublishedValue } from '../arithmetic.js';
import type { Experiment, ReadAll, RowDefinition, Setup } from '../experiment.js';
import { exitsPerSecond } from '../read-off.js';
import { GUEST_MEMORY_BYTES } from './setups.js';

const SECTION = 'Memory slots, devices and SRCU';
const VCPUS = [1, 2, 4, 6, 8, 10, 12, 14, 16] as const;
const WRITES = '800';

type Protection = Policies['slotsProtection'];

function hammered(slotsProtection: Protection, sockets: number, vcpus: number): Setup {
  return {
    label: `${slotsProtection}, ${vcpus} vCPUs`,
    observe: 'counts',
    scenario: (guest) => ({
      topology: { sockets, coresPerSocket: Math.ceil(vcpus / sockets) },
      policies: { slotsProtection },
      vms: [
        {
          image: guest('hammer', { WRITES }),
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
function saturation(protection: Protection, counts: readonly number[]): ReadAll {
  return (runs) => {
    const rate = (vcpus: number): number => exitsPerSecond(runs.get(nameOf(protection, vcpus))!);
    const first = rate(counts[0]!) / counts[0]!;
    const end = counts.findIndex((vcpus, index) => {
      const next = counts[index + 1];
      return next === undefined || (rate(next) - rate(vcpus)) / (next - vcpus) < first / 2;
    });
    return counts[end]!;
  };
}

function scaling(name: string, sockets: number, title: string, saturated: PublishedValue): Experiment {
  const counts = VCPUS.filter((vcpus) => vcpus >= sockets);
  const protections: readonly Protection[] = ['rwsem', 'srcu-expedited'];
  return {
    name,
    section: SECTION,
    title,
    setups: Object.fromEntries(
      protections.flatMap((protection) =>
        counts.map((vcpus) => [nameOf(protection, vcpus), hammered(protection, sockets, vcpus)]),
      ),
    ),
    rows: [
      ...counts.map(
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
        read: { all: saturation('rwsem', counts) },
        figure: {
          of: 'before',
          value: saturated,
          source:
            'derived: an exit of 2,500 cycles ÷ two transfers of the cache line and what is done under the lock (perfbook)',
          kind: 'predicted',
        },
      },
    ],
    curves: {
      title: 'Exits handled by a device in the kernel',
      xLabel: 'virtual CPUs',
      yLabel: 'million exits per second',
      read: (run) => exitsPerSecond(run) / 1e6,
      lines: protections.map((protection) => ({
        label: `${protection === 'rwsem' ? 'rwsem (2.6.32)' : 'SRCU'}, ${sockets === 1 ? 'one socket' : `${sockets} sockets`}`,
        points: counts.map((vcpus) => [vcpus, nameOf(protection, vcpus)] as const),
      })),
    },
  };
}

export const SCALING: readonly Experiment[] = [
  scaling(
    'scaling-one-socket',
    1,
    'Virtual CPUs that write to a device in the kernel, all on one socket',
    12,
  ),
  scaling('scaling-two-sockets', 2, 'The same, on two sockets by turns', {
    from: 4,
    to: 5,
  }),
];
