/** A processor with RAM and nothing else, in 64-bit mode with identity-mapped paging, for tests. */

import { CR0, CR4, EFER } from '../../src/architecture/control-registers.js';
import { SEGMENT } from '../../src/architecture/registers.js';
import { hostPhysical } from '../../src/memory/addresses.js';
import { PhysicalMemory } from '../../src/memory/physical-memory.js';
import type { CpuidResult, InterruptSource, MmioBus, PortBus } from '../../src/processor/core.js';
import { planAddresses } from '../../src/processor/engine/address-plan.js';
import { Engine } from '../../src/processor/engine/engine.js';
import { Processor } from '../../src/processor/processor.js';

export interface BareMachine {
  readonly processor: Processor;
  readonly memory: PhysicalMemory;
  readonly engine: Engine;
}

export interface BareMachineOptions {
  readonly ramSize?: number;
  readonly recordsSize?: number;
  /** Bytes of linear memory behind RAM that belong to nobody. */
  readonly guard?: number;
  readonly ports?: PortBus;
  readonly mmio?: MmioBus;
  readonly interrupts?: InterruptSource;
  readonly cpuid?: (leaf: number, subleaf: number) => CpuidResult;
}

const noPorts: PortBus = {
  read: (_port, size) => (size === 4 ? 0xffffffff : (1 << (8 * size)) - 1),
  write: () => {},
};
const noMmio: MmioBus = { read: (_address, size) => (1n << BigInt(8 * size)) - 1n, write: () => {} };
const noInterrupts: InterruptSource = { pending: () => false, acknowledge: () => 0 };
const noCpuid = (): CpuidResult => ({ eax: 0, ebx: 0, ecx: 0, edx: 0 });

/** Page tables at 0x1000–0x6fff: identity map of the first 4 GiB in 2-MiB pages. */
export const PAGE_TABLES = 0x1000;

export function createBareMachine(options: BareMachineOptions = {}): BareMachine {
  const ramSize = options.ramSize ?? 0x400000;
  const plan = planAddresses(1, ramSize, options.recordsSize ?? 0x100000);
  const linearMemory = new WebAssembly.Memory({
    initial: plan.wasmPages + Math.ceil((options.guard ?? 0) / 0x10000),
  });
  const memory = new PhysicalMemory(linearMemory, plan.ram, ramSize);
  const engine = new Engine(linearMemory, plan, memory, { cyclesOf: () => 1, eventDelivery: 1 });
  const processor = new Processor({
    engine,
    number: 0,
    ports: options.ports ?? noPorts,
    mmio: options.mmio ?? noMmio,
    cpuid: options.cpuid ?? noCpuid,
    interrupts: options.interrupts ?? noInterrupts,
  });
  enterLongMode(processor, memory);
  return { processor, memory, engine };
}

/** Identity-mapped 64-bit mode at CPL 0 (or `cpl`), interrupts off. */
export function enterLongMode(processor: Processor, memory: PhysicalMemory, cpl: 0 | 3 = 0): void {
  memory.write64(hostPhysical(PAGE_TABLES), BigInt(PAGE_TABLES + 0x1000) | 7n);
  for (let n = 0; n < 4; n++) {
    const directory = PAGE_TABLES + 0x2000 + n * 0x1000;
    memory.write64(hostPhysical(PAGE_TABLES + 0x1000 + n * 8), BigInt(directory) | 7n);
    for (let m = 0; m < 512; m++)
      memory.write64(hostPhysical(directory + m * 8), (BigInt(n * 512 + m) << 21n) | 0x87n);
  }
  const { state } = processor;
  state.cr0 = (CR0.PE | CR0.NE | CR0.WP | CR0.PG) >>> 0;
  state.cr3 = BigInt(PAGE_TABLES);
  state.cr4 = CR4.PAE | CR4.OSFXSR;
  state.efer = EFER.LME | EFER.LMA | EFER.SCE | EFER.NXE;
  state.rflags = 2;
  for (let n = 0; n < 8; n++) {
    const segment = state.segment(n);
    segment.base = 0n;
    segment.limit = 0xffffffff;
    segment.selector = n === SEGMENT.CS ? 8 | cpl : n < 6 ? 16 | cpl : 0;
    segment.accessRights =
      n === SEGMENT.CS
        ? 0xa09b | (cpl << 5)
        : n < 6
          ? 0xc093 | (cpl << 5)
          : n === SEGMENT.TR
            ? 0x8b
            : 0x10000;
  }
  processor.caches.flushAll();
  processor.caches.modeChanged();
}
