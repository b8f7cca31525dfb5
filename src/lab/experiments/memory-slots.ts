/** Memory slots: how the one of a guest frame is found. */

import type { OperationName } from '../../host/cost/operations.js';
import { TALK_I7 } from '../../host/cost/talk-i7.js';
import type { MemoryRegion } from '../../kvm/memory-slots.js';
import type { Policies } from '../../kvm/policies.js';
import type { Experiment, RowDefinition, Setup } from '../experiment.js';
import type { ReadOff } from '../observation.js';
import { exitsOf, reason } from '../read-off.js';
import { oneGuest } from './setups.js';

const PAGE = 4096;
/** Where the slots beside RAM begin, and how far they are apart; the guest `slots` knows these, too. */
const FIRST_SLOT = 0x4000_0000;
const SLOT_DISTANCE = 0x10_0000;
const PAGES_PER_SLOT = 16;
/** RAM that the guest does not use stands behind all of them. */
const BACKING = 0x80_0000;

const addressOfSlot = (number: number): MemoryRegion['guestPhysicalAddress'] =>
  (FIRST_SLOT + number * SLOT_DISTANCE) as MemoryRegion['guestPhysicalAddress'];

type Pattern = 'boot' | 'random';

/** `count` slots, RAM and the APIC's page among them, and a guest that touches each page once. */
function slots(memorySlotLookup: Policies['memorySlotLookup'], count: number, pattern: Pattern): Setup {
  const others = count - 2;
  return {
    ...oneGuest(memorySlotLookup, 'slots', {
      era: '3.x',
      policies: { memorySlotLookup },
      defines: { SLOTS: String(others), ...(pattern === 'boot' ? { BOOT: '1' } : {}) },
    }),
    prepare: ({ vms }) => {
      const { kvmVm } = vms[0]!;
      const ram = kvmVm.vm.memorySlots.slots[0]!;
      for (let number = 0; number < others; number++)
        kvmVm.setUserMemoryRegion({
          slot: 1 + number,
          guestPhysicalAddress: addressOfSlot(number),
          sizeInBytes: PAGES_PER_SLOT * PAGE,
          userspaceAddress: ram.userspaceAddress + BACKING,
        });
    },
  };
}

const LOOK_UP: readonly OperationName[] = ['memslot look-up step', 'memslot binary-search step'];

/** One look-up between two readings of the time-stamp counter, as the commits measured it. */
const lookUpCycles: ReadOff = (observation) => {
  const faults = exitsOf(observation, reason('EPT_VIOLATION'));
  const searching = faults
    .flatMap(({ stages }) => stages)
    .flatMap(({ operations }) => operations)
    .filter(({ name }) => (LOOK_UP as readonly string[]).includes(name))
    .reduce((sum, { cycles }) => sum + cycles, 0);
  return TALK_I7.entries.RDTSC!.cycles + searching / faults.length;
};

const SOURCE: Readonly<Record<Pattern, string>> = {
  boot: 'commit 9c1a5d38780e: search_memslots, while a Windows guest boots',
  random:
    'commit 9c1a5d38780e: search_memslots, a Windows guest in use; it comes back to the slot used last most of the time, which the guest here never does',
};

const lookUp: Experiment = {
  name: 'memory-slot-look-up',
  section: 'Memory slots, devices and SRCU',
  title: 'Finding a memory slot: the one used last, then all by size, or by halves',
  setups: {
    'linear (13, boot)': slots('linear', 13, 'boot'),
    'linear (13, random)': slots('linear', 13, 'random'),
    'before (13, boot)': slots('last-used', 13, 'boot'),
    'after (13, boot)': slots('sorted', 13, 'boot'),
    'before (13, random)': slots('last-used', 13, 'random'),
    'after (13, random)': slots('sorted', 13, 'random'),
    'before (117, boot)': slots('last-used', 117, 'boot'),
    'after (117, boot)': slots('sorted', 117, 'boot'),
    'before (117, random)': slots('last-used', 117, 'random'),
    'after (117, random)': slots('sorted', 117, 'random'),
  },
  rows: [
    {
      title: 'without the last one, 13 slots, mostly one',
      unit: 'cycles',
      read: lookUpCycles,
      before: 'linear (13, boot)',
      after: 'before (13, boot)',
      figure: {
        of: 'before',
        value: 46,
        source: 'commit d4ae84a02bc6: 46 to 28 cycles on average while a guest boots',
        kind: 'predicted',
      },
    },
    {
      title: 'without the last one, 13 slots, all',
      unit: 'cycles',
      read: lookUpCycles,
      before: 'linear (13, random)',
      after: 'before (13, random)',
    },
    ...(
      [
        { count: 13, pattern: 'boot', all: 28, halves: 30 },
        { count: 13, pattern: 'random', all: 30, halves: 40 },
        { count: 117, pattern: 'boot', all: 30, halves: 35 },
        { count: 117, pattern: 'random', all: 460, halves: 180 },
      ] as const
    ).flatMap(({ count, pattern, all, halves }): RowDefinition[] => {
      const title = `${count} slots, ${pattern === 'boot' ? 'mostly one of them' : 'all of them'}`;
      const [before, after] = [`before (${count}, ${pattern})`, `after (${count}, ${pattern})`];
      const row = { unit: 'cycles', read: lookUpCycles };
      return [
        {
          ...row,
          title,
          before,
          after,
          figure: { of: 'after', value: halves, source: SOURCE[pattern], kind: 'predicted' },
        },
        {
          ...row,
          title: `${title}: by size`,
          before,
          after: null,
          figure: { of: 'before', value: all, source: SOURCE[pattern], kind: 'predicted' },
        },
      ];
    }),
  ],
};

export const MEMORY_SLOTS: readonly Experiment[] = [lookUp];
