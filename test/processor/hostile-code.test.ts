/**
 * Random and hostile code on a bare processor: whatever it does, the host sees no error but "not implemented", every run
 * ends within its budget, and nothing outside of the guest's RAM can be reached.
 */

import { describe, expect, it } from 'vitest';
import { SEGMENT } from '../../src/architecture/registers.js';
import { ENCODINGS } from '../../src/instruction-set/index.js';
import { hostPhysical } from '../../src/memory/addresses.js';
import { UnimplementedFeatureError, UnimplementedInstructionError } from '../../src/processor/errors.js';
import { STATE } from '../../src/processor/state/layout.js';
import { type BareMachine, createBareMachine, enterLongMode } from '../support/bare-machine.js';
import { generateInstruction, isValidIn } from '../support/instruction-generator.js';
import { RandomSource } from '../support/random-source.js';

const IMAGES = Number(process.env.EXITSCOPE_FUZZ_IMAGES ?? 300);
const INSTRUCTIONS = Number(process.env.EXITSCOPE_FUZZ_INSTRUCTIONS ?? 600);
/** Images are numbered by their seeds: a long run can be shared out. */
const FIRST_IMAGE = Number(process.env.EXITSCOPE_FUZZ_FIRST ?? 1);
const RAM_SIZE = 0x200000;
const CODE = 0x10000;
const IDT = 0x8000;
const HANDLER = 0x9000;
const CANARY = 0xa5;

/** Fault handler: drop the error code if `withCode`, step over one byte, return. */
const HANDLERS = {
  withCode: [0x48, 0x83, 0xc4, 0x08, 0x48, 0xff, 0x04, 0x24, 0x48, 0xcf],
  withoutCode: [0x48, 0xff, 0x04, 0x24, 0x48, 0xcf],
};
const WITH_ERROR_CODE = [8, 10, 11, 12, 13, 14, 17];
const encodings64 = ENCODINGS.filter((encoding) => isValidIn(encoding, 64));

function prepare({ processor, memory }: BareMachine, random: RandomSource, cpl: 0 | 3): void {
  memory.bytes.fill(0);
  for (let page = 0; page < RAM_SIZE / 4096; page++)
    if (memory.watchedPages[page]) memory.onWatchedWrite(page * 4096, 4096);
  enterLongMode(processor, memory, cpl);
  memory.load(hostPhysical(HANDLER), Uint8Array.from(HANDLERS.withoutCode));
  memory.load(hostPhysical(HANDLER + 64), Uint8Array.from(HANDLERS.withCode));
  for (let vector = 0; vector < 256; vector++) {
    const offset = WITH_ERROR_CODE.includes(vector) ? HANDLER + 64 : HANDLER;
    memory.write64(hostPhysical(IDT + vector * 16), BigInt(offset) | (8n << 16n) | (0xee00n << 32n));
  }
  // A GDT so that far transfers find something: null, code64, data, code64 at DPL 3, data at DPL 3.
  for (const [n, descriptor] of [
    0n,
    0x00af9b000000ffffn,
    0x00cf93000000ffffn,
    0x00affb000000ffffn,
    0x00cff3000000ffffn,
  ].entries())
    memory.write64(hostPhysical(0x7000 + n * 8), descriptor);
  const { state } = processor;
  state.write64(STATE.IDTR_BASE, BigInt(IDT));
  state.write32(STATE.IDTR_LIMIT, 0xfff);
  state.write64(STATE.GDTR_BASE, 0x7000n);
  state.write32(STATE.GDTR_LIMIT, 39);
  const tr = state.segment(SEGMENT.TR);
  tr.base = 0x6800n;
  tr.limit = 0x67;
  memory.write64(hostPhysical(0x6804), 0x1f0000n);
  for (let n = 0; n < 16; n++) {
    const kind = random.below(4);
    state.writeGpr(
      n,
      kind === 0
        ? BigInt(random.below(RAM_SIZE))
        : kind === 1
          ? (BigInt(random.next()) << 32n) | BigInt(random.next())
          : BigInt(random.below(64)),
    );
  }
  state.writeGpr(4, 0x1e0000n);
  state.rip = BigInt(CODE);
  processor.halted = false;
  processor.interruptShadow = 'none';
}

function randomCode(random: RandomSource): Uint8Array {
  const bytes: number[] = [];
  while (bytes.length < 400) {
    const kind = random.below(4);
    if (kind === 0) bytes.push(random.next() & 0xff);
    else {
      const instance = [...generateInstruction(random.pick(encodings64), 64, random)];
      if (kind === 1) instance[random.below(instance.length)] = random.next() & 0xff;
      bytes.push(...instance);
    }
  }
  return Uint8Array.from(bytes);
}

/** Every address that generated code could use without asking lies in RAM. */
function expectTranslationsInRam({ processor, engine }: BareMachine, label: string): void {
  const addresses = engine.plan.processors[0]!;
  const { view } = engine;
  for (const tlb of [addresses.supervisorTlb, addresses.userTlb])
    for (let entry = tlb; entry < tlb + 1024 * 32; entry += 32) {
      const low = view.getInt32(entry, true);
      if (low === -1 && view.getInt32(entry + 4, true) === -1) continue;
      const place = ((low + view.getInt32(entry + 16, true)) | 0) - engine.plan.ram;
      if (place < 0 || place + 4096 > RAM_SIZE || place % 4096 !== 0)
        throw new Error(`${label}: a TLB entry leads to ${place.toString(16)}, RIP ${processor.state.rip}`);
    }
}

describe('hostile code', () => {
  it(`${IMAGES} random images: no host error, no hang, nothing outside of RAM touched`, {
    timeout: 3_600_000,
  }, () => {
    const machine = createBareMachine({ ramSize: RAM_SIZE, guard: 0x10000 });
    const { processor, engine } = machine;
    const linear = new Uint8Array(engine.linearMemory.buffer);
    const guards = [
      linear.subarray(0, 0x10000),
      linear.subarray(engine.plan.ram + RAM_SIZE, engine.plan.ram + RAM_SIZE + 0x10000),
    ];
    for (const guard of guards) {
      expect(guard.length).toBe(0x10000);
      guard.fill(CANARY);
    }
    let executed = 0;
    let unimplemented = 0;
    for (let image = 0; image < IMAGES; image++) {
      const random = new RandomSource(FIRST_IMAGE + image);
      prepare(machine, random, random.oneIn(3) ? 3 : 0);
      machine.memory.load(hostPhysical(CODE), randomCode(random));
      const before = processor.instructionsRetired;
      try {
        // A fault costs no instruction: bounded by cycles of a few rounds instead.
        for (let round = 0; round < 4; round++)
          if (processor.run({ cycles: 4 * INSTRUCTIONS, instructions: INSTRUCTIONS / 4 }).kind !== 'budget')
            break;
      } catch (problem) {
        if (
          !(problem instanceof UnimplementedInstructionError || problem instanceof UnimplementedFeatureError)
        )
          throw new Error(`image ${image}: ${problem}`, { cause: problem });
        unimplemented++;
      }
      executed += processor.instructionsRetired - before;
      expectTranslationsInRam(machine, `image ${image}`);
    }
    for (const guard of guards) expect(guard.every((byte) => byte === CANARY)).toBe(true);
    expect(executed).toBeGreaterThan(IMAGES * 10);
    expect(unimplemented).toBeLessThan(IMAGES);
  });
});
