/** What the alternatives of instruction emulation do without, and what they must not do without. */

import { describe, expect, it } from 'vitest';
import { GPR } from '../../../src/architecture/registers.js';
import type { OperationName } from '../../../src/host/cost/operations.js';
import { TALK_I7 } from '../../../src/host/cost/talk-i7.js';
import type { Policies } from '../../../src/kvm/policies.js';
import type { ExitRecord } from '../../../src/trace/events.js';
import { createKvmMachine } from '../kvm-machine.js';
import { EMULATION_POLICIES, TestGuest } from './guest.js';

const cycles = (name: OperationName): number => TALK_I7.entries[name]!.cycles;
const CODE = 0x1000;
const DATA = 0x8000;

function guestWith(code: readonly number[], policy: (typeof EMULATION_POLICIES)[number]): TestGuest {
  const guest = new TestGuest(undefined, policy);
  guest.map(BigInt(CODE), CODE);
  guest.map(BigInt(DATA), DATA);
  guest.ram(CODE, code.length).set(code);
  guest.vcpu.rip = BigInt(CODE);
  guest.vcpu.registers[GPR.RDI] = BigInt(DATA);
  guest.vcpu.registers[GPR.RAX] = 5n;
  return guest;
}

describe('decode cache', () => {
  it('decodes an instruction once', () => {
    const guest = guestWith([0x01, 0x07], 'decode-cache'); // add [rdi], eax
    for (let time = 1; time <= 3; time++) {
      guest.vcpu.rip = BigInt(CODE);
      guest.emulator.emulate();
      expect(guest.ram(DATA, 1)[0]).toBe(5 * time);
    }
    expect(guest.vcpu.of('emulator decode')).toBe(1);
    expect(guest.vcpu.of('emulator decode-cache look-up')).toBe(3);
  });

  it('sees that code has changed', () => {
    const guest = guestWith([0x01, 0x07], 'decode-cache');
    guest.emulator.emulate();
    guest.ram(CODE, 1)[0] = 0x29; // sub [rdi], eax
    guest.vcpu.rip = BigInt(CODE);
    guest.emulator.emulate();
    expect(guest.ram(DATA, 1)[0]).toBe(0);
  });

  it('sees that the page behind the address has changed, and the size of the code segment', () => {
    const guest = guestWith([0x48, 0x89, 0x07], 'decode-cache'); // mov [rdi], rax; in 32-bit code: dec eax
    guest.emulator.emulate();
    guest.map(BigInt(CODE), 0x9000);
    guest.ram(0x9000, 3).set([0x48, 0x01, 0x07]);
    guest.vcpu.rip = BigInt(CODE);
    guest.emulator.emulate();
    expect(guest.ram(DATA, 1)[0]).toBe(10);
    guest.ram(0x9000, 3).set([0x48, 0x89, 0x07]);
    guest.vcpu.codeRights = 0xc09b;
    guest.vcpu.rip = BigInt(CODE);
    guest.emulator.emulate();
    expect(guest.vcpu.registers[GPR.RAX]).toBe(4n);
  });

  it('keeps instructions that cross a page, and those whose addresses collide, apart', () => {
    const guest = guestWith([], 'decode-cache');
    guest.map(BigInt(CODE + 0x1000), CODE + 0x1000);
    for (const immediate of [1, 2]) {
      guest.ram(CODE + 0xffe, 3).set([0x80, 0x07, immediate]); // add byte [rdi], imm8
      guest.vcpu.rip = BigInt(CODE + 0xffe);
      guest.emulator.emulate();
    }
    expect(guest.ram(DATA, 1)[0]).toBe(3);
    guest.ram(CODE, 3).set([0x80, 0x07, 10]);
    guest.ram(CODE + 64, 3).set([0x80, 0x07, 20]);
    for (const offset of [0, 64, 0, 64]) {
      guest.vcpu.rip = BigInt(CODE + offset);
      guest.emulator.emulate();
    }
    expect(guest.ram(DATA, 1)[0]).toBe(63);
  });
});

describe('an end of interrupt through memory', () => {
  const CODE_EOI = `
    mov edi, 0xfee00000
    mov dword [rdi + 0xf0], 0x1ff
    mov ecx, 3
  .next:
    mov dword [rdi + 0xb0], 0
    loop .next
    hlt`;

  function lastOf(policies: Partial<Policies>): ExitRecord {
    const machine = createKvmMachine({ code: CODE_EOI, policies });
    const exits: ExitRecord[] = [];
    machine.kvm.trace = { vmExit: (record) => exits.push(record) };
    machine.run();
    expect(machine.kvm.halted).toBe(true);
    return exits.filter(({ reasonName }) => reasonName === 'APIC_ACCESS').at(-1)!;
  }
  const count = (exit: ExitRecord, name: string): number =>
    exit.stages
      .flatMap(({ operations }) => operations)
      .filter((operation) => operation.name === name)
      .reduce((sum, operation) => sum + operation.count, 0);

  const [full, cached, lean] = EMULATION_POLICIES.map((instructionEmulation) =>
    lastOf({ instructionEmulation }),
  ) as [ExitRecord, ExitRecord, ExitRecord];

  it('is the calibrated path when emulated in full', () => {
    expect(full.cycles).toBe(4677);
  });

  it('saves decoding with a decode cache, and nothing else', () => {
    expect(count(cached, 'emulator decode')).toBe(0);
    expect(count(cached, 'VMREAD')).toBe(count(full, 'VMREAD'));
    expect(count(cached, 'emulator page-walk step')).toBe(count(full, 'emulator page-walk step'));
    expect(full.cycles - cached.cycles).toBe(
      cycles('emulator decode') - cycles('emulator decode-cache look-up'),
    );
  });

  it('saves RSP, both ways, when lean', () => {
    expect(count(full, 'VMREAD') - count(lean, 'VMREAD')).toBe(1);
    expect(count(full, 'VMWRITE') - count(lean, 'VMWRITE')).toBe(1);
    expect(lean.cycles).toBeLessThan(cached.cycles);
  });
});
