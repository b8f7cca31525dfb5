/** In-kernel buses: order and cost of the search, capacity, and the MMIO path in front of them. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { deviceAt } from '../../../src/kvm/device-at.js';
import { BusFullError, IoBus, type RangedDevice } from '../../../src/kvm/io-bus.js';
import { MmioPath } from '../../../src/kvm/mmio.js';
import { guestPhysical } from '../../../src/memory/addresses.js';
import { Charges } from '../emulator/guest.js';

const latch = (name: string, first: number, length = 1): RangedDevice & { last: number } => {
  const device = {
    last: -1,
    read: (offset: number) => (offset << 8) | 0x5a,
    peek: () => 0,
    write: (_offset: number, _size: number, value: number) => {
      device.last = value;
    },
  };
  const at = deviceAt(name, [{ first, length, device }]);
  return {
    name,
    ranges: at.ranges,
    read: at.read,
    write: at.write,
    get last() {
      return device.last;
    },
  };
};

describe('I/O bus', () => {
  it('asks devices in order of registration and stops at the first that claims', () => {
    const bus = new IoBus();
    const devices = [latch('a', 0x20), latch('b', 0x40, 4), latch('shadowed', 0x40, 4)];
    for (const device of devices) bus.register(device);
    const costs = new Charges();
    expect(bus.write(0x42, 1, 9, costs)).toBe(true);
    expect(devices.map(({ last }) => last)).toEqual([-1, 9, -1]);
    expect(costs.of('device search step')).toBe(2);
    expect(costs.of('in-kernel device access')).toBe(1);
    expect(bus.read(0x43, 1, costs)).toBe(0x35a);
    expect(bus.read(0x44, 1, costs)).toBeUndefined();
    expect(bus.write(0x44, 1, 0, costs)).toBe(false);
    // A miss asks everybody.
    expect(costs.of('device search step')).toBe(2 + 2 + 3 + 3);
    expect(costs.of('in-kernel device access')).toBe(2);
  });

  it('has room for six devices in 2.6.32', () => {
    const bus = new IoBus();
    for (let index = 0; index < 6; index++) bus.register(latch(`${index}`, index));
    expect(() => bus.register(latch('seventh', 7))).toThrow(BusFullError);
    bus.unregister(bus.devices[1]!);
    expect(bus.devices.map(({ name }) => name)).toEqual(['0', '5', '2', '3', '4']);
  });
});

describe('sorted I/O bus', () => {
  const PIC = [0x20, 0xa0, 0x4d0].map((first) => ({ first, length: 2 }));

  it('searches by address: as many steps as a binary search has, and only devices there are called', () => {
    const bus = new IoBus('sorted', 1000);
    const devices = Array.from({ length: 200 }, (_, index) => latch(`${index}`, 0x1000 + 16 * index, 4));
    for (const device of devices) bus.register(device);
    const costs = new Charges();
    expect(bus.write(0x1000 + 16 * 123 + 2, 1, 7, costs)).toBe(true);
    expect(devices[123]!.last).toBe(7);
    expect(costs.of('device search step')).toBe(1);
    const steps = costs.of('device binary-search step');
    expect(steps).toBeGreaterThanOrEqual(7);
    expect(steps).toBeLessThanOrEqual(8);
    expect(bus.write(0x1000 + 16 * 123 + 4, 1, 7, costs)).toBe(false);
    expect(costs.of('device search step')).toBe(1);
  });

  it('counts ranges, not devices, against its capacity', () => {
    const bus = new IoBus('sorted', 4);
    const pic = { ...latch('PIC', 0), ranges: PIC };
    bus.register(pic);
    bus.register(latch('PIT', 0x40, 4));
    expect(() => bus.register(latch('speaker', 0x61))).toThrow(BusFullError);
    bus.unregister(pic);
    bus.register(latch('speaker', 0x61));
    expect(bus.devices.map(({ name }) => name)).toEqual(['PIT', 'speaker']);
  });

  it('finds what the linear bus finds, whatever overlaps and whatever was taken off', () => {
    const range = fc.record({ first: fc.nat(40), length: fc.integer({ min: 1, max: 12 }) });
    const device = fc.record({
      ranges: fc.array(range, { minLength: 1, maxLength: 3 }),
      // Claims only some of the addresses in its ranges, as an ioeventfd inside a zone does.
      claims: fc.integer({ min: 0, max: 2 ** 30 }),
    });
    fc.assert(
      fc.property(
        fc.array(device, { maxLength: 12 }),
        fc.array(fc.nat(11), { maxLength: 3 }),
        (specifications, removals) => {
          const buses = [new IoBus('linear', 1000), new IoBus('sorted', 1000)];
          const asked: number[] = [];
          const devices = specifications.map(({ ranges, claims }, index): RangedDevice => {
            const mine = (address: number): boolean =>
              ranges.some(({ first, length }) => address >= first && address < first + length) &&
              ((claims >> (address % 30)) & 1) === 1;
            return {
              name: `${index}`,
              ranges,
              read: (address) => (mine(address) ? index : undefined),
              write: (address) => {
                if (mine(address)) asked.push(index);
                return mine(address);
              },
            };
          });
          for (const bus of buses) for (const one of devices) bus.register(one);
          for (const bus of buses)
            for (const index of removals) if (index < devices.length) bus.unregister(devices[index]!);
          const costs = new Charges();
          for (let address = 0; address < 60; address++) {
            const [linear, sorted] = buses.map((bus) => bus.read(address, 1, costs));
            expect(sorted).toBe(linear);
            asked.length = 0;
            for (const bus of buses) expect(bus.write(address, 1, 0, costs)).toBe(linear !== undefined);
            expect(asked).toEqual(linear === undefined ? [] : [linear, linear]);
          }
        },
      ),
    );
  });
});

describe('MMIO path', () => {
  it('tries the local APIC before the bus, and leaves the rest to user space', () => {
    const apic = latch('local APIC', 0xfee00000, 0x1000);
    const bus = new IoBus();
    const other = latch('IO-APIC', 0xfec00000, 0x100);
    bus.register(other);
    const path = new MmioPath(apic, bus);
    const costs = new Charges();
    expect(path.write(guestPhysical(0xfee00080), 4, 3n, costs)).toBe(true);
    expect(costs.of('device search step')).toBe(1);
    expect(path.read(guestPhysical(0xfec00001), 4, costs)).toBe(0x15an);
    expect(costs.of('device search step')).toBe(3);
    expect(path.write(guestPhysical(0xd0000000), 8, 1n, costs)).toBe(false);
    expect(path.read(guestPhysical(0xd0000000), 8, costs)).toBeUndefined();
  });

  it('gives in-kernel devices the low 32 bits of a 64-bit write', () => {
    const bus = new IoBus();
    const device = latch('device', 0x1000, 8);
    bus.register(device);
    new MmioPath(latch('local APIC', 0), bus).write(
      guestPhysical(0x1000),
      8,
      0x1122334499aabbccn,
      new Charges(),
    );
    expect(device.last).toBe(0x99aabbcc);
  });
});
