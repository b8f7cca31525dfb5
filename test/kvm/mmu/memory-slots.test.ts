/** Memory slots: look-up order and cost, and the regions that are refused (__kvm_set_memory_region). */

import fc from 'fast-check';
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

const POLICIES = ['linear', 'last-used', 'sorted'] as const;

describe('look-up policies', () => {
  it('find the same slot for every frame, valid or not, after every change', () => {
    const change = fc.record({
      slot: fc.nat(20),
      base: fc.nat(60),
      pages: fc.integer({ min: 0, max: 6 }),
      invalidate: fc.boolean(),
    });
    const page = (number: number) => number * 0x1000;
    fc.assert(
      fc.property(fc.array(change, { maxLength: 30 }), fc.array(fc.nat(70)), (changes, frames) => {
        const costs = new Charges();
        const all = POLICIES.map((policy) => new MemorySlots((user) => user - USER, policy));
        for (const { slot, base, pages, invalidate } of changes) {
          const results = all.map((slots) => {
            try {
              slots.setRegion(region(slot, page(base), page(pages), USER + page(100 * slot)));
              if (invalidate) slots.invalidate(slot);
              return 'accepted';
            } catch (error) {
              return (error as MemoryRegionError).problem;
            }
          });
          expect(new Set(results).size).toBe(1);
          // In this order, so that what was found last is sometimes right and sometimes wrong.
          for (const frame of frames) {
            const [linear, ...others] = all.map((slots) =>
              slots.translate(guestPhysical(page(frame) + 5), costs),
            );
            for (const other of others) expect(other).toBe(linear);
          }
        }
      }),
    );
  });

  const many = (policy: (typeof POLICIES)[number], count: number): MemorySlots => {
    const slots = new MemorySlots((user) => user - USER, policy);
    for (let index = 0; index < count; index++) slots.setRegion(region(index, index * 0x10000, 0x10000));
    return slots;
  };
  const stepsOf = (slots: MemorySlots, frame: number): [number, number] => {
    const costs = new Charges();
    expect(slots.find(frame, costs)).toBeDefined();
    return [costs.of('memslot look-up step'), costs.of('memslot binary-search step')];
  };

  it('take one step for the slot that was found last', () => {
    for (const policy of ['last-used', 'sorted'] as const) {
      const slots = many(policy, 117);
      stepsOf(slots, 16 * 100);
      expect(stepsOf(slots, 16 * 100 + 15)).toEqual([1, 0]);
    }
  });

  it('take as many steps otherwise as their kind of search has', () => {
    const linear = many('last-used', 117);
    expect(stepsOf(linear, 16 * 116)).toEqual([1 + 117, 0]);
    const sorted = many('sorted', 117);
    for (const slot of [0, 1, 57, 115]) {
      const [direct, binary] = stepsOf(sorted, 16 * slot);
      expect(direct).toBe(1);
      expect(binary).toBeGreaterThanOrEqual(6);
      expect(binary).toBeLessThanOrEqual(7);
    }
  });

  it('leave room for 32 slots of user space, or 125', () => {
    expect(make().apicAccessPageSlot).toBe(33);
    expect(() => many('linear', 37)).toThrow(MemoryRegionError);
    expect(() => many('sorted', 130)).toThrow(MemoryRegionError);
    expect(many('sorted', 125).slots).toHaveLength(125);
  });
});

describe('memory aliases', () => {
  it('stand for other frames, and each one costs a step', () => {
    const slots = make();
    slots.setRegion(region(0, 0, 0x10000));
    slots.setAlias({
      alias: 1,
      guestPhysicalAddress: guestPhysical(0xa0000),
      sizeInBytes: 0x2000,
      target: guestPhysical(0x4000),
    });
    expect(slots.peek(guestPhysical(0xa1234))).toBe(slots.peek(guestPhysical(0x5234)));
    expect(slots.peek(guestPhysical(0xa2000))).toBeUndefined();
    const costs = new Charges();
    slots.translate(guestPhysical(0x100), costs);
    expect(costs.of('memory alias step')).toBe(2);
    slots.setAlias({
      alias: 1,
      guestPhysicalAddress: guestPhysical(0),
      sizeInBytes: 0,
      target: guestPhysical(0),
    });
    expect(slots.peek(guestPhysical(0xa1234))).toBeUndefined();
    slots.translate(guestPhysical(0x100), costs);
    expect(costs.of('memory alias step')).toBe(2);
  });
});
