/** A virtual machine (struct kvm): what its vCPUs share. */

import type { PageAllocator } from '../host/page-allocator.js';
import type { PhysicalMemory } from '../memory/physical-memory.js';
import type { GuestMemory, InKernelBus } from './contracts.js';
import type { Policies } from './policies.js';

/** Counters of the era's debugfs, per VM (kvm-stat). */
export interface VmStatistics {
  exits: number;
  ioExits: number;
  mmioExits: number;
  signalExits: number;
  irqWindowExits: number;
  haltExits: number;
  haltWakeups: number;
  hypercalls: number;
  irqExits: number;
  /** Heavy switches: host state reloaded. */
  hostStateReload: number;
  eferReload: number;
  fpuReload: number;
  instructionEmulations: number;
  irqInjections: number;
}

export class Vm {
  readonly policies: Policies;
  /** Host RAM, and in it the guest's. */
  readonly memory: PhysicalMemory;
  readonly pages: PageAllocator;
  readonly memorySlots: GuestMemory;
  readonly pioBus: InKernelBus;
  readonly mmioBus: InKernelBus;
  /** Frequency of the virtual time in cycles per second. */
  readonly clockInHertz: number;
  readonly statistics: VmStatistics = {
    exits: 0,
    ioExits: 0,
    mmioExits: 0,
    signalExits: 0,
    irqWindowExits: 0,
    haltExits: 0,
    haltWakeups: 0,
    hypercalls: 0,
    irqExits: 0,
    hostStateReload: 0,
    eferReload: 0,
    fpuReload: 0,
    instructionEmulations: 0,
    irqInjections: 0,
  };

  constructor(options: {
    policies: Policies;
    memory: PhysicalMemory;
    pages: PageAllocator;
    memorySlots: GuestMemory;
    pioBus: InKernelBus;
    mmioBus: InKernelBus;
    clockInHertz: number;
  }) {
    this.policies = options.policies;
    this.memory = options.memory;
    this.pages = options.pages;
    this.memorySlots = options.memorySlots;
    this.pioBus = options.pioBus;
    this.mmioBus = options.mmioBus;
    this.clockInHertz = options.clockInHertz;
  }
}
