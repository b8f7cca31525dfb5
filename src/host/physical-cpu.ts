/**
 * A physical CPU of the simulated host: the only door between the hypervisor layer and the hardware. Each method is
 * one instruction of host kernel code: it acts on the processor's state and charges its cost.
 */

import { CR0 } from '../architecture/control-registers.js';
import { GPR, SEGMENT } from '../architecture/registers.js';
import { VMCS } from '../architecture/vmx/vmcs-fields.js';
import type { HostPhysicalAddress } from '../memory/addresses.js';
import type { CpuidResult } from '../processor/core.js';
import { SEGMENT_FIELD, SEGMENT_STRIDE, STATE } from '../processor/state/layout.js';
import type { ProcessorState } from '../processor/state/processor-state.js';
import { operation } from './cost/operations.js';
import { CpuClock } from './cpu-clock.js';
import type { HardwareProcessor, VmxHardware } from './hardware.js';
import { type LedgerAccount, NO_EXIT } from './ledger.js';
import {
  hardwareMsrEquals,
  readHardwareMsr,
  readHardwareMsrWords,
  writeHardwareMsr,
  writeHardwareMsrWords,
} from './model-specific-registers.js';
import { STAGE } from './stages.js';

const OP = {
  VM_EXIT: operation('VM exit'),
  VM_ENTRY: operation('VM entry'),
  VMREAD: operation('VMREAD'),
  VMWRITE: operation('VMWRITE'),
  VMPTRLD: operation('VMPTRLD'),
  VMCLEAR: operation('VMCLEAR'),
  INVEPT: operation('INVEPT'),
  INVVPID: operation('INVVPID'),
  RDMSR: operation('RDMSR'),
  WRMSR: operation('WRMSR'),
  MOV_FROM_CR: operation('MOV from CR'),
  MOV_TO_CR0: operation('MOV to CR0'),
  MOV_TO_CR2: operation('MOV to CR2'),
  CLTS: operation('CLTS'),
  FXSAVE: operation('FXSAVE'),
  FXRSTOR: operation('FXRSTOR'),
  LTR: operation('LTR'),
  LGDT: operation('LGDT'),
  LLDT: operation('LLDT'),
  SLDT: operation('SLDT'),
  READ_SEGMENT: operation('read segment register'),
  LOAD_SEGMENT: operation('load segment register'),
  SWAPGS: operation('SWAPGS'),
  RDTSC: operation('RDTSC'),
  CPUID: operation('CPUID'),
  SAVE_GPRS: operation('save guest GPRs'),
  LOAD_GPRS: operation('load guest GPRs'),
  HOST_NM: operation('host #NM'),
  GUEST_CODE: operation('guest code'),
} as const;

const FXSAVE_SIZE = 512;
const GS_BASE_WORD = (STATE.SEGMENTS + SEGMENT.GS * SEGMENT_STRIDE + SEGMENT_FIELD.BASE) >> 2;
const KERNEL_GS_BASE_WORD = STATE.KERNEL_GS_BASE >> 2;
const RSP_WORD = GPR.RSP * 2;

/** Descriptor facts of the host kernel on this CPU that instructions reload. */
export interface HostDescriptors {
  readonly tssSelector: number;
  readonly tssBase: bigint;
  readonly tssLimit: number;
  readonly gdtBase: bigint;
  readonly gdtLimit: number;
}

/** The guest that a CPU runs, as far as the transition concerns it. */
export interface GuestContext {
  /** GPRs: 16 × 64 bits as 32-bit words. */
  readonly registerWords: Int32Array;
  /** VM entry is complete, guest code comes next. */
  entered(): void;
  /** Guest code has ended with a VM exit of this basic reason; nothing of the exit has been charged yet. */
  left(reason: number): void;
}

/** Why guest code stopped running. */
export type GuestStop = 'vm-exit' | 'paused';

export class PhysicalCpu extends CpuClock {
  readonly descriptors: HostDescriptors;
  /** The host kernel's #NM handler (math_state_restore). */
  onDeviceNotAvailable: () => void = () => {
    throw new Error('host #NM without a handler');
  };
  /** The VMCS that is current on this CPU (per_cpu(current_vmcs)). */
  currentVmcs: HostPhysicalAddress | undefined;

  private readonly state: ProcessorState;
  private readonly vmx: VmxHardware;
  /** The processor's block, and the GPRs in it, as 32-bit words. */
  private readonly stateWords: Int32Array;
  private readonly registerWords: Int32Array;
  private readonly fpuImage: Uint8Array;
  /** The FPU registers as 32-bit words, for comparisons. */
  readonly fpuWords: Int32Array;
  private readonly runLimits = { cycles: 0, instructions: 0 };

  constructor(options: {
    number: number;
    processor: HardwareProcessor;
    vmx: VmxHardware;
    /** Cycles by operation number (`compileCosts`). */
    costs: Float64Array;
    descriptors: HostDescriptors;
    /** Pays for host work that no thread causes. */
    idleAccount: LedgerAccount;
  }) {
    super(options.number, options.processor, options.costs, options.idleAccount);
    this.vmx = options.vmx;
    this.descriptors = options.descriptors;
    this.state = options.processor.state;
    const { bytes } = this.state;
    this.stateWords = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
    this.registerWords = this.stateWords.subarray(STATE.GPR / 4, STATE.GPR / 4 + 32);
    this.fpuImage = bytes.subarray(STATE.FXSAVE_IMAGE, STATE.FXSAVE_IMAGE + FXSAVE_SIZE);
    this.fpuWords = this.stateWords.subarray(STATE.FXSAVE_IMAGE / 4, (STATE.FXSAVE_IMAGE + FXSAVE_SIZE) / 4);
  }

  // Model-specific and control registers

  rdmsr(index: number): bigint {
    this.charge(OP.RDMSR);
    return readHardwareMsr(this.processor, index);
  }

  wrmsr(index: number, value: bigint): void {
    this.charge(OP.WRMSR);
    writeHardwareMsr(this.processor, index, value);
  }

  /** RDMSR and WRMSR with the value as two 32-bit words, low one first. */
  rdmsrWords(index: number, words: Int32Array): void {
    this.charge(OP.RDMSR);
    readHardwareMsrWords(this.processor, index, words);
  }
  wrmsrWords(index: number, words: Int32Array): void {
    this.charge(OP.WRMSR);
    writeHardwareMsrWords(this.processor, index, words);
  }

  /** The MSR's value, without executing anything: for assertions and observers. */
  peekMsr(index: number): bigint {
    return readHardwareMsr(this.processor, index);
  }
  /** Whether the MSR holds these two words, without executing anything. */
  msrHolds(index: number, words: Int32Array): boolean {
    return hardwareMsrEquals(this.processor, index, words);
  }

  rdtsc(): number {
    this.charge(OP.RDTSC);
    return this.now;
  }

  cpuid(leaf: number, subleaf: number): CpuidResult {
    this.charge(OP.CPUID);
    return this.processor.cpuid(leaf, subleaf);
  }

  readCr0(): number {
    this.charge(OP.MOV_FROM_CR);
    return this.state.cr0;
  }

  peekCr0(): number {
    return this.state.cr0;
  }

  readCr3(): bigint {
    this.charge(OP.MOV_FROM_CR);
    return this.state.cr3;
  }

  readCr4(): number {
    this.charge(OP.MOV_FROM_CR);
    return this.state.cr4;
  }

  /** MOV from CR2 to memory: two 32-bit words, low one first. */
  readCr2(words: Int32Array): void {
    this.charge(OP.MOV_FROM_CR);
    words[0] = this.stateWords[STATE.CR2 / 4]!;
    words[1] = this.stateWords[STATE.CR2 / 4 + 1]!;
  }

  /** MOV from CR2 and a comparison with memory. */
  cr2Equals(words: Int32Array): boolean {
    this.charge(OP.MOV_FROM_CR);
    return this.stateWords[STATE.CR2 / 4] === words[0] && this.stateWords[STATE.CR2 / 4 + 1] === words[1];
  }

  writeCr2(value: bigint): void {
    this.charge(OP.MOV_TO_CR2);
    this.state.cr2 = value;
  }

  /** Sets CR0.TS: MOV from CR0, OR, MOV to CR0. */
  stts(): void {
    this.charge(OP.MOV_FROM_CR);
    this.charge(OP.MOV_TO_CR0);
    this.state.cr0 |= CR0.TS;
  }

  clts(): void {
    this.charge(OP.CLTS);
    this.state.cr0 &= ~CR0.TS;
  }

  // FPU

  /** FXSAVE to `area` (512 bytes). With CR0.TS = 1 the host's #NM handler runs first. */
  fxsave(area: Uint8Array): void {
    this.deviceAvailable();
    this.charge(OP.FXSAVE);
    area.set(this.fpuRegisters());
  }

  fxrstor(area: Uint8Array): void {
    this.deviceAvailable();
    this.charge(OP.FXRSTOR);
    this.fpuRegisters().set(area);
  }

  /** The FXSAVE image of the registers as they are, for assertions. A view, not a copy. */
  fpuRegisters(): Uint8Array {
    return this.fpuImage;
  }

  private deviceAvailable(): void {
    if ((this.state.cr0 & CR0.TS) === 0) return;
    this.charge(OP.HOST_NM);
    this.onDeviceNotAvailable();
  }

  // Segments and descriptor tables

  sldt(): number {
    this.charge(OP.SLDT);
    return this.state.segment(SEGMENT.LDTR).selector;
  }

  /** Only the null selector is used by the host. */
  lldt(selector: number): void {
    this.charge(OP.LLDT);
    this.state.segment(SEGMENT.LDTR).selector = selector;
  }

  /** Reloads TR from the host's GDT, and with it the limit that a VM exit leaves at 0x67. */
  ltr(): void {
    this.charge(OP.LTR);
    const register = this.state.segment(SEGMENT.TR);
    register.selector = this.descriptors.tssSelector;
    register.base = this.descriptors.tssBase;
    register.limit = this.descriptors.tssLimit;
  }

  /** Reloads GDTR, whose limit a VM exit leaves at 0xffff. */
  lgdt(): void {
    this.charge(OP.LGDT);
    this.state.write64(STATE.GDTR_BASE, this.descriptors.gdtBase);
    this.state.write32(STATE.GDTR_LIMIT, this.descriptors.gdtLimit);
  }

  /** Base of the interrupt descriptor table, as SIDT stores it. */
  interruptTableBase(): bigint {
    return this.state.read64(STATE.IDTR_BASE);
  }

  readSegment(number: number): number {
    this.charge(OP.READ_SEGMENT);
    return this.state.segment(number).selector;
  }

  /** MOV to a data segment register in 64-bit mode; a null selector clears the base of FS and GS. */
  loadSegment(number: number, selector: number): void {
    this.charge(OP.LOAD_SEGMENT);
    const register = this.state.segment(number);
    register.selector = selector;
    if ((selector & ~3) === 0) register.base = 0n;
  }

  swapgs(): void {
    this.charge(OP.SWAPGS);
    const words = this.stateWords;
    for (let half = 0; half < 2; half++) {
      const base = words[GS_BASE_WORD + half]!;
      words[GS_BASE_WORD + half] = words[KERNEL_GS_BASE_WORD + half]!;
      words[KERNEL_GS_BASE_WORD + half] = base;
    }
  }

  // VT-x

  vmread(field: number): bigint {
    this.charge(OP.VMREAD);
    return this.vmx.vmread(field);
  }

  /** VMREAD of a field of at most 53 bits, as a number. */
  vmreadNumber(field: number): number {
    this.charge(OP.VMREAD);
    return this.vmx.vmreadNumber(field);
  }

  vmwrite(field: number, value: bigint): void {
    this.charge(OP.VMWRITE);
    this.vmx.vmwrite(field, value);
  }

  vmwriteNumber(field: number, value: number): void {
    this.charge(OP.VMWRITE);
    this.vmx.vmwriteNumber(field, value);
  }

  /** VMREAD and VMWRITE of a field of 64 bits as two 32-bit words, low one first. */
  vmreadWords(field: number, words: Int32Array): void {
    this.charge(OP.VMREAD);
    this.vmx.vmreadWords(field, words);
  }

  vmwriteWords(field: number, words: Int32Array): void {
    this.charge(OP.VMWRITE);
    this.vmx.vmwriteWords(field, words);
  }

  /** Reads a field without executing anything: for observers. */
  peekVmcs(field: number): bigint {
    return this.vmx.vmread(field);
  }

  vmxon(region: HostPhysicalAddress): void {
    this.vmx.vmxon(region);
  }

  vmclear(region: HostPhysicalAddress): void {
    this.charge(OP.VMCLEAR);
    this.vmx.vmclear(region);
    if (this.currentVmcs === region) this.currentVmcs = undefined;
  }

  vmptrld(region: HostPhysicalAddress): void {
    this.charge(OP.VMPTRLD);
    this.vmx.vmptrld(region);
    this.currentVmcs = region;
  }

  invept(type: number, eptPointer: bigint): void {
    this.charge(OP.INVEPT);
    this.vmx.invept(type, eptPointer);
  }

  invvpid(type: number, vpid: number, linearAddress: bigint): void {
    this.charge(OP.INVVPID);
    this.vmx.invvpid(type, vpid, linearAddress);
  }

  /**
   * Loads the guest's GPRs (RSP is in the VMCS) and executes VMLAUNCH or VMRESUME, then runs guest code until a VM exit
   * or until the simulation wants to pause.
   */
  enterGuest(guest: GuestContext, launched: boolean): GuestStop {
    this.charge(OP.LOAD_GPRS);
    copyRegisters(guest.registerWords, this.registerWords);
    this.account.setStage(STAGE.BACK_IN_GUEST);
    // The VMX-preemption timer is started early in VM entry, and may expire during it (SDM Vol. 3C, 26.7.4).
    const entered = launched ? this.vmx.vmresume() : this.vmx.vmlaunch();
    this.charge(OP.VM_ENTRY);
    guest.entered();
    this.quiescentStates++;
    return entered ? this.runGuest(guest) : this.leaveGuest(guest);
  }

  /** Goes on with guest code after `enterGuest` or `runGuest` paused. */
  runGuest(guest: GuestContext): GuestStop {
    const { processor, account } = this;
    account.setReason(NO_EXIT);
    account.setStage(STAGE.GUEST);
    for (;;) {
      const before = processor.timeStampCounter;
      const end = Math.min(this.horizon, this.stopTime);
      if (before >= end || this.instructionBudget <= 0) {
        this.cutShort = before < this.horizon;
        return 'paused';
      }
      const instructionsBefore = processor.instructionsRetired;
      // At least one cycle: an interrupt that is due is taken before the first instruction.
      this.runLimits.cycles = Math.max(1, Math.min(this.events.nextTime, end) - before);
      this.runLimits.instructions = this.instructionBudget;
      const stop = processor.run(this.runLimits);
      const instructions = processor.instructionsRetired - instructionsBefore;
      this.instructionBudget -= instructions;
      account.add(OP.GUEST_CODE, instructions, processor.timeStampCounter - before);
      if (stop.kind === 'vm-exit') return this.leaveGuest(guest);
      if (stop.kind !== 'budget')
        throw new Error(`the processor stopped with "${stop.kind}" in VMX non-root operation`);
    }
  }

  private leaveGuest(guest: GuestContext): 'vm-exit' {
    const { account } = this;
    this.instructionBudget--;
    const reason = this.vmx.vmreadNumber(VMCS.EXIT_REASON) & 0xffff;
    guest.left(reason);
    account.setReason(reason);
    account.setStage(STAGE.HOST_ACQUIRES_CONTROL);
    this.charge(OP.VM_EXIT);
    account.setStage(STAGE.EXIT_HANDLER);
    this.charge(OP.SAVE_GPRS);
    copyRegisters(this.registerWords, guest.registerWords);
    return 'vm-exit';
  }
}

/** All GPRs but RSP, which VM entry and exit themselves switch. One call for all is twice as fast as word by word. */
function copyRegisters(from: Int32Array, to: Int32Array): void {
  const low = to[RSP_WORD]!;
  const high = to[RSP_WORD + 1]!;
  to.set(from);
  to[RSP_WORD] = low;
  to[RSP_WORD + 1] = high;
}
