/** A virtual CPU (struct kvm_vcpu): beside its registers, what is pending for it, and what belongs to it. */

import { VECTOR } from '../architecture/vectors.js';
import { VMCS } from '../architecture/vmx/vmcs-fields.js';
import type { CostSink, OperationNumber } from '../host/cost/operations.js';
import type { HostCpu } from '../host/host-cpu.js';
import type { GuestContext, PhysicalCpu } from '../host/physical-cpu.js';
import type { HostPhysicalAddress } from '../memory/addresses.js';
import type { VcpuInterrupts } from './contracts.js';
import type { CpuidEntry } from './cpuid.js';
import type { Emulator } from './emulator/emulator.js';
import { ExitTracker } from './exit-tracker.js';
import { HaltPolling } from './halt-polling.js';
import type { KvmExit, UserSpaceAnswer } from './kvm-exit.js';
import { runLoopRules } from './run-loop-rules.js';
import type { SlotsReader } from './slots-protection.js';
import { VcpuClock } from './vcpu-clock.js';
import { VcpuRegisters } from './vcpu-registers.js';
import type { Vm } from './vm.js';
import { VmxState } from './vmx-state.js';

/** Requests to a vCPU, handled before its next entry (KVM_REQ_…). */
export const REQUEST = {
  MMU_RELOAD: 1 << 0,
  TLB_FLUSH: 1 << 1,
  TRIPLE_FAULT: 1 << 2,
  MIGRATE_TIMER: 1 << 3,
  DEACTIVATE_FPU: 1 << 4,
  EVENT: 1 << 5,
} as const;

/** Exceptions that, one during the delivery of another, make a double fault (SDM Vol. 3A, Tables 6-4 and 6-5). */
const CONTRIBUTORY: ReadonlySet<number> = new Set([VECTOR.DE, VECTOR.TS, VECTOR.NP, VECTOR.SS, VECTOR.GP]);
const makesDoubleFault = (first: number, second: number): boolean =>
  (CONTRIBUTORY.has(first) && CONTRIBUTORY.has(second)) ||
  (first === VECTOR.PF && (second === VECTOR.PF || CONTRIBUTORY.has(second)));

/** An exception that waits for injection. */
export interface PendingException {
  readonly vector: number;
  readonly errorCode: number | undefined;
  /** #BP and #OF by INT3 and INTO that are delivered again: length of the instruction. */
  readonly instructionLength?: number;
}

/** A software interrupt is injected with the length of its instruction. */
export interface InjectedInterrupt {
  readonly vector: number;
  readonly software: boolean;
  readonly instructionLength: number;
}

/** Whether a vCPU executes, and what else it waits for (KVM_MP_STATE_…). */
export type MultiprocessorState = 'runnable' | 'halted' | 'uninitialized' | 'init-received' | 'sipi-received';

export class Vcpu extends VcpuRegisters implements CostSink, GuestContext {
  readonly id: number;
  /** Tags the vCPU's translations in every CPU's TLB: unique in the host, never 0 (allocate_vpid). */
  readonly vpid: number;
  readonly vm: Vm;
  /** The physical CPU whose hardware may hold state of this VMCS, undefined after VMCLEAR. */
  loadedOn: PhysicalCpu | undefined;
  /** Virtual time of the last VMCLEAR that another CPU asked for. */
  clearedAt = 0;
  readonly vmcs: HostPhysicalAddress;
  /** The VMCS has been entered since it was cleared: VMRESUME instead of VMLAUNCH. */
  launched = false;

  /** Bits of `REQUEST`. */
  requests = 0;
  mpState: MultiprocessorState = 'runnable';
  /** Vector of the start-up message that the vCPU was sent. */
  startupVector = 0;
  /** Puts the vCPU where a start-up message says: code at guest-physical `vector` << 12. Set by what builds the machine. */
  startAt: (vector: number) => void = () => {};
  /** The run loop is past its last look at what was requested, or the guest runs (vcpu->guest_mode). */
  guestMode = false;
  /** Guest code is running, or the simulation paused while it was: its registers are in the CPU. */
  inGuest = false;
  /** An interrupt is on its way to the CPU that the guest runs on (KVM_REQ_KICK). */
  private kicked = false;
  /** Halted with interrupts off: only an NMI or INIT could wake it. */
  haltedForGood = false;
  exception: PendingException | undefined;
  /** An interrupt whose injection has begun and is to be completed. */
  injectedInterrupt: InjectedInterrupt | undefined;
  nmiPending = false;
  nmiInjected = false;
  /** User space asked to be told when the guest can take an interrupt. */
  requestInterruptWindow = false;

  /** Time for the vCPU's timers. */
  readonly clock: VcpuClock;
  /** How long it looks for interrupts before it sleeps. */
  readonly haltPolling: HaltPolling;
  /** Bits of `RULE`. */
  readonly rules: number;
  /** The vCPU as a user of slots and buses. */
  readonly slotsReader: SlotsReader;
  /** What VT-x support keeps for this vCPU (struct vcpu_vmx). */
  readonly vmx: VmxState;

  /** The guest's FPU registers may be in the CPU (fpu_active), and are there now (guest_fpu_loaded). */
  fpuActive = false;
  guestFpuLoaded = false;
  readonly guestFpu = new Uint8Array(512);
  /** Image of the host task's registers while the guest's are loaded. */
  readonly hostFpu = new Uint8Array(512);

  /** KVM_SET_CPUID2. */
  cpuidEntries: readonly CpuidEntry[] = [];
  private connectedEmulator: Emulator | undefined;
  private interruptController: VcpuInterrupts | undefined;
  /** The exit that is being handled, for observers. */
  readonly tracker: ExitTracker;
  /** What to do with user space's answer to a read, at the start of the next KVM_RUN. */
  completeAccess: ((answer: UserSpaceAnswer) => KvmExit | undefined) | undefined;
  answer: UserSpaceAnswer | undefined;

  /** Wakes the vCPU's thread when it blocks in HLT; set by the thread. */
  wake: () => void = () => {};
  /** Marks that a signal waits for the vCPU's thread; set by the thread. */
  markSignal: () => void = () => {};

  constructor(id: number, vm: Vm, hostCpu: HostCpu, vmcs: HostPhysicalAddress) {
    super(hostCpu);
    this.id = id;
    this.vpid = vm.vmx.allocateVpid();
    this.vm = vm;
    this.vmcs = vmcs;
    this.vmx = new VmxState(vm.policies.syscallMsrs);
    this.tracker = new ExitTracker(id, vm);
    this.rules = runLoopRules(vm.policies);
    this.slotsReader = vm.slotsProtection.addReader(`vCPU ${id}`);
    this.clock = new VcpuClock(this, vm.host.costModel.clockInHertz);
    this.haltPolling = new HaltPolling(vm.policies.haltPolling, vm.host.costModel.clockInHertz);
  }

  get interrupts(): VcpuInterrupts {
    if (this.interruptController === undefined)
      throw new Error(`vCPU ${this.id} has no interrupt controller`);
    return this.interruptController;
  }
  get emulator(): Emulator {
    if (this.connectedEmulator === undefined) throw new Error(`vCPU ${this.id} has no emulator`);
    return this.connectedEmulator;
  }
  connectEmulator(emulator: Emulator): void {
    this.connectedEmulator = emulator;
  }
  connectInterrupts(controller: VcpuInterrupts): void {
    this.interruptController = controller;
  }

  entered(): void {
    this.inGuest = true;
    this.tracker.finish(this.cpu);
  }
  left(reason: number): void {
    this.inGuest = false;
    this.kicked = false;
    this.vm.statistics.exits++;
    this.tracker.begin(this.cpu, reason);
  }

  charge(operation: OperationNumber, times = 1): void {
    this.cpu.charge(operation, times);
  }

  // Requests and events

  writeRflags(value: number): void {
    // The guest may take interrupts now.
    this.makeRequest(REQUEST.EVENT);
    this.cpu.vmwriteNumber(VMCS.GUEST_RFLAGS, value);
  }

  makeRequest(request: number): void {
    this.requests |= request;
  }
  /** Test and clear. */
  checkRequest(request: number): boolean {
    if ((this.requests & request) === 0) return false;
    this.requests &= ~request;
    return true;
  }

  /** Queues an exception for the next entry (kvm_queue_exception); two of them become #DF, three a shutdown. */
  injectException(vector: number, errorCode?: number): void {
    const first = this.exception?.vector;
    this.makeRequest(REQUEST.EVENT);
    if (first === VECTOR.DF) {
      this.exception = undefined;
      this.makeRequest(REQUEST.TRIPLE_FAULT);
    } else if (first !== undefined && makesDoubleFault(first, vector)) {
      this.exception = { vector: VECTOR.DF, errorCode: 0 };
    } else this.exception = { vector, errorCode };
  }
  /** Queues #PF with its linear address (kvm_inject_page_fault). */
  injectPageFault(linearAddress: bigint, errorCode: number): void {
    this.cr2 = linearAddress;
    this.injectException(VECTOR.PF, errorCode);
  }

  /** An interrupt was requested: wakes the vCPU, or makes it look again before its next entry. */
  kick(): void {
    this.makeRequest(REQUEST.EVENT);
    this.leaveGuest();
  }

  /** Sends a signal to the vCPU's thread. */
  signal(): void {
    this.markSignal();
    this.leaveGuest();
  }

  /** kvm_vcpu_kick: wakes the vCPU where it sleeps, and makes it leave the guest where it runs on another CPU. */
  leaveGuest(): void {
    this.wake();
    if (!this.guestMode || this.kicked) return;
    const { scheduler } = this.vm.host;
    if (scheduler.executingCpu.cpu === this.cpu) return;
    this.kicked = true;
    scheduler.sendReschedule(this.hostCpu);
  }

  /** An interrupt was posted for the vCPU (kvm_vcpu_trigger_posted_interrupt). */
  notifyPosted(): void {
    const { scheduler } = this.vm.host;
    if (!this.guestMode) this.kick();
    else if (scheduler.executingCpu.cpu !== this.cpu) scheduler.sendNotification(this.hostCpu);
  }

  /** An INIT message came (APIC_DM_INIT of __apic_accept_irq). */
  init(): void {
    this.mpState = 'init-received';
    this.leaveGuest();
  }

  /** A start-up message came; it counts only after INIT. */
  startup(vector: number): void {
    if (this.mpState !== 'init-received') return;
    this.startupVector = vector;
    this.mpState = 'sipi-received';
    this.leaveGuest();
  }
}
