/**
 * What the run loop needs of the in-kernel devices and tables of a VM. The classes that satisfy these interfaces
 * know `Vcpu`; `Vcpu` knows only these.
 */

import type { CostSink } from '../host/cost/operations.js';
import type { HostPhysicalAddress } from '../memory/addresses.js';
import type { ApicVirtualisation } from './irqchip/apic-virtualisation.js';
import type { DeadlineTimer } from './irqchip/deadline-timer.js';

/** An in-kernel I/O bus (struct kvm_io_bus): devices asked in order of registration, the first that claims wins. */
export interface InKernelBus {
  /** False when no device claims the address. `value` is unsigned; `sizeInBytes` is 1, 2 or 4. */
  write(address: number, sizeInBytes: number, value: number, costs: CostSink): boolean;
  /** The unsigned value read, or undefined when no device claims the address. */
  read(address: number, sizeInBytes: number, costs: CostSink): number | undefined;
}

/**
 * The interrupt controllers as one vCPU sees them: its local APIC, and for the boot processor also the PIC pair
 * (kvm_cpu_has_interrupt, kvm_cpu_get_interrupt).
 */
export interface VcpuInterrupts {
  /** An interrupt could be injected, the task priority considered. */
  hasInterrupt(): boolean;
  /** An interrupt has to be injected by the hypervisor: none of the APIC's if the processor delivers those. */
  hasInjectableInterrupt(): boolean;
  /** What the processor does of the local APIC by itself, undefined for nothing but the TPR shadow. */
  readonly virtualisation: ApicVirtualisation | undefined;
  /** The guest has written a register in the virtual-APIC page (kvm_apic_write_nodecode). */
  registerWritten(offset: number): void;
  /** The processor has ended an interrupt (kvm_apic_set_eoi_accelerated). */
  interruptEnded(vector: number): void;
  /** Eight words: vectors whose end an I/O APIC has to hear of. */
  levelTriggered(): Uint32Array;
  /** Takes the interrupt (IRR to ISR) and returns its vector. */
  acknowledge(): number;
  /** Highest vector requested in the local APIC whatever its priority, -1 for none (kvm_lapic_find_highest_irr). */
  highestRequest(): number;
  /** Timer expired: delivers the timer's interrupt (kvm_inject_pending_timer_irqs). */
  injectPendingTimer(): void;
  /** True when a timer interrupt waits for `injectPendingTimer` (kvm_cpu_has_pending_timer). */
  hasPendingTimer(): boolean;
  /** CR8 as the guest sees it: bits 7:4 of the TPR. */
  readCr8(): number;
  writeCr8(priorityClass: number): void;
  /** IA32_APIC_BASE. A bad value gives false, and #GP in the guest. */
  readApicBase(): bigint;
  writeApicBase(value: bigint): boolean;
  /** x2APIC registers, MSR 0x800 … 0xbff. Undefined or false means #GP. Written as two unsigned 32-bit halves. */
  readX2apicMsr(index: number): bigint | undefined;
  writeX2apicMsr(index: number, low: number, high: number): boolean;
  /** The end of interrupt that the exit qualification alone shows (kvm_lapic_set_eoi). */
  endOfInterrupt(): void;
  /** IA32_TSC_DEADLINE. Undefined or false means #GP. */
  readTscDeadline(): bigint | undefined;
  writeTscDeadline(value: bigint): boolean;
  /** What runs the TSC-deadline mode, undefined where that is not offered. */
  readonly deadlineTimer: DeadlineTimer | undefined;
  /** MSR_KVM_PV_EOI_EN. Undefined or false means #GP. */
  readPvEoiMsr(): bigint | undefined;
  writePvEoiMsr(value: bigint): boolean;
  /** Before an entry, after events were looked for (kvm_lapic_sync_to_vapic). */
  syncToGuest(): void;
  /** The guest was made an offer that has to be taken back after the exit (apic_attention), by `syncFromGuest`. */
  readonly hasOffer: boolean;
  syncFromGuest(): void;
  /** Page in host-physical memory with the local APIC's registers, for the TPR shadow; undefined when it has none. */
  readonly registerPage: HostPhysicalAddress | undefined;
  /** INIT, SIPI state and reset belong to later: the vCPU's `wake` is called when an interrupt arrives. */
  readonly enabled: boolean;
}

/** A vCPU as the rest of its VM sees it. */
export interface VcpuRequests {
  /** Bits of `REQUEST` that wait for the next entry. */
  readonly requests: number;
  /** On its way into the guest, or there: it looks at its requests again only after an exit. */
  readonly guestMode: boolean;
  makeRequest(request: number): void;
  /** Wakes it where it sleeps, makes it leave the guest where it runs (kvm_vcpu_kick). */
  leaveGuest(): void;
}
