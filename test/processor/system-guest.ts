/** A small machine for tests of system instructions and events: descriptor tables, handlers that halt, stacks. */

import { MSR } from '../../src/architecture/msrs.js';
import { GPR, SEGMENT } from '../../src/architecture/registers.js';
import { hostPhysical } from '../../src/memory/addresses.js';
import type { Intercepts, InterruptSource, PortBus, ProcessorEvent } from '../../src/processor/core.js';
import { resetFloatingPoint } from '../../src/processor/floating-point/index.js';
import type { StopKind } from '../../src/processor/run.js';
import { STATE } from '../../src/processor/state/layout.js';
import { createCpuid } from '../../src/processor/system/cpuid-model.js';
import { writeMsr } from '../../src/processor/system/msr-registers.js';
import { assembleWithNasm } from '../support/assembly-oracles.js';
import { createBareMachine, enterLongMode } from '../support/bare-machine.js';

export const LAYOUT = {
  GDT: 0x8000,
  IDT: 0x9000,
  TSS: 0xa000,
  LDT: 0xb000,
  /** Empty ends of the stacks. */
  STACK: 0x20000,
  RING0_STACK: 0x22000,
  IST1: 0x24000,
  USER_STACK: 0x28000,
  CODE: 0x100000,
  /** HLT for vector n at HANDLERS + 16 n. */
  HANDLERS: 0x110000,
  CALL_TARGET: 0x118000,
  DATA: 0x200000,
} as const;

/** Selectors; RPL 3 has to be added for user segments. */
export const SELECTOR = {
  CODE64: 0x08,
  DATA: 0x10,
  USER_CODE32: 0x18,
  USER_DATA: 0x20,
  USER_CODE64: 0x28,
  TSS: 0x30,
  LDT: 0x40,
  CALL_GATE: 0x50,
  CONFORMING: 0x60,
  ABSENT_CODE: 0x68,
  ABSENT_DATA: 0x70,
  READ_ONLY: 0x78,
  CODE32: 0x80,
  EXECUTE_ONLY: 0x88,
  BUSY_TSS: 0x90,
  LONG_AND_BIG: 0xa0,
  BEYOND: 0x200,
} as const;

/** @param rights access byte and flag nibble as in VMCS format */
export function descriptor(base: number, limit: number, rights: number): bigint {
  const units = (rights & 0x8000) !== 0 ? limit >>> 12 : limit;
  const high = ((base >>> 16) & 0xff) | ((rights & 0xf0ff) << 8) | (units & 0xf0000) | (base & 0xff000000);
  const low = (units & 0xffff) | ((base & 0xffff) << 16);
  return (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
}

const FLAT = 0xffffffff;

/** A 64-bit gate. @param rights P, DPL and type: 0x8e interrupt, 0x8f trap, 0x8c call gate */
export function gate64(selector: number, offset: bigint, rights: number, ist = 0): readonly [bigint, bigint] {
  return [
    (offset & 0xffffn) |
      (BigInt(selector) << 16n) |
      (BigInt(ist) << 32n) |
      (BigInt(rights) << 40n) |
      (((offset >> 16n) & 0xffffn) << 48n),
    offset >> 32n,
  ];
}

/** Frame that delivery in IA-32e mode pushes. */
export interface Frame {
  readonly vector: number;
  readonly errorCode: number | undefined;
  readonly rip: bigint;
  readonly cs: number;
  readonly rflags: number;
  readonly rsp: bigint;
  readonly ss: number;
}

const WITH_ERROR_CODE = new Set([8, 10, 11, 12, 13, 14, 17]);
const UNLIMITED = { cycles: 1e6, instructions: 10_000 };

export interface GuestOptions {
  readonly ports?: PortBus;
  readonly interrupts?: InterruptSource;
}

export class SystemGuest {
  readonly machine;
  constructor(options: GuestOptions = {}) {
    this.machine = createBareMachine({ ...options, cpuid: createCpuid() });
    this.reset();
  }

  /** 64-bit mode at CPL 0 with tables, handlers and stacks in place. */
  reset(): void {
    const { processor, memory } = this.machine;
    enterLongMode(processor, memory);
    processor.halted = false;
    processor.interruptShadow = 'none';
    resetFloatingPoint(processor.state);
    this.#fillTables();
    const { state } = processor;
    state.write64(STATE.GDTR_BASE, BigInt(LAYOUT.GDT));
    state.write32(STATE.GDTR_LIMIT, 0xff);
    state.write64(STATE.IDTR_BASE, BigInt(LAYOUT.IDT));
    state.write32(STATE.IDTR_LIMIT, 0xfff);
    state.write64(STATE.APIC_BASE, 0xfee00900n);
    state.write64(STATE.STAR, (BigInt(SELECTOR.USER_CODE32) << 48n) | (BigInt(SELECTOR.CODE64) << 32n));
    const task = state.segment(SEGMENT.TR);
    task.selector = SELECTOR.TSS;
    task.base = BigInt(LAYOUT.TSS);
    task.limit = 0x67;
    task.accessRights = 0x8b;
    state.writeGpr(GPR.RSP, BigInt(LAYOUT.STACK));
  }

  get processor() {
    return this.machine.processor;
  }
  get state() {
    return this.machine.processor.state;
  }

  #fillTables(): void {
    const entries: readonly (readonly [number, ...bigint[]])[] = [
      [SELECTOR.CODE64, descriptor(0, FLAT, 0xa09a)],
      [SELECTOR.DATA, descriptor(0, FLAT, 0xc092)],
      [SELECTOR.USER_CODE32, descriptor(0, FLAT, 0xc0fa)],
      [SELECTOR.USER_DATA, descriptor(0, FLAT, 0xc0f2)],
      [SELECTOR.USER_CODE64, descriptor(0, FLAT, 0xa0fa)],
      [SELECTOR.TSS, descriptor(LAYOUT.TSS, 0x67, 0x89), 0n],
      [SELECTOR.LDT, descriptor(LAYOUT.LDT, 0xff, 0x82), 0n],
      [SELECTOR.CALL_GATE, ...gate64(SELECTOR.CODE64, BigInt(LAYOUT.CALL_TARGET), 0xec)],
      [SELECTOR.CONFORMING, descriptor(0, FLAT, 0xa09e)],
      [SELECTOR.ABSENT_CODE, descriptor(0, FLAT, 0xa01a)],
      [SELECTOR.ABSENT_DATA, descriptor(0, FLAT, 0xc012)],
      [SELECTOR.READ_ONLY, descriptor(0, FLAT, 0xc090)],
      [SELECTOR.CODE32, descriptor(0, FLAT, 0xc09a)],
      [SELECTOR.EXECUTE_ONLY, descriptor(0, FLAT, 0xa098)],
      [SELECTOR.BUSY_TSS, descriptor(LAYOUT.TSS, 0x67, 0x8b), 0n],
      [SELECTOR.LONG_AND_BIG, descriptor(0, FLAT, 0xe09a)],
    ];
    for (const [selector, ...words] of entries)
      for (const [index, word] of words.entries()) this.write64(LAYOUT.GDT + selector + index * 8, word);
    for (let vector = 0; vector < 256; vector++) {
      const handler = LAYOUT.HANDLERS + vector * 16;
      this.setGate(vector, gate64(SELECTOR.CODE64, BigInt(handler), 0x8e));
      this.load(handler, [0xf4]);
    }
    this.load(LAYOUT.CALL_TARGET, [0xf4]);
    this.write64(LAYOUT.TSS + 4, BigInt(LAYOUT.RING0_STACK));
    this.write64(LAYOUT.TSS + 36, BigInt(LAYOUT.IST1));
    // No I/O permission bitmap: it would begin beyond the limit.
    this.write64(LAYOUT.TSS + 96, 0x68n << 48n);
  }

  setGate(vector: number, [low, high]: readonly [bigint, bigint]): void {
    this.write64(LAYOUT.IDT + vector * 16, low);
    this.write64(LAYOUT.IDT + vector * 16 + 8, high);
  }

  load(address: number, bytes: Iterable<number>): void {
    this.machine.memory.load(hostPhysical(address), Uint8Array.from(bytes));
  }
  read64(address: number | bigint): bigint {
    return this.machine.memory.read64(hostPhysical(Number(address)));
  }
  write64(address: number, value: bigint): void {
    this.machine.memory.write64(hostPhysical(address), BigInt.asUintN(64, value));
  }

  /** Makes the page at `address` absent; later accesses to it fault. Only for addresses below 2 MiB + 2 MiB. */
  unmap(address: number): void {
    const directory = 0x3000 + (address >>> 21) * 8;
    this.write64(directory, 0n);
    this.processor.caches.flushAll();
  }

  /** CPL 3 in 64-bit code with the user stack. */
  enterUser(): void {
    const { state, processor } = this;
    const code = state.segment(SEGMENT.CS);
    code.selector = SELECTOR.USER_CODE64 | 3;
    code.accessRights = 0xa0fb;
    for (const number of [SEGMENT.SS, SEGMENT.DS, SEGMENT.ES]) {
      const segment = state.segment(number);
      segment.selector = SELECTOR.USER_DATA | 3;
      segment.accessRights = 0xc0f3;
    }
    state.writeGpr(GPR.RSP, BigInt(LAYOUT.USER_STACK));
    processor.caches.modeChanged();
  }

  /** Assembles `text` at LAYOUT.CODE and sets RIP to it. */
  prepare(text: string, bits = 64): void {
    this.load(LAYOUT.CODE, assemble(text, bits));
    this.state.rip = BigInt(LAYOUT.CODE);
  }

  /** Runs `text`, which ends with HLT or in a handler, and returns how the run stopped. */
  run(text: string, bits = 64): StopKind {
    this.prepare(text, bits);
    return this.processor.run(UNLIMITED).kind;
  }

  continue(): StopKind {
    return this.processor.run(UNLIMITED).kind;
  }

  /** Runs one instruction. */
  step(text: string, bits = 64): StopKind {
    this.prepare(text, bits);
    return this.processor.step().kind;
  }

  /** The handler that RIP is in, with what was pushed; undefined when it is in none. */
  get frame(): Frame | undefined {
    const offset = Number(this.state.rip) - LAYOUT.HANDLERS;
    if (offset < 0 || offset >= 256 * 16) return undefined;
    const vector = offset >> 4;
    let at = Number(this.state.readGpr(GPR.RSP));
    let errorCode: number | undefined;
    if (WITH_ERROR_CODE.has(vector)) {
      errorCode = Number(this.read64(at));
      at += 8;
    }
    return {
      vector,
      errorCode,
      rip: this.read64(at),
      cs: Number(this.read64(at + 8)),
      rflags: Number(this.read64(at + 16)),
      rsp: this.read64(at + 24),
      ss: Number(this.read64(at + 32)),
    };
  }

  writeMsr(index: keyof typeof MSR, value: bigint): boolean {
    return writeMsr(this.processor, MSR[index], value);
  }
}

const assembled = new Map<string, Uint8Array>();

/** Machine code of NASM text at LAYOUT.CODE. */
export function assemble(text: string, bits = 64): Uint8Array {
  const source = `bits ${bits}\norg ${LAYOUT.CODE}\n${text.replaceAll(';', '\n')}\n`;
  let code = assembled.get(source);
  if (code === undefined) {
    const result = assembleWithNasm(source);
    if (result.errors.size > 0) throw new Error([...result.errors.values()].join('\n'));
    code = result.code;
    assembled.set(source, code);
  }
  return code;
}

/** What reached the intercepts: `name(arguments…)`. */
export class RecordingIntercepts {
  readonly calls: string[] = [];
  readonly events: ProcessorEvent[] = [];
  /** Names of those that exit. */
  readonly exiting: Set<string>;
  readonly face: Intercepts;

  constructor(...exiting: string[]) {
    this.exiting = new Set(exiting);
    const answer = (name: string): boolean => {
      this.calls.push(name);
      return this.exiting.has(name);
    };
    const fixed: Record<string, unknown> = {
      externalInterruptExiting: false,
      interruptWindowExiting: false,
      nmiWindowExiting: false,
      virtualInterruptPending: false,
      apicWritePending: false,
      readVirtualMsr: undefined,
      writeVirtualMsr: undefined,
      abandonApicWrite: undefined,
      tscOffset: 0n,
      tprShadow: undefined,
      rdtscpEnabled: true,
      exception: (event: ProcessorEvent) => {
        this.events.push(event);
        return answer('exception');
      },
      visibleCr0: () => 0x80050033n,
      visibleCr4: () => 0x2020n,
      writeCr0: (_instruction: unknown, value: bigint) => (answer('writeCr0') ? undefined : value),
      writeCr4: (_instruction: unknown, value: bigint) => (answer('writeCr4') ? undefined : value),
      clts: () => (answer('clts') ? 'exited' : 'clear'),
      lmsw: (_instruction: unknown, source: number) => (answer('lmsw') ? undefined : source & 15),
      exit: () => answer('exit'),
    };
    this.face = new Proxy(fixed, {
      get: (target, name) => (name in target ? target[name as string] : () => answer(String(name))),
    }) as unknown as Intercepts;
  }
}
