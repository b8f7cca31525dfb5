/**
 * PV EOI (KVM_FEATURE_PV_EOI): a flag in guest memory by which the host says that the interrupt in service needs no
 * end-of-interrupt signal, and the guest that it has ended it (kvm_lapic_enable_pv_eoi, apic_sync_pv_eoi_to_guest).
 */

import { type CostSink, operation } from '../../host/cost/operations.js';
import {
  type GuestPhysicalAddress,
  guestPhysical,
  type HostPhysicalAddress,
} from '../../memory/addresses.js';
import type { PhysicalMemory } from '../../memory/physical-memory.js';

const FLAG_ACCESS = operation('cached guest word access');

/** MSR_KVM_PV_EOI_EN: bit 0 enables, the rest is the flag's guest-physical address, a multiple of 4. */
export const MSR_PV_EOI = 0x4b564d04;
/** Bit of CPUID 0x40000001 EAX. */
export const FEATURE_PV_EOI = 1 << 6;

const ENABLE = 1n;
/** KVM_PV_EOI_ENABLED. */
const NO_END_NEEDED = 1;
/** Beyond all memory slots. */
const ADDRESS_LIMIT = 1n << 52n;

export interface PvEoiOptions {
  readonly costs: CostSink;
  readonly memory: PhysicalMemory;
  /** Where a guest-physical address is in host memory, undefined where the guest has none. */
  readonly find: (address: GuestPhysicalAddress) => HostPhysicalAddress | undefined;
}

export class PvEoi {
  /** MSR_KVM_PV_EOI_EN as the guest wrote it. */
  private value = 0n;
  private address = guestPhysical(0);
  /** The flag was set before the entry: it has to be looked at after the exit (KVM_APIC_PV_EOI_PENDING). */
  pending = false;
  private readonly options: PvEoiOptions;

  constructor(options: PvEoiOptions) {
    this.options = options;
  }

  get enabled(): boolean {
    return (this.value & ENABLE) !== 0n;
  }

  readMsr(): bigint {
    return this.value;
  }

  /** False means #GP: the flag's address is no multiple of 4. */
  writeMsr(value: bigint): boolean {
    const address = value & ~ENABLE;
    if ((address & 3n) !== 0n) return false;
    this.value = value;
    this.pending = false;
    if (!this.enabled) return true;
    // An address that no slot can hold never finds memory.
    if (address >= ADDRESS_LIMIT) this.value = 0n;
    else this.address = guestPhysical(Number(address));
    return true;
  }

  /** Tells the guest that the interrupt in service needs no end-of-interrupt signal. */
  offer(): void {
    const flag = this.flag();
    if (flag === undefined) return;
    const { memory } = this.options;
    memory.write32(flag, memory.read32(flag) | NO_END_NEEDED);
    this.pending = true;
  }

  /** Takes the offer back, after an exit. True: the guest has ended the interrupt by then. */
  withdraw(): boolean {
    this.pending = false;
    const flag = this.flag();
    if (flag === undefined) return false;
    const { memory } = this.options;
    const word = memory.read32(flag);
    memory.write32(flag, word & ~NO_END_NEEDED);
    return (word & NO_END_NEEDED) === 0;
  }

  private flag(): HostPhysicalAddress | undefined {
    this.options.costs.charge(FLAG_ACCESS);
    return this.options.find(this.address);
  }
}
