/** Runs cases of the differential tests on the processor itself, at CPL 3, with the harness's memory layout. */

import { SEGMENT } from '../../src/architecture/registers.js';
import { RFLAGS } from '../../src/architecture/rflags.js';
import { VECTOR } from '../../src/architecture/vectors.js';
import { hostPhysical } from '../../src/memory/addresses.js';
import type { Intercepts, ProcessorEvent } from '../../src/processor/core.js';
import {
  CODE_PAGE,
  CODE_PAGE_SIZE,
  CODE_START,
  GS_BASE,
  INT3,
  initialState,
  MEMORY_BASE,
  type Outcome,
  TESTED_FLAGS,
  type TestCase,
  WINDOW_OFFSET,
  WINDOW_SIZE,
} from '../differential/test-case.js';
import { type BareMachine, createBareMachine, enterLongMode } from './bare-machine.js';
import type { InstructionDriver } from './instruction-driver.js';

const PAGE = 0x1000;
/** Where linear pages lie; the two pages of memory are not neighbours, and not in order. */
const PHYSICAL = { TABLES: 0x20000, CODE: 0x30000, FIRST_PAGE: 0x34000, SECOND_PAGE: 0x32000 } as const;
const PRESENT_WRITABLE_USER = 7n;
const NO_EXECUTE = 1n << 63n;
/** More than any case needs. */
const INSTRUCTION_LIMIT = 1000;

/**
 * How the processor is made to execute: whole blocks, instruction by instruction, or whole blocks with every write to
 * memory on the way that writes to pages with code take.
 */
export type Execution = 'blocks' | 'single-step' | 'watched-memory';

export class EngineDriver implements InstructionDriver {
  readonly #machine: BareMachine;
  readonly #execution: Execution;
  #event: ProcessorEvent | undefined;

  constructor(execution: Execution = 'blocks') {
    this.#execution = execution;
    this.#machine = createBareMachine();
    const { processor, memory } = this.#machine;
    enterLongMode(processor, memory, 3);
    this.#map();
    if (execution === 'watched-memory')
      for (const address of [PHYSICAL.FIRST_PAGE, PHYSICAL.SECOND_PAGE])
        memory.watchedPages[address / PAGE] = 1;
    processor.state.segment(SEGMENT.GS).base = BigInt(GS_BASE);
    const intercepts: Partial<Intercepts> = {
      interruptWindowExiting: false,
      nmiWindowExiting: false,
      externalInterruptExiting: false,
      exception: (event) => {
        this.#event = event;
        return true;
      },
    };
    processor.intercepts = intercepts as Intercepts;
  }

  run(testCase: TestCase): Outcome {
    const { processor, memory } = this.#machine;
    const { state } = processor;
    const start = initialState(testCase);
    const code = new Uint8Array(CODE_PAGE_SIZE).fill(INT3);
    code.set(testCase.code, CODE_START - CODE_PAGE);
    memory.load(hostPhysical(PHYSICAL.CODE), code);
    const data = new Uint8Array(2 * PAGE);
    data.set(start.window, WINDOW_OFFSET);
    memory.load(hostPhysical(PHYSICAL.FIRST_PAGE), data.subarray(0, PAGE));
    memory.load(hostPhysical(PHYSICAL.SECOND_PAGE), data.subarray(PAGE));
    for (const [register, value] of start.registers.entries()) state.writeGpr(register, value);
    state.rflags = start.rflags | RFLAGS.FIXED | RFLAGS.IF;
    state.rip = BigInt(CODE_START);

    const event = this.#runToException();
    const ended = event.vector === VECTOR.BP;
    const firstPart = memory.bytes.slice(PHYSICAL.FIRST_PAGE + WINDOW_OFFSET, PHYSICAL.FIRST_PAGE + PAGE);
    const window = new Uint8Array(WINDOW_SIZE);
    window.set(firstPart);
    const rest = WINDOW_SIZE - firstPart.length;
    window.set(memory.bytes.subarray(PHYSICAL.SECOND_PAGE, PHYSICAL.SECOND_PAGE + rest), firstPart.length);
    return {
      registers: BigUint64Array.from({ length: 16 }, (_, register) => state.readGpr(register)),
      rip: state.rip,
      rflags: state.rflags & TESTED_FLAGS,
      vector: ended ? undefined : event.vector,
      errorCode: event.errorCode ?? 0,
      cr2: event.vector === VECTOR.PF ? (event.payload ?? 0n) : 0n,
      window,
    };
  }

  #runToException(): ProcessorEvent {
    const { processor } = this.#machine;
    this.#event = undefined;
    if (this.#execution !== 'single-step') processor.run({ cycles: 1e6, instructions: INSTRUCTION_LIMIT });
    else
      for (let count = 0; this.#event === undefined && count < INSTRUCTION_LIMIT; count++) processor.step();
    if (this.#event === undefined) throw new Error('the case did not end');
    return this.#event;
  }

  #map(): void {
    const { processor, memory } = this.#machine;
    let nextTable = PHYSICAL.TABLES + PAGE;
    const mapPage = (linear: number, physical: number, flags: bigint): void => {
      let table = PHYSICAL.TABLES as number;
      for (const shift of [39n, 30n, 21n]) {
        const entry = hostPhysical(table + Number((BigInt(linear) >> shift) & 511n) * 8);
        if (memory.read64(entry) === 0n) {
          memory.write64(entry, BigInt(nextTable) | PRESENT_WRITABLE_USER);
          nextTable += PAGE;
        }
        table = Number(memory.read64(entry) & ~0xfffn);
      }
      const entry = hostPhysical(table + ((linear >> 12) & 511) * 8);
      memory.write64(entry, BigInt(physical) | PRESENT_WRITABLE_USER | flags);
    };
    mapPage(MEMORY_BASE, PHYSICAL.FIRST_PAGE, NO_EXECUTE);
    mapPage(MEMORY_BASE + PAGE, PHYSICAL.SECOND_PAGE, NO_EXECUTE);
    mapPage(CODE_PAGE, PHYSICAL.CODE, 0n);
    processor.state.cr3 = BigInt(PHYSICAL.TABLES);
    processor.caches.flushAll();
    processor.caches.modeChanged();
  }
}
