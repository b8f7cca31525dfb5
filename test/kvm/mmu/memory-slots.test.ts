/** Memory slots: look-up order and cost, and the regions that are refused (__kvm_set_memory_region). */

import { describe, expect, it } from 'vitest';
import { MemoryRegionError, MemorySlots } from '../../../src/kvm/memory-slots.js';
import { guestPhysical } from '../../../src/memory/addresses.js';
import { Charges } from '../emulator/guest.js';

const USER = 0x7f0000000000;
const region = (slot: number, guest: number, size: number, user = USER) => ({
  slot,
  guestPhysicalAddress: guestPhysical(guest),
  sizeInBytes: size,
  userspaceAddress: user,
});
const make = () => new MemorySlots((user) => user - USER + 0x100000);

describe('memory slots', () => {
  it('translate through the user process to host memory', () => {
    const slots = make();
    slots.setRegion(region(0, 0x100000, 0x3000, USER + 0x5000));
    expect(slots.peek(guestPhysical(0x101234))).toBe(0x106234);
    expect(slots.peek(guestPhysical(0xfffff))).toBeUndefined();
    expect(slots.peek(guestPhysical(0x103000))).toBeUndefined();
  });

  it('are looked at in the order of their numbers, unused ones included, up to the highest in use', () => {
    const slots = make();
    slots.setRegion(region(33, 0xfee00000, 0x1000));
    slots.setRegion(region(1, 0, 0x1000));
    const costs = new Charges();
    slots.find(0xfee00, costs);
    expect(costs.of('memslot look-up step')).toBe(34);
    slots.find(0, costs);
    expect(costs.of('memslot look-up step')).toBe(34 + 2);
    slots.find(0x12345, costs);
    expect(costs.of('memslot look-up step')).toBe(34 + 2 + 34);
    slots.setRegion(region(33, 0xfee00000, 0));
    slots.find(0x12345, costs);
    expect(costs.of('memslot look-up step')).toBe(34 + 2 + 34 + 2);
  });

  it('leave the published array as it is when a slot changes', () => {
    const slots = make();
    slots.setRegion(region(0, 0, 0x1000));
    const before = slots.slots;
    slots.setRegion(region(0, 0x8000, 0x1000));
    expect(before[0]!.baseFrame).toBe(0);
    expect(slots.slots[0]!.baseFrame).toBe(8);
  });

  it.each([
    ['slot-number', region(36, 0, 0x1000)],
    ['slot-number', region(-1, 0, 0x1000)],
    ['alignment', region(2, 0x800, 0x1000)],
    ['alignment', region(2, 0x8000, 0x1800)],
    ['alignment', region(2, 0x8000, 0x1000, USER + 1)],
    ['overlap', region(2, 0x1000, 0x1000)],
    ['overlap', region(2, 0x3000, 0x2000)],
    ['size-change', region(1, 0x1000, 0x4000)],
  ] as const)('refuse a region: %s', (problem, refused) => {
    const slots = make();
    slots.setRegion(region(1, 0x1000, 0x3000));
    expect(() => slots.setRegion(refused)).toThrow(MemoryRegionError);
    try {
      slots.setRegion(refused);
    } catch (error) {
      expect((error as MemoryRegionError).problem).toBe(problem);
    }
  });

  it('may move, and may touch their neighbours', () => {
    const slots = make();
    slots.setRegion(region(1, 0x1000, 0x3000));
    slots.setRegion(region(2, 0x4000, 0x1000));
    slots.setRegion(region(1, 0x5000, 0x3000));
    expect(slots.peek(guestPhysical(0x1000))).toBeUndefined();
    expect(slots.peek(guestPhysical(0x5000))).toBe(0x100000);
  });
});
