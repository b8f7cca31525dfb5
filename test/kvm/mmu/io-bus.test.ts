/** In-kernel buses: order and cost of the search, capacity, and the MMIO path in front of them. */

import { describe, expect, it } from 'vitest';
import { deviceAt } from '../../../src/kvm/device-at.js';
import { type BusDevice, BusFullError, IoBus } from '../../../src/kvm/io-bus.js';
import { MmioPath } from '../../../src/kvm/mmio.js';
import { guestPhysical } from '../../../src/memory/addresses.js';
import { Charges } from '../emulator/guest.js';

const latch = (name: string, first: number, length = 1): BusDevice & { last: number } => {
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
