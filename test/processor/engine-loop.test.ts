import { describe, expect, it } from 'vitest';
import { GPR } from '../../src/architecture/registers.js';
import { hostPhysical } from '../../src/memory/addresses.js';
import type { Processor } from '../../src/processor/processor.js';
import { createBareMachine } from '../support/bare-machine.js';

const CODE = 0x100000;
const DATA = 0x200000;
const UNLIMITED = 2 ** 31 - 1;

/** mov eax,[rsi+rcx*4]; xor edx,eax; add rbx,rdx; rol edx,5; inc rcx; cmp rcx,r8; jne; hlt */
const LOOP = [
  0x8b, 0x04, 0x8e, 0x31, 0xc2, 0x48, 0x01, 0xd3, 0xc1, 0xc2, 0x05, 0x48, 0xff, 0xc1, 0x4c, 0x39, 0xc1, 0x75,
  0xed, 0xf4,
];

function machineWith(code: readonly number[], at = CODE) {
  const machine = createBareMachine();
  machine.memory.load(hostPhysical(at), Uint8Array.from(code));
  machine.processor.state.rip = BigInt(at);
  machine.processor.state.writeGpr(GPR.RSP, 0x300000n);
  return machine;
}

function snapshot(processor: Processor) {
  const { state } = processor;
  return {
    rip: state.rip,
    rflags: state.rflags,
    registers: Array.from({ length: 16 }, (_, n) => state.readGpr(n)),
    retired: processor.instructionsRetired,
    cycles: processor.timeStampCounter,
  };
}

describe('the step loop', () => {
  it('runs a loop and counts its instructions exactly', () => {
    const { processor, memory } = machineWith(LOOP);
    const values = Array.from({ length: 1000 }, (_, n) => Math.imul(n, 2654435761) >>> 0);
    for (const [n, value] of values.entries()) memory.write32(hostPhysical(DATA + n * 4), value);
    processor.state.writeGpr(GPR.RSI, BigInt(DATA));
    processor.state.writeGpr(GPR.R8, 1000n);
    let edx = 0;
    let rbx = 0n;
    for (const value of values) {
      edx = (edx ^ value) >>> 0;
      rbx += BigInt(edx);
      edx = ((edx << 5) | (edx >>> 27)) >>> 0;
    }
    expect(processor.run({ cycles: UNLIMITED, instructions: UNLIMITED }).kind).toBe('halt');
    expect(processor.instructionsRetired).toBe(7 * 1000 + 1);
    expect(processor.state.readGpr(GPR.RBX)).toBe(rbx);
    expect(processor.state.readGpr(GPR.RDX)).toBe(BigInt(edx));
    expect(processor.state.rip).toBe(BigInt(CODE + LOOP.length));
  });

  it.each([1, 2, 3, 5, 7, 8, 100, 701])(
    'stops after exactly %i instructions, in the state of single steps',
    (count) => {
      const stepped = machineWith(LOOP).processor;
      const ran = machineWith(LOOP).processor;
      for (const processor of [stepped, ran]) {
        processor.state.writeGpr(GPR.RSI, BigInt(DATA));
        processor.state.writeGpr(GPR.R8, 200n);
      }
      for (let n = 0; n < count; n++) stepped.step();
      expect(ran.run({ cycles: UNLIMITED, instructions: count }).kind).toBe('budget');
      expect(ran.instructionsRetired).toBe(count);
      expect(snapshot(ran)).toEqual(snapshot(stepped));
    },
  );

  it('stops at the first boundary at which the cycles have passed', () => {
    for (const cycles of [1, 6, 7, 20, 333]) {
      const { processor } = machineWith(LOOP);
      processor.state.writeGpr(GPR.RSI, BigInt(DATA));
      processor.state.writeGpr(GPR.R8, 200n);
      expect(processor.run({ cycles, instructions: UNLIMITED }).kind).toBe('budget');
      expect(processor.timeStampCounter).toBe(cycles);
    }
  });

  it('sees code that the running block itself changes', () => {
    // mov byte [rip+1], 0x2a (the immediate of the next instruction); mov al, 0x11; hlt
    const { processor } = machineWith([0xc6, 0x05, 0x01, 0, 0, 0, 0x2a, 0xb0, 0x11, 0xf4]);
    expect(processor.run({ cycles: UNLIMITED, instructions: UNLIMITED }).kind).toBe('halt');
    expect(processor.state.readGpr(GPR.RAX)).toBe(0x2an);
    expect(processor.instructionsRetired).toBe(3);
  });

  it('sees code that was changed after it had been linked', () => {
    // l: inc eax; cmp eax, 5; jne s; mov byte [rel s+1], 0x0b (je becomes a jump over); s: jmp short t; nop; t: cmp eax,9; jb l; hlt
    const code = [
      0xff, 0xc0, 0x83, 0xf8, 0x05, 0x75, 0x07, 0xc6, 0x05, 0x01, 0x00, 0x00, 0x00, 0x02, 0xeb, 0x00, 0xff,
      0xc3, 0x83, 0xf8, 0x09, 0x72, 0xe9, 0xf4,
    ];
    const { processor } = machineWith(code);
    expect(processor.run({ cycles: UNLIMITED, instructions: UNLIMITED }).kind).toBe('halt');
    // `inc ebx` ran in iterations 1 to 4 only; from the 5th on it was jumped over.
    expect(processor.state.readGpr(GPR.RBX)).toBe(4n);
  });

  it('runs instructions and accesses that cross a page', () => {
    // mov rax, imm64 across the page end; mov [rbx], rax; mov rcx, [rbx]; hlt
    const { processor } = machineWith(
      [0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8, 0x48, 0x89, 0x03, 0x48, 0x8b, 0x0b, 0xf4],
      CODE + 0xffb,
    );
    processor.state.writeGpr(GPR.RBX, BigInt(DATA + 0xffd));
    expect(processor.run({ cycles: UNLIMITED, instructions: UNLIMITED }).kind).toBe('halt');
    expect(processor.state.readGpr(GPR.RCX)).toBe(0x0807060504030201n);
    expect(processor.instructionsRetired).toBe(4);
  });

  it('counts a repeated string instruction once and stops between its iterations', () => {
    const whole = machineWith([0xf3, 0xa4, 0xf4]);
    const cut = machineWith([0xf3, 0xa4, 0xf4]);
    for (const { processor, memory } of [whole, cut]) {
      for (let n = 0; n < 100; n++) memory.write8(hostPhysical(DATA + n), n);
      processor.state.writeGpr(GPR.RSI, BigInt(DATA));
      processor.state.writeGpr(GPR.RDI, BigInt(DATA + 0x1000));
      processor.state.writeGpr(GPR.RCX, 100n);
    }
    expect(whole.processor.run({ cycles: UNLIMITED, instructions: UNLIMITED }).kind).toBe('halt');
    let cuts = 0;
    while (cut.processor.run({ cycles: 7, instructions: UNLIMITED }).kind === 'budget') cuts++;
    expect(cuts).toBeGreaterThan(10);
    expect(whole.processor.instructionsRetired).toBe(2);
    expect(snapshot(cut.processor)).toEqual(snapshot(whole.processor));
    expect(cut.memory.bytes.slice(DATA + 0x1000, DATA + 0x1064)).toEqual(
      Uint8Array.from({ length: 100 }, (_, n) => n),
    );
  });
});
