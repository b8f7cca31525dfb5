/** Memory slots: how the one of a guest frame is found. */

import type { OperationName } from '../../host/cost/operations.js';
import { TALK_I7 } from '../../host/cost/talk-i7.js';
import type { MemoryRegion } from '../../kvm/memory-slots.js';
import type { Policies } from '../../kvm/policies.js';
import type { Experiment, Setup } from '../experiment.js';
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

const SOURCE = 'commit 9c1a5d38780e: search_memslots';

const lookUp: Experiment = {
  name: 'memory-slot-look-up',
  section: 'Memory slots, devices and SRCU',
  title: 'Finding a memory slot: the one used last, then all by size, or by halves',
  setups: {
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
    { count: 13, pattern: 'boot', published: 30 },
    { count: 13, pattern: 'random', published: 40 },
    { count: 117, pattern: 'boot', published: 35 },
    { count: 117, pattern: 'random', published: 180 },
  ].map(({ count, pattern, published }) => ({
    title: `${count} slots, ${pattern === 'boot' ? 'mostly one of them' : 'all of them'}`,
    unit: 'cycles',
    read: lookUpCycles,
    before: `before (${count}, ${pattern})`,
    after: `after (${count}, ${pattern})`,
    figure: { of: 'after', value: published, source: SOURCE, kind: 'predicted' },
  })),
};

export const MEMORY_SLOTS: readonly Experiment[] = [lookUp];
