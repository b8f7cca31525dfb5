/** 16-bit and 32-bit code: segment bases, address sizes, stack width (SDM Vol. 1, 3.6 and 3.7.5). */

import { describe, expect, it } from 'vitest';
import { GPR } from '../../../src/architecture/registers.js';
import { TestGuest } from './guest.js';

const CODE = 0x1000;
const DATA_BASE = 0x8000;
const STACK_BASE = 0xa000;
const EXTRA_BASE = 0xc000;

/** Without paging, so that linear addresses are physical ones. */
function legacyGuest(codeRights: number, stackRights: number, code: readonly number[]): TestGuest {
  const guest = new TestGuest();
  const { vcpu } = guest;
  vcpu.cr0 = 0x11;
  vcpu.efer = 0;
  vcpu.codeRights = codeRights;
  vcpu.stackRights = stackRights;
  vcpu.bases.splice(0, 4, BigInt(EXTRA_BASE), BigInt(CODE), BigInt(STACK_BASE), BigInt(DATA_BASE));
  vcpu.rip = 0n;
  guest.ram(CODE, code.length).set(code);
  return guest;
}
const CODE_16 = 0x9b;
const CODE_32 = 0x409b;
const STACK_16 = 0x93;
const STACK_32 = 0x4093;

describe('16-bit code', () => {
  it('adds base and index modulo 64 KiB, in the data segment', () => {
    const guest = legacyGuest(CODE_16, STACK_16, [0x89, 0x40, 0x10]); // mov [bx+si+16], ax
    guest.vcpu.registers[GPR.RBX] = 0x5555_ff00n;
    guest.vcpu.registers[GPR.RSI] = 0x6666_0120n;
    guest.vcpu.registers[GPR.RAX] = 0x7777_abcdn;
    expect(guest.emulator.emulate()).toEqual({ kind: 'done' });
    // 0xff00 + 0x120 + 0x10 = 0x10030, of which 16 bits count.
    expect([...guest.ram(DATA_BASE + 0x30, 3)]).toEqual([0xcd, 0xab, 0]);
    expect(guest.vcpu.rip).toBe(3n);
  });

  it('uses the stack segment for BP, and an override instead of it', () => {
    const guest = legacyGuest(CODE_16, STACK_16, [0xc6, 0x46, 0x02, 0x11, 0x26, 0xc6, 0x46, 0x02, 0x22]);
    guest.vcpu.registers[GPR.RBP] = 0x10n;
    guest.emulator.emulate(); // mov byte [bp+2], 0x11
    guest.emulator.emulate(); // mov byte [es:bp+2], 0x22
    expect(guest.ram(STACK_BASE + 0x12, 1)[0]).toBe(0x11);
    expect(guest.ram(EXTRA_BASE + 0x12, 1)[0]).toBe(0x22);
    expect(guest.vcpu.rip).toBe(9n);
  });

  it('moves SP only, not the upper half of ESP', () => {
    const guest = legacyGuest(CODE_16, STACK_16, [0xff, 0x36, 0x00, 0x01]); // push word [0x100]
    guest.ram(DATA_BASE + 0x100, 2).set([0x34, 0x12]);
    guest.vcpu.registers[GPR.RSP] = 0xffff_0002n;
    guest.emulator.emulate();
    expect(guest.vcpu.registers[GPR.RSP]).toBe(0xffff_0000n);
    expect([...guest.ram(STACK_BASE, 2)]).toEqual([0x34, 0x12]);
  });

  it('counts strings in CX and DI', () => {
    const guest = legacyGuest(CODE_16, STACK_16, [0xf3, 0xab]); // rep stosw
    guest.vcpu.registers[GPR.RCX] = 0x9999_0001n;
    guest.vcpu.registers[GPR.RDI] = 0x8888_fffen;
    guest.vcpu.registers[GPR.RAX] = 0xaa55n;
    guest.emulator.emulate();
    expect([...guest.ram(EXTRA_BASE + 0xfffe, 2)]).toEqual([0x55, 0xaa]);
    expect(guest.vcpu.registers[GPR.RDI]).toBe(0x8888_0000n);
    expect(guest.vcpu.registers[GPR.RCX]).toBe(0x9999_0000n);
    expect(guest.vcpu.rip).toBe(2n);
  });
});

describe('32-bit code', () => {
  it('has 32-bit registers and addresses, 16 bits with prefixes', () => {
    const guest = legacyGuest(CODE_32, STACK_32, [
      ...[0x89, 0x44, 0xb3, 0x10], // mov [ebx+esi*4+16], eax
      ...[0x67, 0x66, 0x8b, 0x0f], // mov cx, [bx]
      ...[0x40], // inc eax
    ]);
    guest.vcpu.registers[GPR.RBX] = 0x100n;
    guest.vcpu.registers[GPR.RSI] = 4n;
    guest.vcpu.registers[GPR.RAX] = 0xffff_ffffn;
    guest.ram(DATA_BASE + 0x100, 2).set([0x78, 0x56]);
    for (let instruction = 0; instruction < 3; instruction++)
      expect(guest.emulator.emulate()).toEqual({ kind: 'done' });
    expect([...guest.ram(DATA_BASE + 0x120, 5)]).toEqual([0xff, 0xff, 0xff, 0xff, 0]);
    expect(guest.vcpu.registers[GPR.RCX] & 0xffffn).toBe(0x5678n);
    expect(guest.vcpu.registers[GPR.RAX]).toBe(0n);
    expect(guest.vcpu.rflags & 0x40).toBe(0x40);
    expect(guest.vcpu.rip).toBe(9n);
  });

  it('wraps linear addresses at 4 GiB', () => {
    const guest = legacyGuest(CODE_32, STACK_32, [0xa2, 0x08, 0x80, 0xff, 0xff]); // mov [0xffff8008], al
    guest.vcpu.registers[GPR.RAX] = 0x5an;
    guest.emulator.emulate();
    expect(guest.ram(8, 1)[0]).toBe(0x5a);
  });
});
