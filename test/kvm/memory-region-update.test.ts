/** Memory slots that come and go while the guest runs, as firmware that draws text through a VGA makes them do. */

import { describe, expect, it } from 'vitest';
import { VGA_PORTS, VGA_WINDOW, VgaWindow } from '../../src/devices/vga-window.js';
import { operation } from '../../src/host/cost/operations.js';
import { updateMemoryRegion } from '../../src/kvm/memory-region-update.js';
import { type MemoryRegion, MemoryRegionError } from '../../src/kvm/memory-slots.js';
import type { Policies } from '../../src/kvm/policies.js';
import { guestPhysical, hostPhysical } from '../../src/memory/addresses.js';
import { drawThroughWindow } from '../support/vga-drawing.js';
import { Charges } from './emulator/guest.js';
import { createKvmMachine, type KvmMachine } from './kvm-machine.js';

const MIB = 2 ** 20;
const RAM = 4 * MIB;
const WINDOW_SLOT = 5;
const ABOVE_WINDOW = VGA_WINDOW.FIRST + VGA_WINDOW.LENGTH;

/** RAM around the window; what is behind it is decided by the VGA, whose memory is the RAM left out. */
function machineWithVga(code: string, policies: Partial<Policies> = {}): KvmMachine {
  let regions: MemoryRegion[] = [];
  let mapped = false;
  const region = (slot: number, first: number, sizeInBytes: number, user = first): MemoryRegion => ({
    slot,
    guestPhysicalAddress: guestPhysical(first),
    sizeInBytes,
    userspaceAddress: machine.host.hostPhysicalToUser(user),
  });
  const at = (index: number) => hostPhysical(VGA_WINDOW.FIRST + index);
  const vga = new VgaWindow({
    memory: {
      length: VGA_WINDOW.LENGTH,
      read: (index) => machine.host.memory.read8(at(index)),
      write: (index, byte) => machine.host.memory.write8(at(index), byte),
    },
    mappingChanged: (range) => {
      if (mapped) regions.push(region(WINDOW_SLOT, VGA_WINDOW.FIRST, 0));
      mapped = range !== undefined;
      if (range !== undefined) regions.push(region(WINDOW_SLOT, range.first, range.length, VGA_WINDOW.FIRST));
    },
  });
  const inVga = (port: number): boolean =>
    port >= VGA_PORTS.FIRST && port < VGA_PORTS.FIRST + VGA_PORTS.LENGTH;
  const machine: KvmMachine = createKvmMachine({
    code,
    policies,
    readPort: (port, size) => (inVga(port) ? vga.read(port - VGA_PORTS.FIRST, size) : 0xff),
    writePort: (_machine, port, value) => {
      if (inVga(port)) vga.write(port - VGA_PORTS.FIRST, 2, value);
    },
    readMmio: (address, size) => {
      let value = 0n;
      for (let byte = 0; byte < size; byte++)
        value |= BigInt(vga.readMemory(address + byte)) << BigInt(8 * byte);
      return value;
    },
    writeMmio: (address, size, value) => {
      for (let byte = 0; byte < size; byte++)
        vga.writeMemory(address + byte, Number((value >> BigInt(8 * byte)) & 0xffn));
    },
    takeMemoryRegions: () => {
      const taken = regions;
      regions = [];
      return taken.length === 0 ? undefined : taken;
    },
  });
  machine.kvm.setUserMemoryRegion(region(0, 0, 0));
  machine.kvm.setUserMemoryRegion(region(0, 0, VGA_WINDOW.FIRST));
  machine.kvm.setUserMemoryRegion(region(1, ABOVE_WINDOW, RAM - ABOVE_WINDOW));
  return machine;
}

const TEXT = `${drawThroughWindow(50)}
    hlt`;

describe('memory regions at run time', () => {
  it.each(['violation', 'misconfiguration', 'fast-bus'] as const)(
    'show the guest the same memory mapped and unmapped, MMIO seen by %s',
    (mmioExit) => {
      const machine = machineWithVga(TEXT, { mmioExit });
      machine.run();
      expect(machine.kvm.halted).toBe(true);
      // The sum of n and n + 1 for n from 50 down to 1.
      expect(machine.kvm.getRegisters(machine.vcpu).general.gpr[8]).toBe(BigInt(50 * 51 + 50));
      const { statistics } = machine.kvm.vm;
      expect(statistics.mmioExits).toBe(2 * 50);
      const count = (name: Parameters<typeof operation>[0]): number =>
        machine.thread.account.count(operation(name));
      expect(count('INVEPT')).toBeGreaterThanOrEqual(100);
      // The array that is protected by the semaphore is changed in place.
      expect(count('slot array copy')).toBe(0);
    },
  );

  it('copy the array of slots once to create, twice to delete, when readers do not wait', () => {
    const machine = machineWithVga(TEXT.replace('mov ebx, 50', 'mov ebx, 5'), {
      slotsProtection: 'srcu-expedited',
    });
    machine.run();
    expect(machine.kvm.getRegisters(machine.vcpu).general.gpr[8]).toBe(BigInt(5 * 6 + 5));
    expect(machine.thread.account.count(operation('slot array copy'))).toBe(5 * 2 * (1 + 2));
  });

  it('give freed tables back', () => {
    const machine = machineWithVga(TEXT);
    machine.run();
    const { pages } = machine.host;
    const before = pages.allocatePage();
    const again = machineWithVga(TEXT.replace('mov ebx, 50', 'mov ebx, 10'));
    again.run();
    expect(again.host.pages.allocatePage()).toBe(before);
  });

  it('are invalid before they go, and a new one takes one step', () => {
    const machine = machineWithVga('hlt');
    const { vm } = machine.kvm;
    const costs = new Charges();
    const user = machine.host.hostPhysicalToUser(VGA_WINDOW.FIRST);
    const window = (sizeInBytes: number): MemoryRegion => ({
      slot: WINDOW_SLOT,
      guestPhysicalAddress: guestPhysical(VGA_WINDOW.FIRST),
      sizeInBytes,
      userspaceAddress: user,
    });
    const look = () => vm.memorySlots.peek(guestPhysical(VGA_WINDOW.FIRST));
    const steps = (sizeInBytes: number): [string, boolean][] => {
      const seen: [string, boolean][] = [];
      for (const wait of updateMemoryRegion(vm, window(sizeInBytes), costs))
        seen.push([wait, look() !== undefined]);
      return seen;
    };
    expect(steps(0x10000)).toEqual([['readers', true]]);
    expect(steps(0)).toEqual([
      ['readers', false],
      ['vcpus', false],
      ['readers', false],
    ]);
    expect(vm.memorySlots.slots[WINDOW_SLOT]).toBeUndefined();
  });

  it('are left as they were by a region that is refused', () => {
    const machine = machineWithVga('hlt');
    const { vm } = machine.kvm;
    const before = vm.memorySlots.slots;
    const update = updateMemoryRegion(
      vm,
      {
        slot: WINDOW_SLOT,
        guestPhysicalAddress: guestPhysical(0),
        sizeInBytes: 0x1000,
        userspaceAddress: 0x7f0000000000,
      },
      new Charges(),
    );
    expect(() => update.next()).toThrow(MemoryRegionError);
    expect(vm.memorySlots.slots).toBe(before);
  });
});
