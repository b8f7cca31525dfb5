/** The API towards user space, shaped like /dev/kvm: system, VM, vCPU. */

import { CR0 } from '../architecture/control-registers.js';
import { GPR } from '../architecture/registers.js';
import { VMCS } from '../architecture/vmx/vmcs-fields.js';
import type { Host } from '../host/host.js';
import { HostClock } from '../host/host-clock.js';
import { type HostThread, type UserSegmentState, writeInitialFpuState } from '../host/host-thread.js';
import type { PhysicalCpu } from '../host/physical-cpu.js';
import { guestPhysical, type HostPhysicalAddress, PAGE_SIZE } from '../memory/addresses.js';
import type { TraceSink } from '../trace/events.js';
import { CoalescedMmio } from './coalesced-mmio.js';
import { writeCr0, writeCr4, writeEfer } from './control-registers.js';
import { supportedCpuid } from './cpuid.js';
import { DeviceLock } from './device-lock.js';
import { Emulator } from './emulator/emulator.js';
import { type AddressRange, IoBus } from './io-bus.js';
import { type IoEventFdRequest, IoEventFds } from './ioeventfd.js';
import { DEFAULT_APIC_ADDRESS } from './irqchip/apic-base.js';
import { ApicVirtualisation } from './irqchip/apic-virtualisation.js';
import { DeadlineTimer } from './irqchip/deadline-timer.js';
import { HousekeepingClock } from './irqchip/housekeeping-clock.js';
import { InKernelIrqchip } from './irqchip/in-kernel-irqchip.js';
import { DEFAULT_ROUTING, type IrqRoute } from './irqchip/irq-routing.js';
import { createIrqRoutingProtection } from './irqchip/irq-routing-protection.js';
import { createIrqchipLocks } from './irqchip/irqchip-locks.js';
import { PvEoi } from './irqchip/pv-eoi.js';
import { type MemoryRegion, MemorySlots } from './memory-slots.js';
import { MmioPath } from './mmio.js';
import { ExtendedPageTables } from './mmu/extended-page-tables.js';
import { GuestPageWalker } from './mmu/guest-page-walk.js';
import type { Policies } from './policies.js';
import {
  type GeneralRegisters,
  getGeneralRegisters,
  getSpecialRegisters,
  type SpecialRegisters,
  setGeneralRegisters,
  setSpecialRegisters,
} from './special-registers.js';
import type { UserSpaceMonitor } from './user-space-monitor.js';
import { Vcpu } from './vcpu.js';
import { vcpuThread } from './vcpu-thread.js';
import { Vm } from './vm.js';
import { loadVcpuOn, setupVmcs } from './vmcs-setup.js';
import { UnsupportedProcessorError, VmxModule } from './vmx-module.js';

/** The kvm and kvm_intel modules of a host. */
export class Kvm {
  readonly host: Host;
  private readonly vmx: VmxModule;

  /** Loads the modules: VMX goes on on every CPU. */
  constructor(host: Host) {
    this.host = host;
    this.vmx = new VmxModule(host);
  }

  /** KVM_CREATE_VM, KVM_CREATE_IRQCHIP and KVM_CREATE_PIT2. @throws UnsupportedProcessorError */
  createVm(policies: Policies): KvmVm {
    if (policies.apicVirtualisation !== 'none' && !this.vmx.hasApicVirtualisation)
      throw new UnsupportedProcessorError(
        `apicVirtualisation=${policies.apicVirtualisation} needs a processor that has it (Ivy Bridge-EP or later)`,
      );
    if (policies.hostFpu === 'eager') for (const { fpu } of this.host.cpus) fpu.useEagerSwitching();
    return new KvmVm(this.host, this.vmx, policies);
  }
}

export class KvmVm {
  /** Tells this VM's threads from those of other VMs. */
  name: string | undefined;
  readonly vm: Vm;
  readonly irqchip: InKernelIrqchip;
  /** Virtual time for devices in user space. */
  readonly clock: HostClock;
  readonly vcpus: Vcpu[] = [];
  private readonly apicAccessPage: HostPhysicalAddress;
  private readonly walker: GuestPageWalker;
  private readonly ioEventFds: IoEventFds;

  constructor(host: Host, vmx: VmxModule, policies: Policies) {
    const capacity = Number(policies.busCapacity);
    const pioBus = new IoBus(policies.busSearch, capacity);
    const mmioBus = new IoBus(policies.busSearch, capacity);
    const fastMmioBus =
      policies.mmioExit === 'fast-bus' ? new IoBus(policies.busSearch, capacity) : undefined;
    const coalescedMmio = new CoalescedMmio({
      memory: host.memory,
      pages: host.pages,
      bus: mmioBus,
      search: policies.busSearch,
      ...(host.cpus.length > 1 ? { lock: new DeviceLock(() => host.scheduler.executingCpu) } : {}),
    });
    this.vm = new Vm({
      policies,
      host,
      vmx,
      memorySlots: new MemorySlots(host.userToHostPhysical, policies.memorySlotLookup),
      pioBus,
      mmioBus,
      fastMmioBus,
      coalescedMmio,
      extendedPageTables: new ExtendedPageTables(host.memory, host.pages),
    });
    this.clock = new HostClock(() => host.scheduler.executingCpu.cpu, host.costModel.clockInHertz);
    const locks = createIrqchipLocks(host, policies.irqRouting);
    this.irqchip = new InKernelIrqchip({
      clock: this.clock,
      memory: host.memory,
      pages: host.pages,
      pioBus,
      mmioBus,
      routingProtection: createIrqRoutingProtection(host, policies.irqRouting, locks.routing),
      ...(host.cpus.length > 1 ? { locks } : {}),
      ioApicEoi: policies.ioApicEoi,
    });
    this.ioEventFds = new IoEventFds(
      { port: pioBus, memory: mmioBus, fastMemory: fastMmioBus },
      { charge: (number, times) => host.scheduler.executingCpu.cpu.charge(number, times) },
    );
    this.walker = new GuestPageWalker(host.memory, this.vm.memorySlots);
    this.apicAccessPage = host.pages.allocatePage();
    this.vm.memorySlots.setRegion({
      slot: this.vm.memorySlots.apicAccessPageSlot,
      guestPhysicalAddress: guestPhysical(DEFAULT_APIC_ADDRESS),
      sizeInBytes: PAGE_SIZE,
      userspaceAddress: host.hostPhysicalToUser(this.apicAccessPage),
    });
  }

  /** Observers of exits and injections. To be set before the VM runs. */
  set trace(sink: TraceSink) {
    this.vm.trace = sink;
  }

  /** KVM_SET_USER_MEMORY_REGION, before the VM runs. @throws MemoryRegionError */
  setUserMemoryRegion(region: MemoryRegion): void {
    this.vm.memorySlots.setRegion(region);
  }

  /** KVM_IOEVENTFD. @throws IoEventFdError, BusFullError */
  registerIoEventFd(request: IoEventFdRequest): void {
    this.ioEventFds.register(request);
  }

  /** KVM_IOEVENTFD with KVM_IOEVENTFD_FLAG_DEASSIGN. @throws IoEventFdError */
  unregisterIoEventFd(request: IoEventFdRequest): void {
    this.ioEventFds.unregister(request);
  }

  /** KVM_REGISTER_COALESCED_MMIO, a range of guest-physical addresses. @throws CoalescedZonesError, BusFullError */
  registerCoalescedMmio(zone: AddressRange): void {
    this.vm.coalescedMmio.addZone(zone);
  }

  /** KVM_UNREGISTER_COALESCED_MMIO: of every zone inside the range. */
  unregisterCoalescedMmio(range: AddressRange): void {
    this.vm.coalescedMmio.removeZones(range);
  }

  /** KVM_SET_GSI_ROUTING, before the VM runs: these beside those that every VM has. */
  addRoutes(routes: readonly IrqRoute[]): void {
    this.irqchip.routing.replace([...DEFAULT_ROUTING, ...routes]);
  }

  /** KVM_IRQ_LINE: sets the level of an interrupt line, `source` being the device that drives it. */
  setIrqLine(source: string, gsi: number, level: boolean): void {
    this.irqchip.setIrq(source, gsi, level);
  }

  /** KVM_CREATE_VCPU: in the state after reset, with the CPUID that KVM supports. Takes no virtual time. */
  createVcpu(cpuNumber = 0): Vcpu {
    const { vm } = this;
    const { host } = vm;
    const hostCpu = host.cpus[cpuNumber]!;
    const vcpu = new Vcpu(this.vcpus.length, vm, hostCpu, vm.vmx.region());
    this.vcpus.push(vcpu);
    vm.vcpus.push(vcpu);
    const { deadlineTimer, apicVirtualisation } = vm.policies;
    const postsTimer =
      deadlineTimer === 'posted' && apicVirtualisation === 'posted-interrupts' && host.cpus.length > 1;
    const localApic = this.irqchip.addVcpu(
      vcpu,
      vcpu.clock,
      deadlineTimer === 'absent'
        ? undefined
        : new DeadlineTimer(
            postsTimer ? new HousekeepingClock(host) : vcpu.clock,
            vcpu,
            deadlineTimer === 'preemption-timer' && vm.vmx.hasPreemptionTimer,
          ),
      apicVirtualisation === 'none'
        ? undefined
        : (page) =>
            new ApicVirtualisation({
              policy: apicVirtualisation,
              memory: host.memory,
              page,
              descriptor: host.pages.allocatePage(),
              target: {
                charge: (operation, times) => host.scheduler.executingCpu.cpu.charge(operation, times),
                notifyPosted: () => vcpu.notifyPosted(),
              },
            }),
      postsTimer,
    );
    if (vcpu.id > 0) {
      // Application processors wait to be started.
      vcpu.mpState = 'uninitialized';
      vcpu.haltedForGood = true;
    }
    vcpu.connectInterrupts(localApic);
    if (vm.policies.pvEoi === 'on')
      localApic.connectPvEoi(
        new PvEoi({
          costs: vcpu,
          memory: host.memory,
          find: (address) => vm.memorySlots.peek(address),
        }),
      );
    vcpu.connectEmulator(
      new Emulator({
        vcpu,
        memory: host.memory,
        frames: vm.memorySlots,
        walker: this.walker,
        mmio: new MmioPath(localApic, vm.mmioBus),
        ports: vm.pioBus,
        policy: vm.policies.instructionEmulation,
      }),
    );
    vcpu.cpuidEntries = supportedCpuid(hostCpu.cpu, vcpu.id, vm.policies);
    writeInitialFpuState(vcpu.guestFpu);
    this.atSetUp(vcpu, () => {
      setupVmcs(vcpu, { accessPage: this.apicAccessPage, registerPage: localApic.registerPage });
      resetVcpu(vcpu);
    });
    return vcpu;
  }

  /** KVM_SET_REGS and KVM_SET_SREGS. Takes no virtual time. @throws RegisterValueError */
  setRegisters(vcpu: Vcpu, general: GeneralRegisters, special: SpecialRegisters): void {
    this.atSetUp(vcpu, () => {
      setSpecialRegisters(vcpu, special);
      setGeneralRegisters(vcpu, general);
    });
  }

  /** KVM_GET_REGS and KVM_GET_SREGS, as an observer: without cost, and without a trace. */
  getRegisters(vcpu: Vcpu): { general: GeneralRegisters; special: SpecialRegisters } {
    const { loadedOn, launched, requests } = vcpu;
    const registers = this.atSetUp(vcpu, () =>
      vcpu.observe(() => ({ general: getGeneralRegisters(vcpu), special: getSpecialRegisters(vcpu) })),
    );
    if (loadedOn === undefined) {
      // Its thread is on the way to another CPU, and loads it there.
      const { cpu } = vcpu;
      cpu.withoutCharge(() => cpu.vmclear(vcpu.vmcs));
      vcpu.loadedOn = undefined;
      vcpu.launched = launched;
      vcpu.requests = requests;
    }
    return registers;
  }

  /** Starts the vCPU's thread on a host CPU; it runs when the host's scheduler runs. */
  startVcpu(vcpu: Vcpu, monitor: UserSpaceMonitor, user?: UserSegmentState): HostThread {
    const { host } = this.vm;
    return host.startThread({
      name: this.name === undefined ? `vCPU ${vcpu.id}` : `${this.name} vCPU ${vcpu.id}`,
      cpu: vcpu.hostCpu,
      body: (thread) => vcpuThread(vcpu, monitor, thread),
      user: user ?? { fsSelector: 0, gsSelector: 0, fsBase: 0x7f7a_5c9d_8700n, gsBase: 0n },
    });
  }

  /** Makes every vCPU's thread leave KVM_RUN with KVM_EXIT_INTR, wherever it is (SIGUSR1 of QEMU's exit). */
  signalThreads(): void {
    for (const vcpu of this.vcpus) vcpu.signal();
  }

  /** True when every vCPU is halted with interrupts off: nothing the guest set up can wake it. */
  get halted(): boolean {
    return this.vcpus.length > 0 && this.vcpus.every((vcpu) => vcpu.haltedForGood);
  }

  /** Reports exits that are still open; to be called when the VM will not run again. */
  finish(): void {
    for (const vcpu of this.vcpus) vcpu.tracker.finish(vcpu.cpu);
  }

  /** Work on a vCPU's VMCS outside of KVM_RUN, with no charge. The CPU may be about to run another vCPU. */
  private atSetUp<Result>(vcpu: Vcpu, work: () => Result): Result {
    const cpu: PhysicalCpu = vcpu.loadedOn ?? vcpu.cpu;
    return cpu.withoutCharge(() => {
      const { currentVmcs } = cpu;
      loadVcpuOn(vcpu, cpu);
      const result = work();
      if (currentVmcs !== undefined && currentVmcs !== vcpu.vmcs) cpu.vmptrld(currentVmcs);
      return result;
    });
  }
}

/** vmx_vcpu_reset: the state of a processor after RESET (SDM Vol. 3A, Table 9-1). */
function resetVcpu(vcpu: Vcpu): void {
  const { cpu } = vcpu;
  const DATA = 0x93;
  for (let segment = 0; segment < 6; segment++)
    vcpu.writeSegment(segment as 0, { selector: 0, base: 0n, limit: 0xffff, accessRights: DATA });
  vcpu.writeSegment(1, { selector: 0xf000, base: 0xffff0000n, limit: 0xffff, accessRights: 0x9b });
  vcpu.writeSegment(6, { selector: 0, base: 0n, limit: 0xffff, accessRights: 0x82 });
  vcpu.writeSegment(7, { selector: 0, base: 0n, limit: 0xffff, accessRights: 0x8b });
  for (const [base, limit] of [
    [VMCS.GUEST_GDTR_BASE, VMCS.GUEST_GDTR_LIMIT],
    [VMCS.GUEST_IDTR_BASE, VMCS.GUEST_IDTR_LIMIT],
  ] as const) {
    cpu.vmwrite(base, 0n);
    cpu.vmwriteNumber(limit, 0xffff);
  }
  cpu.vmwrite(VMCS.GUEST_DR7, 0x400n);
  vcpu.writeRflags(2);
  for (let register = 0; register < 16; register++) vcpu.writeRegister(register, 0n);
  vcpu.writeRegister(GPR.RDX, 0x600n);
  vcpu.rip = 0xfff0n;
  cpu.vmwrite(VMCS.GUEST_CR3, 0n);
  for (const msr of vcpu.vmx.switchedMsrs) msr.guestValue = 0n;
  writeCr4(vcpu, 0);
  vcpu.fpuActive = false;
  writeCr0(vcpu, CR0.ET | CR0.NW | CR0.CD);
  writeEfer(vcpu, 0);
}
