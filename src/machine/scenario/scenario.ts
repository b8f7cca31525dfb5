/** Wires hardware, host, hypervisor layer, user space and guests together, and runs them. */

import { TALK_I7 } from '../../host/cost/talk-i7.js';
import { Host } from '../../host/host.js';
import type { HostThread } from '../../host/host-thread.js';
import type { SimulationLimits, SimulationStop } from '../../host/scheduler.js';
import { kernelThread, userProcess } from '../../host/workload.js';
import { Kvm, type KvmVm } from '../../kvm/kvm.js';
import { selectPolicies } from '../../kvm/policies.js';
import type { Vcpu } from '../../kvm/vcpu.js';
import { PAGE_SIZE } from '../../memory/addresses.js';
import { enterBootState, enterStartupState, loadGuest } from '../guest-set-up.js';
import { InstructionTracer } from '../instruction-tracer.js';
import { checkImageFits } from '../load-image.js';
import { MachineError } from '../machine-error.js';
import { DEFAULT_MEMORY_BYTES, MAXIMUM_MEMORY_BYTES, MINIMUM_MEMORY_BYTES } from '../memory-map.js';
import { createPhysicalMachine, type PhysicalMachine } from '../physical-machine.js';
import { UserSpaceDevices } from '../user-space-devices.js';
import { type GuestRam, ramAroundVgaWindow, VgaWindowMonitor, wholeRam } from '../vga-window-monitor.js';
import type { Placement, ScenarioOptions, ScenarioVm } from './scenario-options.js';
import { type ScenarioResult, stagesOf, threadResult, type VcpuResult } from './scenario-result.js';

const MEGABYTE = 2 ** 20;
/** Host-physical memory below is left alone, as on a PC. */
const KERNEL_PAGES_START = MEGABYTE;
/** VMCSs, bitmaps, APIC pages, and page tables that do not grow with the guest, per VM. */
const FIXED_KERNEL_BYTES = 2 * MEGABYTE;
/** EPT tables need 8 bytes per guest page; twice that leaves room for their upper levels. */
const TABLE_BYTES_PER_GUEST_PAGE = 16;
const MAXIMUM_VCPUS = 255;

const SERIAL_INTERRUPT = 4;

/** A virtual machine of a scenario, open to observers. */
export interface ScenarioMachine {
  readonly name: string;
  readonly kvmVm: KvmVm;
  readonly vcpus: readonly Vcpu[];
  /** Threads of the vCPUs, by vCPU. */
  readonly threads: readonly HostThread[];
  readonly devices: UserSpaceDevices;
}

/**
 * Creates everything, ready to run.
 * @throws MachineError 'image' or 'option'; PolicyError
 */
export function createScenario(options: ScenarioOptions): Scenario {
  return new Scenario(options);
}

export class Scenario {
  readonly host: Host;
  readonly vms: readonly ScenarioMachine[];
  /** Kernel threads and processes, in the order of the options. */
  readonly threads: readonly HostThread[];
  private readonly hardware: PhysicalMachine;
  private readonly ended = new Set<ScenarioMachine>();
  private nextFreeCpu = 0;

  constructor(options: ScenarioOptions) {
    const { sockets, coresPerSocket } = options.topology ?? { sockets: 1, coresPerSocket: 1 };
    for (const count of [sockets, coresPerSocket])
      if (!Number.isInteger(count) || count < 1)
        throw new MachineError('option', `a host can not have ${sockets} sockets of ${coresPerSocket} cores`);
    const memorySizes = options.vms.map(memorySizeOf);
    const kernelEnd =
      KERNEL_PAGES_START +
      memorySizes.reduce(
        (sum, bytes) => sum + FIXED_KERNEL_BYTES + (bytes / PAGE_SIZE) * TABLE_BYTES_PER_GUEST_PAGE,
        0,
      );
    const firstGuestRam = Math.ceil(kernelEnd / MEGABYTE) * MEGABYTE;
    this.hardware = createPhysicalMachine(
      firstGuestRam + memorySizes.reduce((sum, bytes) => sum + bytes, 0),
      sockets * coresPerSocket,
      options.processor,
    );
    this.host = new Host({
      memory: this.hardware.memory,
      hardware: this.hardware.processors,
      cpusPerSocket: coresPerSocket,
      costModel: options.costModel ?? TALK_I7,
      kernelPages: { start: KERNEL_PAGES_START, end: firstGuestRam },
      ...(options.ticksPerSecond === undefined ? {} : { ticksPerSecond: options.ticksPerSecond }),
      ...(options.timeSliceInCycles === undefined ? {} : { timeSliceInCycles: options.timeSliceInCycles }),
    });
    const kvm = new Kvm(this.host);
    let guestRam = firstGuestRam;
    this.vms = options.vms.map((vm, index) => {
      const machine = this.createMachine(kvm, options, vm, index, guestRam, memorySizes[index]!);
      guestRam += memorySizes[index]!;
      return machine;
    });
    this.threads = this.startThreads(options);
    for (const { vm, vcpu, at, toCpu } of options.migrations ?? []) {
      const { scheduler, cpus } = this.host;
      const destination = this.cpu(toCpu);
      const thread = this.vms[vm]?.threads[vcpu];
      if (thread === undefined) throw new MachineError('option', `there is no vCPU ${vcpu} in VM ${vm}`);
      // The balancer of the destination pulls.
      cpus[destination]!.cpu.events.schedule(at, () => scheduler.migrate(thread, cpus[destination]!));
    }
  }

  /** Guest instructions on all CPUs. */
  get instructionsRetired(): number {
    return this.hardware.processors.reduce((sum, { processor }) => sum + processor.instructionsRetired, 0);
  }

  /** Runs until every VM has ended or a limit is reached; can be called again after a limit. */
  run(limits: SimulationLimits = {}): ScenarioResult {
    const stop = this.host.scheduler.run({
      ...limits,
      stopRequested: () => this.allEnded() || limits.stopRequested?.() === true,
    });
    if (stop !== 'limit')
      for (const vm of this.vms) {
        // Nothing will ever wake it.
        if (stop === 'idle') vm.devices.end ??= { reason: 'halted' };
        if (vm.devices.end !== undefined) vm.kvmVm.finish();
      }
    this.host.verifyLedger();
    return this.result(stop);
  }

  /** Threads of VMs that ended get a signal, as when QEMU exits. */
  private allEnded(): boolean {
    let all = this.vms.length > 0;
    for (const vm of this.vms) {
      if (this.ended.has(vm)) continue;
      if (!vm.devices.stopped && !vm.kvmVm.halted) {
        all = false;
        continue;
      }
      vm.devices.end ??= { reason: 'halted' };
      this.ended.add(vm);
      if (this.vms.length > 1) vm.kvmVm.signalThreads();
    }
    return all;
  }

  private result(stop: SimulationStop): ScenarioResult {
    const { host } = this;
    const ofVms = new Set(this.vms.flatMap(({ threads }) => threads.map(({ account }) => account)));
    return {
      stop,
      cycles: host.now,
      clockInHertz: host.costModel.clockInHertz,
      instructions: this.instructionsRetired,
      vms: this.vms.map((vm) => ({
        name: vm.name,
        end: vm.devices.end ?? { reason: 'limit' },
        statistics: { ...vm.kvmVm.vm.statistics },
        vcpus: vm.vcpus.map((vcpu, index): VcpuResult => {
          const { account } = vm.threads[index]!;
          const exitsByReason = new Map<number, number>();
          for (const [reason, statistics] of account.exits.entries())
            if (statistics !== undefined) exitsByReason.set(reason, statistics.samples);
          const exits = [...exitsByReason.values()].reduce((sum, count) => sum + count, 0);
          return { ...threadResult(account), id: vcpu.id, cpu: vcpu.cpu.number, exits, exitsByReason };
        }),
      })),
      threads: host.ledger.accounts.filter((account) => !ofVms.has(account)).map(threadResult),
      stages: stagesOf(host.ledger.accounts),
    };
  }

  private createMachine(
    kvm: Kvm,
    scenario: ScenarioOptions,
    options: ScenarioVm,
    index: number,
    guestRam: number,
    memoryBytes: number,
  ): ScenarioMachine {
    const { host, hardware } = this;
    checkImageFits(options.image, memoryBytes);
    const era = options.era ?? scenario.era;
    const kvmVm = kvm.createVm(selectPolicies(era, { ...scenario.policies, ...options.policies }));
    const name = options.name ?? `VM ${index}`;
    if (scenario.vms.length > 1) kvmVm.name = name;
    if (options.trace !== undefined) kvmVm.trace = options.trace;
    const ram: GuestRam = {
      memory: hardware.memory,
      sizeInBytes: memoryBytes,
      start: guestRam,
      userspaceAddress: host.hostPhysicalToUser(guestRam),
    };
    const { vgaWindow = false } = options;
    for (const region of vgaWindow ? ramAroundVgaWindow(ram) : [wholeRam(ram)])
      kvmVm.setUserMemoryRegion(region);
    loadGuest(options.image, hardware.memory, guestRam);
    const vcpus = this.place(options.placement ?? 'own', options.vcpus ?? 1).map((cpu) => {
      const vcpu = kvmVm.createVcpu(cpu);
      vcpu.startAt = (vector) => enterStartupState(kvmVm, vcpu, vector);
      return vcpu;
    });
    enterBootState(kvmVm, vcpus[0]!, options.image.entry);
    const devices = new UserSpaceDevices({
      output: options.serialOutput ?? (() => {}),
      serialInterrupt: { set: (level) => kvmVm.setIrqLine('serial port', SERIAL_INTERRUPT, level) },
      describeEntryFailure: () =>
        hardware.processors[host.scheduler.executingCpu.cpu.number]!.extensions.describeEntryFailure(),
    });
    if (options.trace?.instruction !== undefined) this.traceInstructions(options.trace, vcpus);
    const allDevices = vgaWindow ? new VgaWindowMonitor(devices, ram) : devices;
    const monitor = options.monitor?.(allDevices) ?? allDevices;
    const threads = vcpus.map((vcpu) => kvmVm.startVcpu(vcpu, monitor));
    return { name, kvmVm, vcpus, threads, devices };
  }

  /** The vCPU that runs on a processor is known by its guest mode. */
  private traceInstructions(trace: NonNullable<ScenarioVm['trace']>, vcpus: readonly Vcpu[]): void {
    const listener = trace.instruction!.bind(trace);
    for (const [number, { processor }] of this.hardware.processors.entries())
      processor.observer = new InstructionTracer({
        processor,
        startTime: processor.timeStampCounter,
        vcpu: () => vcpus.find((vcpu) => vcpu.inGuest && vcpu.cpu.number === number)?.id,
        listener,
      });
  }

  /** Numbers of the host CPUs for a VM's vCPUs. */
  private place(placement: Placement, count: number): number[] {
    if (!Number.isInteger(count) || count < 1 || count > MAXIMUM_VCPUS)
      throw new MachineError('option', `a VM can not have ${count} virtual CPUs: 1 to ${MAXIMUM_VCPUS}`);
    const cpus = this.host.cpus.length;
    if (placement === 'own') return Array.from({ length: count }, () => this.nextFreeCpu++ % cpus);
    if (placement === 'shared') {
      const cpu = this.nextFreeCpu++ % cpus;
      return Array.from({ length: count }, () => cpu);
    }
    if (placement.length !== count)
      throw new MachineError('option', `${placement.length} host CPUs are named for ${count} virtual CPUs`);
    return placement.map((cpu) => this.cpu(cpu));
  }

  private cpu(number: number): number {
    if (this.host.cpus[number] === undefined)
      throw new MachineError('option', `the host has no CPU ${number}: it has ${this.host.cpus.length}`);
    return number;
  }

  private startThreads({ kernelThreads = [], processes = [] }: ScenarioOptions): HostThread[] {
    const { host } = this;
    const { scheduler } = host;
    const kernel = kernelThreads.map((work) =>
      host.startThread({
        name: work.name,
        cpu: host.cpus[this.cpu(work.cpu)]!,
        isKernelThread: true,
        daemon: true,
        body: (thread) => kernelThread(scheduler, thread, work),
      }),
    );
    const user = processes.map((work, index) =>
      host.startThread({
        name: work.name,
        cpu: host.cpus[this.cpu(work.cpu)]!,
        daemon: true,
        user: { fsSelector: 0, gsSelector: 0, fsBase: PROCESS_FS_BASE + BigInt(index) * 0x1000n, gsBase: 0n },
        body: (thread) =>
          userProcess(scheduler, thread, {
            ...work,
            usesFpu: work.usesFpu ?? false,
            pattern: index * 37 + 1,
          }),
      }),
    );
    return [...kernel, ...user];
  }
}

/** Thread-local storage of the first process; each has its own. */
const PROCESS_FS_BASE = 0x7f11_2233_4000n;

function memorySizeOf({ memoryBytes = DEFAULT_MEMORY_BYTES }: ScenarioVm): number {
  const megabytes = (bytes: number): string => `${bytes / MEGABYTE}M`;
  if (memoryBytes < MINIMUM_MEMORY_BYTES)
    throw new MachineError(
      'option',
      `guest RAM of ${memoryBytes} bytes is too small: at least ${megabytes(MINIMUM_MEMORY_BYTES)}`,
    );
  if (memoryBytes > MAXIMUM_MEMORY_BYTES)
    throw new MachineError(
      'option',
      `guest RAM of ${memoryBytes} bytes is too large: at most ${megabytes(MAXIMUM_MEMORY_BYTES)}`,
    );
  if (memoryBytes % PAGE_SIZE !== 0)
    throw new MachineError('option', `guest RAM of ${memoryBytes} bytes is no multiple of ${PAGE_SIZE}`);
  return memoryBytes;
}
