/** How a guest frame is found among the memory slots (gfn_to_memslot): one alternative per era, each over one published array. */

import { type CostSink, operation } from '../host/cost/operations.js';
import type { Policies } from './policies.js';

const LOOK_UP_STEP = operation('memslot look-up step');
const BINARY_SEARCH_STEP = operation('memslot binary-search step');

export interface MemorySlot {
  readonly number: number;
  /** First guest frame number. */
  readonly baseFrame: number;
  /** Length in 4 KiB pages. */
  readonly pageCount: number;
  readonly userspaceAddress: number;
  readonly hugePages: boolean;
  /** About to go: no new mapping may be made through it (KVM_MEMSLOT_INVALID). */
  readonly invalid: boolean;
  /** No published array has it any more and no reader may: using it is a defect. */
  freed?: boolean;
}

/** Indexed by slot number, never changed once published; `undefined` marks a slot that is not in use. */
export type SlotArray = readonly (MemorySlot | undefined)[];

/** The look-up in one published array. */
export interface SlotLookup {
  /** The slot that holds a guest frame number, valid or not. Charges each slot looked at. */
  find(frame: number, costs: CostSink): MemorySlot | undefined;
}

/** Makes the look-up of a policy over a newly published array. */
export function slotLookup(policy: Policies['memorySlotLookup'], slots: SlotArray): SlotLookup {
  switch (policy) {
    case 'linear':
      return new LinearLookup(slots);
    case 'last-used':
      return new LastUsedLookup(slots);
    case 'sorted':
      return new SortedLookup(slots);
  }
}

const holds = (slot: MemorySlot, frame: number): boolean =>
  frame >= slot.baseFrame && frame < slot.baseFrame + slot.pageCount;

const inUse = (slots: SlotArray): MemorySlot[] => slots.filter((slot) => slot !== undefined);

/** Before 3.x: all slots up to the highest one in use, in order of their numbers. */
class LinearLookup implements SlotLookup {
  private readonly slots: SlotArray;
  constructor(slots: SlotArray) {
    this.slots = slots;
  }

  find(frame: number, costs: CostSink): MemorySlot | undefined {
    const { slots } = this;
    for (let index = 0; index < slots.length; index++) {
      const slot = slots[index];
      if (slot !== undefined && holds(slot, frame)) {
        costs.charge(LOOK_UP_STEP, index + 1);
        return slot;
      }
    }
    costs.charge(LOOK_UP_STEP, slots.length);
    return undefined;
  }
}

/** Commit d4ae84a02bc6: the slot found last is tried first; then those in use, the biggest first. */
class LastUsedLookup implements SlotLookup {
  private readonly slots: readonly MemorySlot[];
  private lastUsed = 0;
  constructor(slots: SlotArray) {
    this.slots = inUse(slots).sort((a, b) => b.pageCount - a.pageCount || a.number - b.number);
  }

  find(frame: number, costs: CostSink): MemorySlot | undefined {
    const { slots } = this;
    const last = slots[this.lastUsed];
    costs.charge(LOOK_UP_STEP);
    if (last !== undefined && holds(last, frame)) return last;
    for (let index = 0; index < slots.length; index++) {
      const slot = slots[index]!;
      if (!holds(slot, frame)) continue;
      costs.charge(LOOK_UP_STEP, index + 1);
      this.lastUsed = index;
      return slot;
    }
    costs.charge(LOOK_UP_STEP, slots.length);
    return undefined;
  }
}

/** Commit 9c1a5d38780e: the slot found last is tried first; then a binary search by frame number. */
class SortedLookup implements SlotLookup {
  private readonly slots: readonly MemorySlot[];
  private lastUsed = 0;
  constructor(slots: SlotArray) {
    this.slots = inUse(slots).sort((a, b) => b.baseFrame - a.baseFrame);
  }

  find(frame: number, costs: CostSink): MemorySlot | undefined {
    const { slots } = this;
    const last = slots[this.lastUsed];
    costs.charge(LOOK_UP_STEP);
    if (last !== undefined && holds(last, frame)) return last;
    // The first slot, highest addresses first, that does not begin behind the frame.
    let low = 0;
    let high = slots.length;
    let steps = 0;
    while (low < high) {
      const middle = (low + high) >>> 1;
      steps++;
      if (frame >= slots[middle]!.baseFrame) high = middle;
      else low = middle + 1;
    }
    if (steps > 0) costs.charge(BINARY_SEARCH_STEP, steps);
    const slot = slots[low];
    if (slot === undefined || !holds(slot, frame)) return undefined;
    this.lastUsed = low;
    return slot;
  }
}
