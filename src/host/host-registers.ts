/** The instructions of host kernel code that concern the CPU's own registers. Each acts on the processor's state and charges its cost. */

import { CR0 } from '../architecture/control-registers.js';
import { SEGMENT } from '../architecture/registers.js';
import type { CpuidResult } from '../processor/core.js';
import { SEGMENT_FIELD, SEGMENT_STRIDE, STATE } from '../processor/state/layout.js';
import type { ProcessorState } from '../processor/state/processor-state.js';
import { operation } from './cost/operations.js';
import { CpuClock } from './cpu-clock.js';
import type { HardwareProcessor } from './hardware.js';
import type { LedgerAccount } from './ledger.js';
import {
  hardwareMsrEquals,
  readHardwareMsr,
  readHardwareMsrWords,
  writeHardwareMsr,
  writeHardwareMsrWords,
} from './model-specific-registers.js';

const OP = {
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
  HOST_NM: operation('host #NM'),
} as const;

const FXSAVE_SIZE = 512;
const GS_BASE_WORD = (STATE.SEGMENTS + SEGMENT.GS * SEGMENT_STRIDE + SEGMENT_FIELD.BASE) >> 2;
const KERNEL_GS_BASE_WORD = STATE.KERNEL_GS_BASE >> 2;

/** Descriptor facts of the host kernel on this CPU that instructions reload. */
export interface HostDescriptors {
  readonly tssSelector: number;
  readonly tssBase: bigint;
  readonly tssLimit: number;
  readonly gdtBase: bigint;
  readonly gdtLimit: number;
}

export interface CpuOptions {
  readonly number: number;
  readonly processor: HardwareProcessor;
  /** Cycles by operation number (`compileCosts`). */
  readonly costs: Float64Array;
  readonly descriptors: HostDescriptors;
  /** Pays for host work that no thread causes. */
  readonly idleAccount: LedgerAccount;
}

export class HostRegisters extends CpuClock {
  readonly descriptors: HostDescriptors;
  /** The host kernel's #NM handler (math_state_restore). */
  onDeviceNotAvailable: () => void = () => {
    throw new Error('host #NM without a handler');
  };
  /** The FPU registers as 32-bit words, for comparisons. */
  readonly fpuWords: Int32Array;
  /** The processor's block as 32-bit words. */
  protected readonly stateWords: Int32Array;
  private readonly state: ProcessorState;
  private readonly fpuImage: Uint8Array;

  constructor({ number, processor, costs, descriptors, idleAccount }: CpuOptions) {
    super(number, processor, costs, idleAccount);
    this.descriptors = descriptors;
    this.state = processor.state;
    this.stateWords = this.state.words;
    const place = STATE.FXSAVE_IMAGE;
    this.fpuImage = this.state.bytes.subarray(place, place + FXSAVE_SIZE);
    this.fpuWords = this.stateWords.subarray(place >> 2, (place + FXSAVE_SIZE) >> 2);
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
}
