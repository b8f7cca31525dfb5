/** The way of an MMIO access through the kernel: local APIC, then the bus (vcpu_mmio_read, vcpu_mmio_write). */

import { type CostSink, operation } from '../host/cost/operations.js';
import type { GuestPhysicalAddress } from '../memory/addresses.js';
import type { BusDevice, IoBus } from './io-bus.js';

const SEARCH_STEP = operation('device search step');

/** An MMIO access that user space has to make (the mmio part of struct kvm_run). */
export interface MmioAccess {
  readonly guestPhysicalAddress: GuestPhysicalAddress;
  /** 1 … 8 bytes, not crossing a page. */
  readonly sizeInBytes: number;
  readonly write: boolean;
  /** The unsigned value to write; 0n for a read. */
  readonly value: bigint;
}

export class MmioPath {
  private readonly localApic: BusDevice;
  private readonly bus: IoBus;

  constructor(localApic: BusDevice, bus: IoBus) {
    this.localApic = localApic;
    this.bus = bus;
  }

  /** The value read, or undefined when user space is to be asked. In-kernel devices have 32-bit registers. */
  read(address: GuestPhysicalAddress, sizeInBytes: number, costs: CostSink): bigint | undefined {
    costs.charge(SEARCH_STEP);
    const value = this.localApic.read(address, sizeInBytes) ?? this.bus.read(address, sizeInBytes, costs);
    return value === undefined ? undefined : BigInt(value);
  }

  /** False when user space is to be asked. */
  write(address: GuestPhysicalAddress, sizeInBytes: number, value: bigint, costs: CostSink): boolean {
    costs.charge(SEARCH_STEP);
    const low = Number(value & 0xffffffffn);
    const high = sizeInBytes === 8 ? Number(value >> 32n) : 0;
    return (
      this.localApic.write(address, sizeInBytes, low) ||
      this.bus.write(address, sizeInBytes, low, costs, high)
    );
  }
}
