/**
 * User space that maps pages of a VM's RAM into two windows on the guest's request. A page that is no longer mapped is
 * free, and poisoned at once: who still uses a slot that is gone sees it.
 */

import type { Host } from '../../../src/host/host.js';
import type { KvmExit } from '../../../src/kvm/kvm-exit.js';
import type { MemoryRegion } from '../../../src/kvm/memory-slots.js';
import type { UserSpaceMonitor } from '../../../src/kvm/user-space-monitor.js';
import { guestPhysical, hostPhysical, PAGE_SIZE } from '../../../src/memory/addresses.js';
import { FREE_PORT, MAP_PORT, PAGES_PER_WINDOW, pageMark, WINDOW_PAGES, windowAddress } from './verifier.js';

const FIRST_WINDOW_SLOT = 3;
const POISON = 0xdead_beef;

export interface RemappedVm {
  readonly host: Host;
  /** Address of the guest's RAM in the user process. */
  readonly userspaceAddress: number;
}

export class RemappingMonitor implements UserSpaceMonitor {
  /** To be set before the VM runs. */
  vm: RemappedVm | undefined;
  private readonly devices: UserSpaceMonitor;
  private readonly vmNumber: number;
  private readonly mapped: [boolean, boolean] = [false, false];
  private pending: MemoryRegion[] = [];

  constructor(devices: UserSpaceMonitor, vmNumber: number) {
    this.devices = devices;
    this.vmNumber = vmNumber;
  }

  get stopped(): boolean {
    return this.devices.stopped;
  }

  readPort(port: number, sizeInBytes: number): number {
    return this.devices.readPort(port, sizeInBytes);
  }

  writePort(port: number, sizeInBytes: number, value: number): void {
    if (port === MAP_PORT) this.map(value);
    else if (port === FREE_PORT) this.freeOthers(value);
    else this.devices.writePort(port, sizeInBytes, value);
  }

  readMmio(address: number, sizeInBytes: number): bigint {
    return this.devices.readMmio(address, sizeInBytes);
  }

  writeMmio(address: number, sizeInBytes: number, value: bigint): void {
    this.devices.writeMmio(address, sizeInBytes, value);
  }

  handleExit(vcpu: number, exit: KvmExit): boolean {
    return this.devices.handleExit(vcpu, exit);
  }

  takeMemoryRegions(): readonly MemoryRegion[] | undefined {
    if (this.pending.length === 0) return undefined;
    const taken = this.pending;
    this.pending = [];
    return taken;
  }

  private map(page: number): void {
    const { userspaceAddress } = this.vm!;
    const window = Math.floor(page / PAGES_PER_WINDOW);
    const region: MemoryRegion = {
      slot: FIRST_WINDOW_SLOT + window,
      guestPhysicalAddress: guestPhysical(windowAddress(window)),
      sizeInBytes: PAGE_SIZE,
      userspaceAddress: userspaceAddress + WINDOW_PAGES + page * PAGE_SIZE,
    };
    this.fill(page, pageMark(this.vmNumber, page));
    if (this.mapped[window]) this.pending.push({ ...region, sizeInBytes: 0 });
    this.mapped[window] = true;
    this.pending.push(region);
  }

  private freeOthers(mappedPage: number): void {
    const first = mappedPage - (mappedPage % PAGES_PER_WINDOW);
    for (let page = first; page < first + PAGES_PER_WINDOW; page++)
      if (page !== mappedPage) this.fill(page, POISON);
  }

  private fill(page: number, value: number): void {
    const { host, userspaceAddress } = this.vm!;
    const start = host.userToHostPhysical(userspaceAddress + WINDOW_PAGES + page * PAGE_SIZE);
    for (let offset = 0; offset < 16; offset += 4) host.memory.write32(hostPhysical(start + offset), value);
  }
}
