/**
 * A VGA in user space whose window the monitor maps and unmaps by memory slots, as QEMU does: chained video memory is a
 * slot, planes are MMIO. Its video memory is the RAM that the window hides.
 */

import { VGA_PORTS, VGA_WINDOW, VgaWindow } from '../devices/vga-window.js';
import type { KvmExit } from '../kvm/kvm-exit.js';
import type { MemoryRegion } from '../kvm/memory-slots.js';
import type { UserSpaceMonitor } from '../kvm/user-space-monitor.js';
import { guestPhysical, hostPhysical } from '../memory/addresses.js';
import type { PhysicalMemory } from '../memory/physical-memory.js';

/** Slots of the RAM below and above the window, and of the window while it is mapped. */
const SLOT = { LOW_RAM: 0, HIGH_RAM: 1, WINDOW: 2 } as const;
const WINDOW_END = VGA_WINDOW.FIRST + VGA_WINDOW.LENGTH;

export interface GuestRam {
  readonly memory: PhysicalMemory;
  readonly sizeInBytes: number;
  /** Host-physical address of guest-physical address 0. */
  readonly start: number;
  /** The same in the user process. */
  readonly userspaceAddress: number;
}

/** All of the guest's RAM in slot 0: without a VGA. */
export const wholeRam = ({ sizeInBytes, userspaceAddress }: GuestRam): MemoryRegion => ({
  slot: SLOT.LOW_RAM,
  guestPhysicalAddress: guestPhysical(0),
  sizeInBytes,
  userspaceAddress,
});

/** RAM around the window. */
export function ramAroundVgaWindow({ sizeInBytes, userspaceAddress }: GuestRam): readonly MemoryRegion[] {
  return [
    {
      slot: SLOT.LOW_RAM,
      guestPhysicalAddress: guestPhysical(0),
      sizeInBytes: VGA_WINDOW.FIRST,
      userspaceAddress,
    },
    {
      slot: SLOT.HIGH_RAM,
      guestPhysicalAddress: guestPhysical(WINDOW_END),
      sizeInBytes: sizeInBytes - WINDOW_END,
      userspaceAddress: userspaceAddress + WINDOW_END,
    },
  ];
}

const hasPort = (port: number): boolean =>
  port >= VGA_PORTS.FIRST && port < VGA_PORTS.FIRST + VGA_PORTS.LENGTH;
const hasAddress = (address: number): boolean => address >= VGA_WINDOW.FIRST && address < WINDOW_END;

/** Adds the VGA to the devices of a VM. */
export class VgaWindowMonitor implements UserSpaceMonitor {
  private readonly others: UserSpaceMonitor;
  private readonly vga: VgaWindow;
  private isMapped = false;
  private pending: MemoryRegion[] = [];

  constructor(others: UserSpaceMonitor, ram: GuestRam) {
    this.others = others;
    const byteAt = (index: number) => hostPhysical(ram.start + VGA_WINDOW.FIRST + index);
    const region = (first: number, sizeInBytes: number): MemoryRegion => ({
      slot: SLOT.WINDOW,
      guestPhysicalAddress: guestPhysical(first),
      sizeInBytes,
      userspaceAddress: ram.userspaceAddress + VGA_WINDOW.FIRST,
    });
    this.vga = new VgaWindow({
      memory: {
        length: VGA_WINDOW.LENGTH,
        read: (index) => ram.memory.read8(byteAt(index)),
        write: (index, byte) => ram.memory.write8(byteAt(index), byte),
      },
      mappingChanged: (range) => {
        if (this.isMapped) this.pending.push(region(VGA_WINDOW.FIRST, 0));
        this.isMapped = range !== undefined;
        if (range !== undefined) this.pending.push(region(range.first, range.length));
      },
    });
  }

  get stopped(): boolean {
    return this.others.stopped;
  }

  takeMemoryRegions(): readonly MemoryRegion[] | undefined {
    if (this.pending.length === 0) return this.others.takeMemoryRegions?.();
    const taken = this.pending;
    this.pending = [];
    return taken;
  }

  describePort(port: number): string | undefined {
    return hasPort(port) ? 'VGA' : this.others.describePort?.(port);
  }

  readPort(port: number, sizeInBytes: number): number {
    return hasPort(port)
      ? this.vga.read(port - VGA_PORTS.FIRST, sizeInBytes)
      : this.others.readPort(port, sizeInBytes);
  }

  writePort(port: number, sizeInBytes: number, value: number): void {
    if (hasPort(port)) this.vga.write(port - VGA_PORTS.FIRST, sizeInBytes, value);
    else this.others.writePort(port, sizeInBytes, value);
  }

  readMmio(address: number, sizeInBytes: number): bigint {
    if (!hasAddress(address)) return this.others.readMmio(address, sizeInBytes);
    let value = 0n;
    for (let byte = 0; byte < sizeInBytes; byte++)
      value |= BigInt(this.vga.readMemory(address + byte)) << BigInt(8 * byte);
    return value;
  }

  writeMmio(address: number, sizeInBytes: number, value: bigint): void {
    if (!hasAddress(address)) {
      this.others.writeMmio(address, sizeInBytes, value);
      return;
    }
    for (let byte = 0; byte < sizeInBytes; byte++)
      this.vga.writeMemory(address + byte, Number((value >> BigInt(8 * byte)) & 0xffn));
  }

  handleExit(vcpu: number, exit: KvmExit): boolean {
    return this.others.handleExit(vcpu, exit);
  }
}
