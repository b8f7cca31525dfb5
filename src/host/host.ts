/** The simulated host: CPUs under one kernel, its scheduler, its ledger, its free pages. */

import type { PhysicalMemory } from '../memory/physical-memory.js';
import { type CostModel, compileCosts } from './cost/cost-model.js';
import type { HardwareProcessor, VmxHardware } from './hardware.js';
import { HostCpu } from './host-cpu.js';
import { bootHostCpu, hostDescriptors } from './host-kernel.js';
import { HostThread, type ThreadBody, type UserSegmentState } from './host-thread.js';
import { Ledger } from './ledger.js';
import { PageAllocator } from './page-allocator.js';
import { PhysicalCpu } from './physical-cpu.js';
import { Scheduler } from './scheduler.js';
import { STAGE } from './stages.js';
import { Rcu } from './sync/rcu.js';
import { Stoppers } from './sync/stopper.js';

export interface HostOptions {
  /** Host-physical RAM. */
  readonly memory: PhysicalMemory;
  /** One entry per physical CPU. */
  readonly hardware: readonly { readonly processor: HardwareProcessor; readonly vmx: VmxHardware }[];
  /** CPUs in the order of their numbers fill one socket after the other; by default one socket has them all. */
  readonly cpusPerSocket?: number;
  readonly costModel: CostModel;
  /** Host-physical addresses of the pages that the kernel may use for its own tables; page-aligned. */
  readonly kernelPages: { readonly start: number; readonly end: number };
  /** Time that a thread may run while others wait, in cycles; by default 4 ms. */
  readonly timeSliceInCycles?: number;
  /** HZ of the kernel; default 1000. */
  readonly ticksPerSecond?: number;
}

/** CONFIG_HZ of the distributions of the time. */
const DEFAULT_TICKS_PER_SECOND = 1000;

/** Start of the user process's memory: user address = this + host-physical address. */
const USER_MEMORY_BASE = 0x7f00_0000_0000;

export class Host {
  readonly memory: PhysicalMemory;
  readonly cpus: readonly HostCpu[];
  readonly ledger: Ledger;
  readonly pages: PageAllocator;
  readonly scheduler: Scheduler;
  readonly costModel: CostModel;
  readonly rcu: Rcu;

  constructor(options: HostOptions) {
    this.memory = options.memory;
    this.costModel = options.costModel;
    this.pages = new PageAllocator(options.memory, options.kernelPages.start, options.kernelPages.end);
    const costs = compileCosts(options.costModel);
    this.ledger = new Ledger(costs);
    this.cpus = options.hardware.map(({ processor, vmx }, number) => {
      const idleAccount = this.ledger.open(`idle (CPU ${number})`);
      const cpu = new PhysicalCpu({
        number,
        processor,
        vmx,
        costs,
        descriptors: hostDescriptors(number),
        idleAccount,
      });
      idleAccount.setStage(STAGE.BLOCKED);
      bootHostCpu(cpu);
      return new HostCpu(
        cpu,
        idleAccount,
        Math.floor(number / (options.cpusPerSocket ?? options.hardware.length)),
      );
    });
    const timeSlice = options.timeSliceInCycles ?? Math.round(options.costModel.clockInHertz / 250);
    this.scheduler = new Scheduler(this.cpus, timeSlice);
    this.rcu = new Rcu(
      this.scheduler,
      new Stoppers(this.scheduler, this.ledger),
      Math.round(options.costModel.clockInHertz / (options.ticksPerSecond ?? DEFAULT_TICKS_PER_SECOND)),
    );
  }

  /** Creates a thread that runs `body` on a CPU once the simulation runs. */
  startThread(options: {
    name: string;
    cpu: HostCpu;
    body: (thread: HostThread) => ThreadBody;
    isKernelThread?: boolean;
    daemon?: boolean;
    isStopper?: boolean;
    user?: UserSegmentState;
  }): HostThread {
    const { name, cpu, isKernelThread, daemon, isStopper, user } = options;
    const thread = new HostThread({
      name,
      account: this.ledger.open(name),
      body: options.body,
      ...(isKernelThread === undefined ? {} : { isKernelThread }),
      ...(daemon === undefined ? {} : { daemon }),
      ...(isStopper === undefined ? {} : { isStopper }),
      ...(user === undefined ? {} : { user }),
    });
    this.scheduler.start(thread, cpu);
    return thread;
  }

  /** Host-physical address behind an address of the user process. */
  readonly userToHostPhysical = (userspaceAddress: number): number => userspaceAddress - USER_MEMORY_BASE;
  /** Address at which the user process sees host-physical memory. */
  readonly hostPhysicalToUser = (address: number): number => address + USER_MEMORY_BASE;

  /** Cycles that passed on all CPUs together. */
  get elapsed(): number {
    return this.cpus.reduce((sum, { cpu }) => sum + cpu.elapsed, 0);
  }

  /** Virtual time: that of the CPU which is furthest. CPUs that sleep are behind until they wake up. */
  get now(): number {
    return this.cpus.reduce((latest, { cpu }) => Math.max(latest, cpu.now), 0);
  }

  /** Throws `LedgerError` unless every cycle of virtual time was charged to somebody. */
  verifyLedger(): void {
    this.ledger.verify(this.elapsed);
  }
}
