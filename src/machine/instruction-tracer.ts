/** Turns the steps of a processor into instruction records: bytes, and the registers that changed. */

import { REGISTER_NAMES, SEGMENT } from '../architecture/registers.js';
import { DecodeStatus, decode, MAXIMUM_LENGTH } from '../decoder/index.js';
import { Instruction } from '../instruction-set/index.js';
import { PAGE_SIZE } from '../memory/addresses.js';
import { GuestFault, VmExitSignal } from '../processor/core.js';
import type { Processor } from '../processor/processor.js';
import type { InstructionObserver } from '../processor/run.js';
import { STATE } from '../processor/state/layout.js';
import type { ProcessorState } from '../processor/state/processor-state.js';
import type { InstructionRecord, RegisterChange } from '../trace/events.js';

interface WatchedRegister {
  readonly name: string;
  readonly read: (state: ProcessorState) => bigint;
}

const storedAt = (name: string, offset: number): WatchedRegister => ({
  name,
  read: (state) => state.read64(offset),
});

/** Everything that a guest sees of its state, except RIP (each record has it) and the FPU. */
const WATCHED: readonly WatchedRegister[] = [
  ...REGISTER_NAMES.gpr64.map((name, number) => ({
    name,
    read: (state: ProcessorState) => state.readGpr(number),
  })),
  { name: 'rflags', read: (state) => BigInt(state.rflags) },
  ...REGISTER_NAMES.segment.map((name, number) => ({
    name,
    read: (state: ProcessorState) => BigInt(state.segment(number).selector),
  })),
  { name: 'tr', read: (state) => BigInt(state.segment(SEGMENT.TR).selector) },
  { name: 'fs.base', read: (state) => state.segment(SEGMENT.FS).base },
  { name: 'gs.base', read: (state) => state.segment(SEGMENT.GS).base },
  { name: 'kernel_gs_base', read: (state) => state.read64(STATE.KERNEL_GS_BASE) },
  { name: 'cr0', read: (state) => BigInt(state.cr0 >>> 0) },
  { name: 'cr2', read: (state) => state.cr2 },
  { name: 'cr3', read: (state) => state.cr3 },
  { name: 'cr4', read: (state) => BigInt(state.cr4 >>> 0) },
  storedAt('gdtr.base', STATE.GDTR_BASE),
  storedAt('idtr.base', STATE.IDTR_BASE),
];

/**
 * Reports each completed instruction. One that is left by a fault or a VM exit did not happen; one that is left between
 * two iterations (REP) goes on.
 */
export class InstructionTracer implements InstructionObserver {
  private readonly processor: Processor;
  private readonly vcpu: () => number | undefined;
  private readonly startTime: number;
  private readonly listener: (record: InstructionRecord) => void;
  private readonly snapshot = new BigUint64Array(WATCHED.length);
  private rip = 0n;
  private time = 0;
  private bytes: Uint8Array = new Uint8Array(0);
  private unfinished = false;
  private running: number | undefined;
  private readonly fetched = new Uint8Array(MAXIMUM_LENGTH);
  private readonly scratch = new Instruction();

  constructor(options: {
    processor: Processor;
    /** The vCPU that the processor runs; undefined when it is none that anybody listens to. */
    vcpu: () => number | undefined;
    /** Time-stamp counter at which the VM started. */
    startTime: number;
    listener: (record: InstructionRecord) => void;
  }) {
    this.processor = options.processor;
    this.vcpu = options.vcpu;
    this.startTime = options.startTime;
    this.listener = options.listener;
  }

  before(): void {
    const { state, timeStampCounter } = this.processor;
    if (this.unfinished && this.rip === state.rip) return;
    this.unfinished = true;
    // Afterwards the guest may have been left.
    this.running = this.vcpu();
    this.rip = state.rip;
    this.time = timeStampCounter - this.startTime;
    this.bytes = this.readInstruction();
    for (let index = 0; index < WATCHED.length; index++) this.snapshot[index] = WATCHED[index]!.read(state);
  }

  after(completed: boolean): void {
    if (!completed) return;
    this.unfinished = false;
    const vcpu = this.running;
    if (vcpu === undefined) return;
    const { time, rip, bytes } = this;
    this.listener({ vcpu, time, rip, bytes, changes: this.changes() });
  }

  private changes(): RegisterChange[] {
    const changes: RegisterChange[] = [];
    for (let index = 0; index < WATCHED.length; index++) {
      const { name, read } = WATCHED[index]!;
      const before = this.snapshot[index]!;
      const after = BigInt.asUintN(64, read(this.processor.state));
      if (after !== before) changes.push({ name, before, after });
    }
    return changes;
  }

  /**
   * The bytes at RIP, empty when they can't be fetched. The next page is looked at only when the instruction extends to
   * it, as looking sets accessed bits.
   */
  private readInstruction(): Uint8Array {
    const { rip, scratch, fetched } = this;
    const inPage = Math.min(MAXIMUM_LENGTH, PAGE_SIZE - Number(rip & BigInt(PAGE_SIZE - 1)));
    if (!this.fetch(rip, 0, inPage)) return new Uint8Array(0);
    const { codeSize } = this.processor;
    let status = decode(fetched, 0, inPage, codeSize, scratch);
    if (status === DecodeStatus.NEEDS_MORE && inPage < MAXIMUM_LENGTH) {
      if (!this.fetch(rip, inPage, MAXIMUM_LENGTH)) return fetched.slice(0, inPage);
      status = decode(fetched, 0, MAXIMUM_LENGTH, codeSize, scratch);
    }
    return fetched.slice(0, status === DecodeStatus.OK ? scratch.length : inPage);
  }

  /** Bytes `from` to `to` of those at `rip`, which are in one page. */
  private fetch(rip: bigint, from: number, to: number): boolean {
    const { processor } = this;
    const { memory } = processor;
    try {
      const physical = processor.translate(BigInt.asUintN(64, rip + BigInt(from)), 'fetch');
      if (!memory.contains(physical, to - from)) return false;
      this.fetched.set(memory.bytes.subarray(physical, physical + to - from), from);
      return true;
    } catch (problem) {
      if (problem instanceof GuestFault || problem instanceof VmExitSignal) return false;
      throw problem;
    }
  }
}
