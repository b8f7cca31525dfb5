/** The emulator's ways through memory, MMIO, ports and faults, and what they are charged. */

import { beforeEach, describe, expect, it } from 'vitest';
import { GPR } from '../../../src/architecture/registers.js';
import { deviceAt } from '../../../src/kvm/device-at.js';
import { EmulatorStateError } from '../../../src/kvm/emulator/emulator.js';
import type { BusDevice, RangedDevice } from '../../../src/kvm/io-bus.js';
import { EMULATION_POLICIES, TestGuest } from './guest.js';

const CODE = 0x1000;
const DATA = 0x8000;
const APIC = 0xfee00000;
/** Guest-physical, in no memory slot. */
const DEVICE = 0xc0000000;

class RecordingDevice implements RangedDevice {
  readonly name = 'recorder';
  readonly writes: (readonly [number, number, number])[] = [];
  reads = 0;
  readonly ranges: RangedDevice['ranges'];
  private readonly first: number;
  private readonly value: number;
  constructor(first: number, value = 0) {
    this.first = first;
    this.value = value;
    this.ranges = [{ first, length: 0x1000 }];
  }
  read(address: number): number | undefined {
    if ((address - this.first) >>> 0 >= 0x1000) return undefined;
    this.reads++;
    return this.value;
  }
  write(address: number, size: number, value: number): boolean {
    if ((address - this.first) >>> 0 >= 0x1000) return false;
    this.writes.push([address - this.first, size, value]);
    return true;
  }
}

function guestWith(code: readonly number[], localApic?: BusDevice): TestGuest {
  const guest = new TestGuest(localApic, policy);
  guest.map(BigInt(CODE), CODE);
  guest.map(BigInt(DATA), DATA, 2);
  guest.map(BigInt(APIC), APIC);
  guest.map(BigInt(DEVICE), DEVICE);
  guest.ram(CODE, code.length).set(code);
  guest.vcpu.rip = BigInt(CODE);
  return guest;
}

let policy: (typeof EMULATION_POLICIES)[number] = 'full';

// mov dword [rdi], eax
const STORE_EAX = [0x89, 0x07];
// mov eax, [rdi]
const LOAD_EAX = [0x8b, 0x07];

describe.each(EMULATION_POLICIES)('%s emulation', (name) => {
  beforeEach(() => {
    policy = name;
  });

  describe('MMIO through the emulator', () => {
    it('gives a write to the APIC page to the local APIC, whatever slot backs the page', () => {
      const apic = new RecordingDevice(APIC);
      const guest = guestWith(STORE_EAX, apic);
      guest.slots.setRegion({
        slot: 33,
        guestPhysicalAddress: APIC as never,
        sizeInBytes: 4096,
        userspaceAddress: 0x7f0000300000,
      });
      guest.vcpu.registers[GPR.RDI] = BigInt(APIC + 0xb0);
      guest.vcpu.registers[GPR.RAX] = 0x1_0000_0002n;
      expect(guest.emulator.emulate()).toEqual({ kind: 'done' });
      expect(apic.writes).toEqual([[0xb0, 4, 2]]);
      expect(guest.vcpu.rip).toBe(BigInt(CODE + 2));
      expect(guest.vcpu.shadowCleared).toBe(1);
    });

    it('charges an EOI write as the fact sheet lists it: set-up, fetch walk, decode, operand walk, write-back', () => {
      policy = 'full';
      const guest = guestWith(STORE_EAX, new RecordingDevice(APIC));
      guest.vcpu.registers[GPR.RDI] = BigInt(APIC + 0xb0);
      guest.emulator.emulate();
      const { vcpu } = guest;
      for (const name of ['set-up', 'fetch', 'decode', 'operand access', 'execute', 'write-back'])
        expect(vcpu.of(`emulator ${name}`), name).toBe(1);
      // Four levels for the fetch, four for the operand.
      expect(vcpu.of('emulator page-walk step')).toBe(8);
      // Each table entry and the code page go through the memory slots; the APIC page does not.
      expect(vcpu.of('memslot look-up step')).toBe(9);
    });

    it('asks an in-kernel device before user space', () => {
      const guest = guestWith(LOAD_EAX);
      const device = new RecordingDevice(DEVICE, 0x89abcdef);
      guest.mmioBus.register(device);
      guest.vcpu.registers[GPR.RDI] = BigInt(DEVICE + 8);
      guest.vcpu.registers[GPR.RAX] = -1n;
      expect(guest.emulator.emulate()).toEqual({ kind: 'done' });
      expect(guest.vcpu.registers[GPR.RAX]).toBe(0x89abcdefn);
      expect(device.reads).toBe(1);
    });

    it('leaves a write that nobody claims to user space, with the instruction complete', () => {
      const guest = guestWith(STORE_EAX);
      guest.vcpu.registers[GPR.RDI] = BigInt(DEVICE + 4);
      guest.vcpu.registers[GPR.RAX] = 0x12345678n;
      expect(guest.emulator.emulate()).toEqual({
        kind: 'user-space MMIO',
        access: { guestPhysicalAddress: DEVICE + 4, sizeInBytes: 4, write: true, value: 0x12345678n },
      });
      expect(guest.vcpu.rip).toBe(BigInt(CODE + 2));
      expect(guest.emulator.completeMmio(0n)).toEqual({ kind: 'done' });
      expect(() => guest.emulator.completeMmio(0n)).toThrow(EmulatorStateError);
    });

    it('stops at a read that nobody claims, changes nothing, and completes with the data', () => {
      // add [rdi], eax: reads, then writes the same MMIO address.
      const guest = guestWith([0x01, 0x07]);
      guest.vcpu.registers[GPR.RDI] = BigInt(DEVICE);
      guest.vcpu.registers[GPR.RAX] = 1n;
      guest.vcpu.rflags = 2;
      expect(guest.emulator.emulate()).toEqual({
        kind: 'user-space MMIO',
        access: { guestPhysicalAddress: DEVICE, sizeInBytes: 4, write: false, value: 0n },
      });
      expect(guest.vcpu.rip).toBe(BigInt(CODE));
      expect(guest.emulator.completeMmio(0xffffffffn)).toEqual({
        kind: 'user-space MMIO',
        access: { guestPhysicalAddress: DEVICE, sizeInBytes: 4, write: true, value: 0n },
      });
      expect(guest.vcpu.rip).toBe(BigInt(CODE + 2));
      // CF, PF, AF and ZF of 0xffffffff + 1.
      expect(guest.vcpu.rflags).toBe(0x57);
      expect(guest.emulator.completeMmio(0n)).toEqual({ kind: 'done' });
    });

    it('splits an access that crosses a page, each part in a size that exists', () => {
      // mov [rdi], rax with the first three bytes in RAM, five in the device's page.
      const guest = guestWith([0x48, 0x89, 0x07]);
      guest.map(BigInt(DATA + 0x1000), DEVICE);
      guest.vcpu.registers[GPR.RDI] = BigInt(DATA + 0xffd);
      guest.vcpu.registers[GPR.RAX] = 0x8877665544332211n;
      const first = guest.emulator.emulate();
      expect(first).toEqual({
        kind: 'user-space MMIO',
        access: { guestPhysicalAddress: DEVICE, sizeInBytes: 4, write: true, value: 0x77665544n },
      });
      expect(guest.emulator.completeMmio(0n)).toEqual({
        kind: 'user-space MMIO',
        access: { guestPhysicalAddress: DEVICE + 4, sizeInBytes: 1, write: true, value: 0x88n },
      });
      expect(guest.emulator.completeMmio(0n)).toEqual({ kind: 'done' });
      expect([...guest.ram(DATA + 0xffd, 3)]).toEqual([0x11, 0x22, 0x33]);
    });

    it('reads each MMIO location once, though the instruction starts over', () => {
      // cmpsd: two reads, the first from an in-kernel device, the second from user space.
      const guest = guestWith([0xa7]);
      const device = new RecordingDevice(DEVICE, 5);
      guest.mmioBus.register(device);
      guest.map(BigInt(DEVICE + 0x1000), DEVICE + 0x1000);
      guest.vcpu.registers[GPR.RSI] = BigInt(DEVICE);
      guest.vcpu.registers[GPR.RDI] = BigInt(DEVICE + 0x1000);
      expect(guest.emulator.emulate().kind).toBe('user-space MMIO');
      expect(guest.emulator.completeMmio(5n)).toEqual({ kind: 'done' });
      expect(device.reads).toBe(1);
      expect(guest.vcpu.rflags & 0x40).toBe(0x40);
    });

    it('clears RF when the instruction is complete, and not before', () => {
      const guest = guestWith([0xf3, 0xaa]); // rep stosb
      guest.vcpu.registers[GPR.RDI] = BigInt(DATA);
      guest.vcpu.registers[GPR.RCX] = 2n;
      guest.vcpu.rflags = 0x10002;
      guest.emulator.emulate();
      expect(guest.vcpu.rflags).toBe(0x10002);
      guest.emulator.emulate();
      expect(guest.vcpu.rflags).toBe(2);
    });

    it('does one iteration of a repeated instruction and leaves RIP in place', () => {
      const guest = guestWith([0xf3, 0xab]);
      const device = new RecordingDevice(DEVICE);
      guest.mmioBus.register(device);
      guest.vcpu.registers[GPR.RDI] = BigInt(DEVICE);
      guest.vcpu.registers[GPR.RCX] = 2n;
      guest.vcpu.registers[GPR.RAX] = 7n;
      guest.emulator.emulate();
      expect(guest.vcpu.rip).toBe(BigInt(CODE));
      expect(guest.vcpu.registers[GPR.RCX]).toBe(1n);
      guest.emulator.emulate();
      expect(guest.vcpu.rip).toBe(BigInt(CODE + 2));
      expect(device.writes).toEqual([
        [0, 4, 7],
        [4, 4, 7],
      ]);
    });
  });

  describe('faults found by the emulator', () => {
    it('injects #PF with the error code of a write to a page that is not present', () => {
      const guest = guestWith(STORE_EAX);
      guest.vcpu.registers[GPR.RDI] = 0x40000123n;
      expect(guest.emulator.emulate()).toEqual({ kind: 'fault' });
      expect(guest.vcpu.exception).toEqual({ vector: 14, errorCode: 2, address: 0x40000123n });
      expect(guest.vcpu.rip).toBe(BigInt(CODE));
    });

    it('reports the second page of a crossing access, and writes nothing to the first', () => {
      const guest = guestWith(STORE_EAX);
      guest.vcpu.registers[GPR.RDI] = BigInt(DATA + 0x1ffe);
      guest.vcpu.registers[GPR.RAX] = 0xffffffffn;
      expect(guest.emulator.emulate()).toEqual({ kind: 'fault' });
      expect(guest.vcpu.exception).toEqual({ vector: 14, errorCode: 2, address: BigInt(DATA + 0x2000) });
      expect([...guest.ram(DATA + 0x1ffe, 2)]).toEqual([0, 0]);
    });

    it('refuses user mode the supervisor pages', () => {
      const guest = guestWith(LOAD_EAX);
      guest.map(BigInt(DATA), DATA, 1, 3n);
      guest.vcpu.privilegeLevel = 3;
      guest.vcpu.registers[GPR.RDI] = BigInt(DATA);
      expect(guest.emulator.emulate()).toEqual({ kind: 'fault' });
      expect(guest.vcpu.exception).toEqual({ vector: 14, errorCode: 5, address: BigInt(DATA) });
    });

    it('raises #GP and #SS for addresses that are not canonical', () => {
      const guest = guestWith([...LOAD_EAX, 0x8b, 0x45, 0x00]); // mov eax, [rdi]; mov eax, [rbp]
      guest.vcpu.registers[GPR.RDI] = 0x8000_0000_0000n;
      guest.vcpu.registers[GPR.RBP] = 0x8000_0000_0000n;
      guest.emulator.emulate();
      expect(guest.vcpu.takeException()).toEqual({ vector: 13, errorCode: 0 });
      guest.vcpu.rip += 2n;
      guest.emulator.emulate();
      expect(guest.vcpu.takeException()).toEqual({ vector: 12, errorCode: 0 });
    });

    it('fetches across a page, and faults as a fetch when the second page is missing', () => {
      const guest = guestWith([]);
      guest.ram(CODE + 0xfff, 1)[0] = 0x89;
      guest.vcpu.rip = BigInt(CODE + 0xfff);
      guest.vcpu.registers[GPR.RDI] = BigInt(DATA);
      expect(guest.emulator.emulate()).toEqual({ kind: 'fault' });
      // EFER.NXE is set: bit 4 of the error code says instruction fetch.
      expect(guest.vcpu.takeException()).toEqual({
        vector: 14,
        errorCode: 0x10,
        address: BigInt(CODE + 0x1000),
      });
      guest.map(BigInt(CODE + 0x1000), 0x6000);
      guest.ram(0x6000, 1)[0] = 0x07;
      expect(guest.emulator.emulate()).toEqual({ kind: 'done' });
      expect(guest.vcpu.rip).toBe(BigInt(CODE + 0x1001));
    });

    it('says which instruction it can not emulate', () => {
      const guest = guestWith([0x0f, 0xa2]); // cpuid
      expect(guest.emulator.emulate()).toEqual({
        kind: 'failed',
        rip: BigInt(CODE),
        bytes: Uint8Array.from([0x0f, 0xa2]),
        mnemonic: 'CPUID',
      });
      guest.ram(CODE, 1).set([0x06]); // PUSH ES does not exist in 64-bit code
      expect(guest.emulator.emulate()).toMatchObject({ kind: 'failed', mnemonic: undefined });
      expect(guest.vcpu.exception).toBeUndefined();
      // mov ds, [rdi]: a MOV, but a segment load.
      guest.ram(CODE, 2).set([0x8e, 0x1f]);
      expect(guest.emulator.emulate()).toMatchObject({ kind: 'failed', mnemonic: 'MOV' });
    });
  });

  describe('port instructions', () => {
    const REP_OUTSB = [0xf3, 0x6e];
    const REP_INSW = [0xf3, 0x66, 0x6d];

    it('hands a batch of REP OUTS to user space, up to the end of the page', () => {
      const guest = guestWith(REP_OUTSB);
      guest.ram(DATA + 0xffd, 5).set([1, 2, 3, 4, 5]);
      guest.vcpu.registers[GPR.RSI] = BigInt(DATA + 0xffd);
      guest.vcpu.registers[GPR.RCX] = 5n;
      guest.vcpu.registers[GPR.RDX] = 0x3f8n;
      const first = guest.emulator.emulate();
      expect(first).toEqual({
        kind: 'user-space port',
        access: { port: 0x3f8, sizeInBytes: 1, count: 3, write: true, data: Uint8Array.from([1, 2, 3]) },
      });
      expect(guest.emulator.completePort(new Uint8Array(0))).toEqual({ kind: 'done' });
      expect(guest.vcpu.rip).toBe(BigInt(CODE));
      const second = guest.emulator.emulate();
      expect(second).toMatchObject({ access: { count: 2, data: Uint8Array.from([4, 5]) } });
      expect(guest.vcpu.rip).toBe(BigInt(CODE + 2));
      expect(guest.vcpu.registers[GPR.RSI]).toBe(BigInt(DATA + 0x1002));
    });

    it('writes what user space read for REP INS to memory, and then moves on', () => {
      const guest = guestWith(REP_INSW);
      guest.vcpu.registers[GPR.RDI] = BigInt(DATA);
      guest.vcpu.registers[GPR.RCX] = 2n;
      guest.vcpu.registers[GPR.RDX] = 0x1f0n;
      expect(guest.emulator.emulate()).toEqual({
        kind: 'user-space port',
        access: { port: 0x1f0, sizeInBytes: 2, count: 2, write: false, data: new Uint8Array(0) },
      });
      expect(guest.vcpu.registers[GPR.RCX]).toBe(2n);
      expect(guest.emulator.completePort(Uint8Array.from([1, 2, 3, 4]))).toEqual({ kind: 'done' });
      expect([...guest.ram(DATA, 4)]).toEqual([1, 2, 3, 4]);
      expect(guest.vcpu.registers[GPR.RCX]).toBe(0n);
      expect(guest.vcpu.rip).toBe(BigInt(CODE + 3));
    });

    it('serves string and plain port instructions in the kernel when a device is there', () => {
      const guest = guestWith([...REP_OUTSB, 0xec, 0xef]); // rep outsb; in al, dx; out dx, eax
      const bytes: number[] = [];
      guest.ports.register(
        deviceAt('console', [
          {
            first: 0xe9,
            length: 1,
            device: {
              read: () => 0xe9,
              peek: () => 0xe9,
              write: (_offset, _size, value) => bytes.push(value),
            },
          },
        ]),
      );
      guest.ram(DATA, 3).set([7, 8, 9]);
      guest.vcpu.registers[GPR.RSI] = BigInt(DATA + 2);
      guest.vcpu.registers[GPR.RCX] = 3n;
      guest.vcpu.registers[GPR.RDX] = 0xe9n;
      guest.vcpu.registers[GPR.RAX] = 0x1100n;
      guest.vcpu.rflags = 0x402; // DF: downwards
      for (let instruction = 0; instruction < 3; instruction++)
        expect(guest.emulator.emulate()).toEqual({ kind: 'done' });
      expect(bytes).toEqual([9, 8, 7, 0x11e9]);
      expect(guest.vcpu.rip).toBe(BigInt(CODE + 4));
    });

    it('waits for the data of IN from a port without a device', () => {
      const guest = guestWith([0xe5, 0x60]); // in eax, 0x60
      guest.vcpu.registers[GPR.RAX] = -1n;
      expect(guest.emulator.emulate()).toMatchObject({
        access: { port: 0x60, sizeInBytes: 4, write: false },
      });
      expect(guest.emulator.completePort(Uint8Array.from([0x78, 0x56, 0x34, 0x92]))).toEqual({
        kind: 'done',
      });
      expect(guest.vcpu.registers[GPR.RAX]).toBe(0x92345678n);
      expect(guest.vcpu.rip).toBe(BigInt(CODE + 2));
    });
  });
});
