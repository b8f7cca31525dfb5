/**
 * A virtual CPU (struct kvm_vcpu): its registers as the kernel holds them, what is pending for it, and access to
 * the rest of its state through the VMCS. Every VMREAD and VMWRITE is charged to the physical CPU that it runs on.
 */

import { CR0, EFER } from '../architecture/control-registers.js';
import { GPR, SEGMENT, type SegmentNumber } from '../architecture/registers.js';
import { VECTOR } from '../architecture/vectors.js';
import { INTERRUPTIBILITY } from '../architecture/vmx/guest-state.js';
import { VMCS } from '../architecture/vmx/vmcs-fields.js';
import { pairValue, setPair, wordPair } from '../bits/word-pair.js';
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

/** Registers that live in the VMCS and are read only when somebody asks (VCPU_REGS_RIP, VCPU_REGS_RSP). */
const CACHED = { RIP: 1, RSP: 2 } as const;

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

/** A segment register as the VMCS holds it; access rights in VMCS format. */
export interface VcpuSegment {
  selector: number;
  base: bigint;
  limit: number;
  accessRights: number;
}

/** Whether a vCPU executes, and what else it waits for (KVM_MP_STATE_…). */
export type MultiprocessorState = 'runnable' | 'halted' | 'uninitialized' | 'init-received' | 'sipi-received';

export class Vcpu implements CostSink, GuestContext {
  readonly id: number;
  /** Tags the vCPU's translations in every CPU's TLB: unique in the host, never 0 (allocate_vpid). */
  readonly vpid: number;
  readonly vm: Vm;
  /** The physical CPU that the vCPU's thread runs on, or ran on last. */
  cpu: PhysicalCpu;
  /** The host kernel's data of that CPU. */
  hostCpu: HostCpu;
  /** The physical CPU whose hardware may hold state of this VMCS, undefined after VMCLEAR. */
  loadedOn: PhysicalCpu | undefined;
  /** Virtual time of the last VMCLEAR that another CPU asked for. */
  clearedAt = 0;
  readonly vmcs: HostPhysicalAddress;
  /** The VMCS has been entered since it was cleared: VMRESUME instead of VMLAUNCH. */
  launched = false;

  /** General-purpose registers by number; RSP is valid only while cached: use `readRegister`. */
  readonly registers = new BigUint64Array(16);
  /** The same storage as 32-bit words. */
  readonly registerWords = new Int32Array(this.registers.buffer);
  private readonly ripWords = wordPair();
  private available = 0;
  private dirty = 0;

  /** Guest-visible control registers and EFER as KVM knows them; 32-bit numbers. */
  cr0 = 0;
  readonly cr2Words = wordPair();
  /** CR3 as a number: this era has no process-context identifiers that would need bit 63. */
  cr3Bits = 0;
  /** False while the guest may have changed CR3 since it was read from the VMCS. */
  cr3Known = true;
  cr4 = 0;
  efer = 0;

  /** DR0 … DR7. */
  readonly debugRegisters = [0n, 0n, 0n, 0n, 0n, 0n, 0xffff0ff0n, 0x400n];

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
    this.id = id;
    this.vpid = vm.vmx.allocateVpid();
    this.vm = vm;
    this.hostCpu = hostCpu;
    this.cpu = hostCpu.cpu;
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

  get cr2(): bigint {
    return pairValue(this.cr2Words);
  }
  set cr2(value: bigint) {
    setPair(this.cr2Words, value);
  }
  get cr3(): bigint {
    if (!this.cr3Known) {
      this.cr3Bits = this.cpu.vmreadNumber(VMCS.GUEST_CR3);
      this.cr3Known = true;
    }
    return BigInt(this.cr3Bits);
  }
  get pagingEnabled(): boolean {
    return (this.cr0 & CR0.PG) !== 0;
  }
  get longModeActive(): boolean {
    return (this.efer & EFER.LMA) !== 0;
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

  // Registers (kvm_register_read, kvm_register_write, kvm_rip_read)

  /** 64-bit value of a general-purpose register; RSP costs a VMREAD the first time after an exit. */
  readRegister(number: number): bigint {
    if (number === GPR.RSP && (this.available & CACHED.RSP) === 0) {
      this.registers[GPR.RSP] = this.cpu.vmread(VMCS.GUEST_RSP);
      this.available |= CACHED.RSP;
    }
    return this.registers[number]!;
  }

  /** Value is taken modulo 2^64. RSP goes to the VMCS at the next entry. */
  writeRegister(number: number, value: bigint): void {
    this.registers[number] = value;
    if (number === GPR.RSP) {
      this.available |= CACHED.RSP;
      this.dirty |= CACHED.RSP;
    }
  }

  get rip(): bigint {
    this.cacheRip();
    return pairValue(this.ripWords);
  }

  set rip(value: bigint) {
    setPair(this.ripWords, value);
    this.available |= CACHED.RIP;
    this.dirty |= CACHED.RIP;
  }

  private cacheRip(): void {
    if ((this.available & CACHED.RIP) !== 0) return;
    this.cpu.vmreadWords(VMCS.GUEST_RIP, this.ripWords);
    this.available |= CACHED.RIP;
  }

  /** Writes RIP and RSP to the VMCS where they were changed (start of vmx_vcpu_run). */
  flushDirtyRegisters(): void {
    if ((this.dirty & CACHED.RSP) !== 0) this.cpu.vmwrite(VMCS.GUEST_RSP, this.registers[GPR.RSP]!);
    if ((this.dirty & CACHED.RIP) !== 0) this.cpu.vmwriteWords(VMCS.GUEST_RIP, this.ripWords);
    this.dirty = 0;
  }

  /** After a VM exit: RIP and RSP are in the VMCS only (end of vmx_vcpu_run). */
  forgetCachedRegisters(): void {
    this.available = 0;
    this.dirty = 0;
  }

  /** For observers: what `work` reads from the VMCS is not known afterwards, so that host code pays for it as ever. */
  observe<Result>(work: () => Result): Result {
    const { available, cr3Known } = this;
    const result = work();
    this.available = available;
    this.cr3Known = cr3Known;
    return result;
  }

  // State that stays in the VMCS

  readRflags(): number {
    return this.cpu.vmreadNumber(VMCS.GUEST_RFLAGS);
  }
  writeRflags(value: number): void {
    // The guest may take interrupts now.
    this.makeRequest(REQUEST.EVENT);
    this.cpu.vmwriteNumber(VMCS.GUEST_RFLAGS, value);
  }

  /** Ends the blocking of interrupts by STI or MOV SS, as every completed instruction does. */
  clearInterruptShadow(): void {
    const state = this.cpu.vmreadNumber(VMCS.GUEST_INTERRUPTIBILITY_STATE);
    const blocking = INTERRUPTIBILITY.BLOCKING_BY_STI | INTERRUPTIBILITY.BLOCKING_BY_MOV_SS;
    if ((state & blocking) !== 0)
      this.cpu.vmwriteNumber(VMCS.GUEST_INTERRUPTIBILITY_STATE, state & ~blocking);
  }

  /** Sets RIP after the exiting instruction (skip_emulated_instruction). */
  skipInstruction(): void {
    this.cacheRip();
    const low = (this.ripWords[0]! >>> 0) + this.cpu.vmreadNumber(VMCS.VM_EXIT_INSTRUCTION_LENGTH);
    this.ripWords[0] = low;
    if (low > 0xffffffff) this.ripWords[1]!++;
    this.dirty |= CACHED.RIP;
    this.clearInterruptShadow();
  }

  segmentBase(segment: SegmentNumber): bigint {
    return this.cpu.vmread(VMCS.GUEST_ES_BASE + segment * 2);
  }
  segmentAccessRights(segment: SegmentNumber): number {
    return this.cpu.vmreadNumber(VMCS.GUEST_ES_ACCESS_RIGHTS + segment * 2);
  }
  readSegment(segment: SegmentNumber): VcpuSegment {
    const { cpu } = this;
    return {
      base: cpu.vmread(VMCS.GUEST_ES_BASE + segment * 2),
      limit: cpu.vmreadNumber(VMCS.GUEST_ES_LIMIT + segment * 2),
      selector: cpu.vmreadNumber(VMCS.GUEST_ES_SELECTOR + segment * 2),
      accessRights: cpu.vmreadNumber(VMCS.GUEST_ES_ACCESS_RIGHTS + segment * 2),
    };
  }
  writeSegment(segment: SegmentNumber, value: VcpuSegment): void {
    const { cpu } = this;
    cpu.vmwrite(VMCS.GUEST_ES_BASE + segment * 2, value.base);
    cpu.vmwriteNumber(VMCS.GUEST_ES_LIMIT + segment * 2, value.limit);
    cpu.vmwriteNumber(VMCS.GUEST_ES_SELECTOR + segment * 2, value.selector);
    cpu.vmwriteNumber(VMCS.GUEST_ES_ACCESS_RIGHTS + segment * 2, value.accessRights);
  }

  /** Current privilege level: DPL of SS, one VMREAD. */
  readPrivilegeLevel(): number {
    return (this.segmentAccessRights(SEGMENT.SS) >> 5) & 3;
  }

  /** TSC_OFFSET, of which KVM keeps a copy in memory. Its VMCS must be current. */
  tscOffset(): bigint {
    return this.cpu.peekVmcs(VMCS.TSC_OFFSET);
  }

  // Requests and events

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
