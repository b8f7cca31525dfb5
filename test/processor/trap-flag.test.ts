/** Single-step traps and the resume flag (SDM Vol. 3B, 17.3.1.4 Single-Step Exception Condition; Vol. 3A, 2.3 RF). */

import { describe, expect, it } from 'vitest';
import { RFLAGS } from '../../src/architecture/rflags.js';
import { hostPhysical } from '../../src/memory/addresses.js';
import { STATE } from '../../src/processor/state/layout.js';
import { createBareMachine } from '../support/bare-machine.js';

const CODE = 0x100000;
const IDT = 0x8000;
const GDT = 0x7000;
/** All handlers are HLT: at HANDLER + vector. */
const HANDLER = 0x9000;

function machineWith(code: readonly number[], flags: number) {
  const machine = createBareMachine();
  const { processor, memory } = machine;
  memory.bytes.fill(0xf4, HANDLER, HANDLER + 256);
  memory.write64(hostPhysical(GDT + 8), 0x00af9b000000ffffn);
  memory.write64(hostPhysical(GDT + 16), 0x00cf93000000ffffn);
  for (let vector = 0; vector < 256; vector++)
    memory.write64(
      hostPhysical(IDT + vector * 16),
      BigInt(HANDLER + vector) | (8n << 16n) | (0x8e00n << 32n),
    );
  memory.load(hostPhysical(CODE), Uint8Array.from(code));
  const { state } = processor;
  state.write64(STATE.IDTR_BASE, BigInt(IDT));
  state.write32(STATE.IDTR_LIMIT, 0xfff);
  state.write64(STATE.GDTR_BASE, BigInt(GDT));
  state.write32(STATE.GDTR_LIMIT, 23);
  state.writeGpr(4, 0x300000n);
  state.rip = BigInt(CODE);
  state.rflags = 2 | flags;
  expect(processor.run({ cycles: 1000, instructions: 1000 }).kind).toBe('halt');
  const stack = Number(state.readGpr(4));
  return {
    vector: Number(state.rip) - 1 - HANDLER,
    pushedRip: Number(memory.read64(hostPhysical(stack))) - CODE,
    pushedFlags: Number(memory.read64(hostPhysical(stack + 16))),
    debugStatus: state.read64(STATE.DEBUG + 6 * 8),
  };
}

describe('the trap flag', () => {
  it('traps after one instruction, with BS in DR6', () => {
    const result = machineWith([0x90, 0x90, 0xf4], RFLAGS.TF);
    expect(result).toMatchObject({ vector: 1, pushedRip: 1 });
    expect(result.pushedFlags & RFLAGS.TF).toBe(RFLAGS.TF);
    expect(result.debugStatus & 0x4000n).toBe(0x4000n);
  });

  it('does not trap in the handler of a software interrupt', () => {
    expect(machineWith([0xcd, 0x40], RFLAGS.TF)).toMatchObject({ vector: 0x40, pushedRip: 2 });
    expect(machineWith([0xcc], RFLAGS.TF)).toMatchObject({ vector: 3, pushedRip: 1 });
  });

  it('waits one instruction after MOV SS', () => {
    // mov eax, ss; mov ss, eax; nop; nop: the first trap is after mov eax, ss, so TF is set by popf instead.
    const popfAndLoad = [0x8c, 0xd1, 0x68, 0x02, 0x01, 0, 0, 0x9d, 0x8e, 0xd1, 0x90, 0x90, 0xf4];
    expect(machineWith(popfAndLoad, 0)).toMatchObject({ vector: 1, pushedRip: 11 });
  });

  it('traps after the instruction that follows POPF, not after POPF itself', () => {
    const popf = [0x68, 0x02, 0x01, 0, 0, 0x9d, 0x90, 0x90, 0xf4];
    expect(machineWith(popf, 0)).toMatchObject({ vector: 1, pushedRip: 7 });
  });
});

describe('the resume flag', () => {
  it('is cleared by the first instruction that completes', () => {
    expect(machineWith([0x90, 0xcd, 0x40], RFLAGS.RF).pushedFlags & RFLAGS.RF).toBe(0);
  });

  it('is set in the image that a fault pushes', () => {
    expect(machineWith([0x90, 0x0f, 0x0b], 0).pushedFlags & RFLAGS.RF).toBe(RFLAGS.RF);
  });
});
