/**
 * What the parts of the processor see of each other: system instructions, events, paging and the engine are
 * written against `ProcessorCore`; the class `Processor` implements it.
 */

import type { Instruction } from '../instruction-set/instruction.js';
import type { GuestPhysicalAddress, HostPhysicalAddress, LinearAddress } from '../memory/addresses.js';
import type { PhysicalMemory } from '../memory/physical-memory.js';
import type { ProcessorState } from './state/processor-state.js';

/** What an access is for; decides permissions and error codes. */
export type Access = 'read' | 'write' | 'fetch';

/** A fault of the running code: thrown by functions of type `never`, caught by the step loop only. */
export class GuestFault {
  readonly vector: number;
  readonly errorCode: number | undefined;
  /** For #PF: the linear address that goes to CR2. */
  readonly linearAddress: LinearAddress | undefined;
  constructor(vector: number, errorCode?: number, linearAddress?: LinearAddress) {
    this.vector = vector;
    this.errorCode = errorCode;
    this.linearAddress = linearAddress;
  }
}

/**
 * A VM exit found deep inside an access (EPT violation, APIC access, …): thrown there, caught by the step loop,
 * which puts the processor at the start of the instruction and hands it to `Intercepts.exit`.
 */
export class VmExitSignal {
  /** Basic exit reason (SDM Vol. 3D, Appendix C). */
  readonly reason: number;
  readonly qualification: bigint;
  readonly guestPhysicalAddress: number | undefined;
  readonly guestLinearAddress: LinearAddress | undefined;
  constructor(
    reason: number,
    qualification: bigint,
    guestPhysicalAddress?: number,
    guestLinearAddress?: LinearAddress,
  ) {
    this.reason = reason;
    this.qualification = qualification;
    this.guestPhysicalAddress = guestPhysicalAddress;
    this.guestLinearAddress = guestLinearAddress;
  }
}

export type EventType =
  | 'external-interrupt'
  | 'nmi'
  | 'hardware-exception'
  | 'software-interrupt' // INT n
  | 'privileged-software-exception' // INT1
  | 'software-exception'; // INT3, INTO

/** An event on its way through the IDT. */
export interface ProcessorEvent {
  readonly type: EventType;
  readonly vector: number;
  readonly errorCode: number | undefined;
  /** For software events: length of the instruction, added to RIP before it is pushed. */
  readonly instructionLength: number;
  /** For #PF: value for CR2. For #DB: bits for DR6. */
  readonly payload: bigint | undefined;
}

/** What became of an instruction that runs in TypeScript. */
export const OUTCOME = {
  /** Go on with the next instruction: the step loop advances RIP by the instruction's length. */
  NEXT: 0,
  /** RIP has been set by the instruction. */
  JUMPED: 1,
  /** A VM exit took place: the processor is in VMX root operation with the host state loaded. */
  EXITED: 2,
  /** HLT outside of interception: RIP is to be advanced, the processor waits for an interrupt. */
  HALTED: 3,
  /** A repeated string instruction did one iteration: RIP stays, interrupts may come in between. */
  AGAIN: 4,
  /** A triple fault outside of VMX non-root operation: the processor stands still until it is reset. */
  SHUTDOWN: 5,
} as const;
export type Outcome = (typeof OUTCOME)[keyof typeof OUTCOME];

/** An instruction executed in TypeScript. Faults are thrown as `GuestFault`. */
export type SystemInstruction = (core: ProcessorCore, instruction: Instruction) => Outcome;

/** Port I/O; values are unsigned, sizes 1, 2 or 4 bytes. */
export interface PortBus {
  read(port: number, size: number): number;
  write(port: number, size: number, value: number): void;
}

/** Physical addresses that are not RAM. `size` is 1 … 8 bytes. */
export interface MmioBus {
  read(address: HostPhysicalAddress, size: number): bigint;
  write(address: HostPhysicalAddress, size: number, value: bigint): void;
}

/** The interrupt input of the processor (its local APIC). */
export interface InterruptSource {
  /** True when an external interrupt is waiting to be taken. */
  pending(): boolean;
  /** Acknowledges it and returns the vector. */
  acknowledge(): number;
  /** The task priority that CR8 shows (0 … 15); without it CR8 is a register of its own. */
  readonly taskPriority?: { read(): number; write(priorityClass: number): void };
}

/** Model-specific registers that belong to a device beside the processor: x2APIC, TSC deadline, … */
export interface MsrDevice {
  /** Undefined when `index` is not one of the device's registers. */
  read(index: number): bigint | undefined;
  /** False when `index` is not one of the device's registers. Bad values are thrown as `GuestFault`. */
  write(index: number, value: bigint): boolean;
}

/** The result of CPUID for a leaf. Unsigned 32-bit numbers. */
export interface CpuidResult {
  readonly eax: number;
  readonly ebx: number;
  readonly ecx: number;
  readonly edx: number;
}

export type CpuidSource = (leaf: number, subleaf: number) => CpuidResult;

/**
 * The face of VMX non-root operation towards the processor. Null on the processor outside of it. Methods that
 * return a boolean answer "did a VM exit take place?"; when true, the processor is already in root operation with the
 * host state loaded and the caller must stop at once with OUTCOME.EXITED.
 * RIP is the address of the instruction when these are called; the instruction's length is passed where the exit saves it.
 */
export interface Intercepts {
  /**
   * Completes a VM exit that was thrown from within an access.
   * @param instructionLength of the instruction that made the access, undefined for a fetch or event delivery
   */
  exit(signal: VmExitSignal, instructionLength?: number): void;

  /** An exception about to be delivered (exception bitmap, page-fault mask and match). */
  exception(event: ProcessorEvent): boolean;
  /** A fault while delivering a first event became a double fault three times over. */
  tripleFault(): boolean;
  taskSwitch(selector: number, source: 'call' | 'iret' | 'jmp' | 'gate', instructionLength: number): boolean;
  /** An external interrupt is pending and could be taken (RFLAGS.IF is ignored when it exits). */
  externalInterrupt(source: InterruptSource): boolean;
  /** True when external interrupts cause exits whatever RFLAGS.IF is. */
  readonly externalInterruptExiting: boolean;
  /**
   * True while a boundary between instructions is of no interest but for external interrupts and the preemption timer: a
   * short answer to `virtualInterruptPending`, `apicWritePending`, `interruptWindowExiting` and `nmiWindowExiting`.
   */
  readonly quietAtBoundaries?: boolean;
  /** A virtual interrupt is delivered when RFLAGS.IF = 1 and nothing blocks it (virtual-interrupt delivery). */
  readonly virtualInterruptPending?: boolean;
  /** Moves it into service. @returns its vector */
  takeVirtualInterrupt?(): number;
  /** x2APIC registers that are virtualized: undefined and 'no' for all others. */
  readVirtualMsr?(index: number): bigint | undefined;
  writeVirtualMsr?(instruction: Instruction, index: number, value: bigint): 'no' | 'done' | 'exited';
  /** The instruction that is executed has written to the virtual-APIC page: `completeApicWrite` is due behind it. */
  readonly apicWritePending?: boolean;
  completeApicWrite?(): boolean;
  /** The instruction did not complete. */
  abandonApicWrite?(): void;
  /** Time-stamp counter at which the VMX-preemption timer expires; infinite while it is not active. */
  readonly preemptionDeadline?: number;
  /** Asked at the first instruction boundary from then on, whatever is blocked. */
  preemptionTimer?(): boolean;
  /** Asked at instruction boundaries when RFLAGS.IF = 1 and nothing blocks interrupts. */
  interruptWindow(): boolean;
  readonly interruptWindowExiting: boolean;
  /** Asked at instruction boundaries when nothing blocks NMIs. */
  nmiWindow(): boolean;
  readonly nmiWindowExiting: boolean;

  cpuid(instruction: Instruction): boolean;
  hlt(instruction: Instruction): boolean;
  invd(instruction: Instruction): boolean;
  wbinvd(instruction: Instruction): boolean;
  invlpg(instruction: Instruction, linearAddress: LinearAddress): boolean;
  rdtsc(instruction: Instruction): boolean;
  rdtscp(instruction: Instruction): boolean;
  /** When false, RDTSCP raises #UD ("enable RDTSCP"). */
  readonly rdtscpEnabled?: boolean;
  rdpmc(instruction: Instruction): boolean;
  monitor(instruction: Instruction): boolean;
  mwait(instruction: Instruction): boolean;
  pause(instruction: Instruction): boolean;
  xsetbv(instruction: Instruction): boolean;
  /** VMCALL, VMLAUNCH, …: always exit in non-root operation. `operandAddress` is the qualification's displacement. */
  vmxInstruction(instruction: Instruction, displacement: bigint): boolean;
  /** LGDT, LIDT, SGDT, SIDT, LLDT, LTR, SLDT, STR when descriptor-table exiting is on. */
  descriptorTable(instruction: Instruction, displacement: bigint): boolean;
  readMsr(instruction: Instruction, index: number): boolean;
  writeMsr(instruction: Instruction, index: number): boolean;
  /**
   * IN, OUT, INS, OUTS. `linearAddress` only for string forms.
   */
  io(
    instruction: Instruction,
    port: number,
    sizeInBytes: number,
    direction: 'in' | 'out',
    linearAddress: LinearAddress | undefined,
  ): boolean;
  readDebugRegister(instruction: Instruction, number: number, gpr: number): boolean;
  writeDebugRegister(instruction: Instruction, number: number, gpr: number): boolean;

  /** MOV to CR0/CR4: the value to load after guest/host mask merging, or undefined when it exited. */
  writeCr0(instruction: Instruction, value: bigint, gpr: number): bigint | undefined;
  writeCr4(instruction: Instruction, value: bigint, gpr: number): bigint | undefined;
  /** What the guest reads for CR0/CR4 under guest/host mask and read shadow. */
  visibleCr0(): bigint;
  visibleCr4(): bigint;
  writeCr3(instruction: Instruction, value: bigint, gpr: number): boolean;
  readCr3(instruction: Instruction, gpr: number): boolean;
  writeCr8(instruction: Instruction, value: bigint, gpr: number): boolean;
  readCr8(instruction: Instruction, gpr: number): boolean;
  /** CR8 under TPR shadow, undefined when the processor's own CR8 counts. */
  readonly tprShadow: { read(): bigint; write(value: bigint): boolean } | undefined;
  clts(instruction: Instruction): 'exited' | 'clear' | 'ignore';
  /** LMSW: the new low four bits of CR0, or undefined when it exited. `memoryAddress` for the memory form. */
  lmsw(
    instruction: Instruction,
    source: number,
    memoryAddress: LinearAddress | undefined,
  ): number | undefined;

  /** Added to the time-stamp counter by RDTSC, RDTSCP and RDMSR. */
  readonly tscOffset: bigint;
}

/** A translated page of guest-physical memory (EPT); thrown `VmExitSignal` when it is not allowed. */
export interface SecondLevelTranslation {
  /**
   * @param linear the linear address that led here, undefined for none
   * @param finalTranslation false while walking the guest's own page tables
   */
  translate(
    address: GuestPhysicalAddress,
    access: Access,
    linear: LinearAddress | undefined,
    finalTranslation: boolean,
  ): SecondLevelResult;
}

export interface SecondLevelResult {
  /** Host-physical address of the byte asked for. */
  readonly address: HostPhysicalAddress;
  readonly readable: boolean;
  readonly writable: boolean;
  readonly executable: boolean;
}

/** Reads and writes through segmentation-free linear addresses, with all paging checks; faults are thrown. */
export interface LinearMemory {
  /** Zero-extended value of 1 … 8 bytes. `privilege` 'system' ignores CPL (descriptor tables, TSS, IDT). */
  read(address: LinearAddress, size: number, privilege?: 'current' | 'system'): bigint;
  write(address: LinearAddress, size: number, value: bigint, privilege?: 'current' | 'system'): void;
  /** Makes sure that `size` bytes may be accessed, without accessing them. */
  probe(address: LinearAddress, size: number, access: Access, privilege?: 'current' | 'system'): void;
}

/** Address-translation caches (TLB, jump cache): what must happen when mappings change. */
export interface TranslationCaches {
  flushAll(): void;
  flushPage(address: LinearAddress): void;
  /** To be called after CR0, CR4, EFER, CPL, CS attributes, intercepts or second-level pointer changed. */
  modeChanged(): void;
}

export interface ProcessorCore {
  readonly state: ProcessorState;
  readonly memory: PhysicalMemory;
  readonly linear: LinearMemory;
  readonly caches: TranslationCaches;
  readonly ports: PortBus;
  readonly mmio: MmioBus;
  readonly cpuid: CpuidSource;
  interrupts: InterruptSource;
  /** Asked in order, before the processor's own registers. */
  readonly msrDevices?: readonly MsrDevice[];
  /** Cycles since reset: the time-stamp counter. */
  timeStampCounter: number;

  /** Non-null exactly in VMX non-root operation. */
  intercepts: Intercepts | null;
  secondLevel: SecondLevelTranslation | null;
  /** What VMX instructions do in root operation; null on a processor without VT-x. */
  vmx: VmxInstructions | null;

  /** Blocking by STI or MOV SS for one instruction boundary. */
  interruptShadow: 'none' | 'sti' | 'mov-ss';
  /** NMIs are blocked until the next IRET. */
  nmiBlocked: boolean;
  /** HLT state (activity state). */
  halted: boolean;
  /** The event whose delivery is in progress, for IDT-vectoring information. */
  eventInDelivery: ProcessorEvent | undefined;

  /** Physical address (after second-level translation) of a linear address; throws faults and exits. */
  translate(address: LinearAddress, access: Access, privilege?: 'current' | 'system'): HostPhysicalAddress;
  /** Effective linear address of the instruction's memory operand, with segment checks of `access`. */
  operandAddress(instruction: Instruction, access: Access, sizeInBytes: number): LinearAddress;
}

/**
 * VMX instructions executed by code of the processor itself in root operation. Each receives the instruction and returns
 * what became of it; VMfail is reported in RFLAGS by the implementation.
 */
export interface VmxInstructions {
  execute(core: ProcessorCore, instruction: Instruction): Outcome;
  /** Reads IA32_VMX_* capability MSRs; undefined when `index` is none of them. */
  capability(index: number): bigint | undefined;
  /** True between VMXON and VMXOFF. */
  readonly active: boolean;
}
