/** A virtual machine (struct kvm): what its vCPUs share. */

import type { Host } from '../host/host.js';
import type { PhysicalMemory } from '../memory/physical-memory.js';
import type { TraceSink } from '../trace/events.js';
import type { CoalescedMmio } from './coalesced-mmio.js';
import type { VcpuRequests } from './contracts.js';
import type { IoBus } from './io-bus.js';
import type { MemorySlots } from './memory-slots.js';
import type { ExtendedPageTables } from './mmu/extended-page-tables.js';
import type { Policies } from './policies.js';
import { SlotsProtection } from './slots-protection.js';
import type { VmxModule } from './vmx-module.js';

/** Counters of the era's debugfs, per VM (kvm-stat). */
export interface VmStatistics {
  exits: number;
  ioExits: number;
  mmioExits: number;
  signalExits: number;
  irqWindowExits: number;
  haltExits: number;
  haltWakeups: number;
  haltAttemptedPolls: number;
  haltSuccessfulPolls: number;
  hypercalls: number;
  irqExits: number;
  /** Heavy switches: host state reloaded. */
  hostStateReload: number;
  eferReload: number;
  fpuReload: number;
  /** Host #NM that loading the guest's FPU registers took (unlazy_fpu as shipped). */
  hostFpuFaults: number;
  instructionEmulations: number;
  irqInjections: number;
}

export class Vm {
  readonly policies: Policies;
  readonly host: Host;
  readonly vmx: VmxModule;
  readonly memorySlots: MemorySlots;
  readonly pioBus: IoBus;
  readonly mmioBus: IoBus;
  /** ioeventfds of any length, for policies that look at it before an access is decoded (KVM_FAST_MMIO_BUS). */
  readonly fastMmioBus: IoBus | undefined;
  readonly coalescedMmio: CoalescedMmio;
  readonly extendedPageTables: ExtendedPageTables;
  readonly slotsProtection: SlotsProtection;
  /** In order of their numbers. */
  readonly vcpus: VcpuRequests[] = [];
  /** Observers of exits and injections; set before the VM runs. */
  trace: TraceSink = {};
  readonly statistics: VmStatistics = {
    exits: 0,
    ioExits: 0,
    mmioExits: 0,
    signalExits: 0,
    irqWindowExits: 0,
    haltExits: 0,
    haltWakeups: 0,
    haltAttemptedPolls: 0,
    haltSuccessfulPolls: 0,
    hypercalls: 0,
    irqExits: 0,
    hostStateReload: 0,
    eferReload: 0,
    fpuReload: 0,
    hostFpuFaults: 0,
    instructionEmulations: 0,
    irqInjections: 0,
  };

  constructor(options: {
    policies: Policies;
    host: Host;
    vmx: VmxModule;
    memorySlots: MemorySlots;
    pioBus: IoBus;
    mmioBus: IoBus;
    fastMmioBus: IoBus | undefined;
    coalescedMmio: CoalescedMmio;
    extendedPageTables: ExtendedPageTables;
  }) {
    this.policies = options.policies;
    this.host = options.host;
    this.vmx = options.vmx;
    this.memorySlots = options.memorySlots;
    this.pioBus = options.pioBus;
    this.mmioBus = options.mmioBus;
    this.fastMmioBus = options.fastMmioBus;
    this.coalescedMmio = options.coalescedMmio;
    this.extendedPageTables = options.extendedPageTables;
    this.slotsProtection = new SlotsProtection(options.host, options.policies.slotsProtection, () =>
      options.memorySlots.freeRetired(),
    );
  }

  /** Host RAM, and in it the guest's. */
  get memory(): PhysicalMemory {
    return this.host.memory;
  }
}
