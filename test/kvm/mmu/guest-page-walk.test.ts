/** The software walk of guest page tables against the rules of SDM Vol. 3A, Chapter 4 Paging. */

import { describe, expect, it } from 'vitest';
import type { GuestAccess } from '../../../src/kvm/mmu/guest-page-walk.js';
import { guestPhysical } from '../../../src/memory/addresses.js';
import { TestGuest } from '../emulator/guest.js';

const LINEAR = 0xffff_8000_1234_5000n;
const NX = 1n << 63n;
const present = 1;
const write = 2;
const user = 4;
const reserved = 8;
const fetch = 16;

function walk(guest: TestGuest, linear: bigint, access: GuestAccess = 'read', asUser = false) {
  const result = guest.walker.translate(guest.vcpu, linear, access, asUser, guest.vcpu);
  return typeof result === 'number' ? result : { errorCode: result.errorCode };
}

describe('4.5 4-Level Paging', () => {
  it('translates through four levels and keeps the offset', () => {
    const guest = new TestGuest();
    guest.map(LINEAR, 0x7000);
    expect(walk(guest, LINEAR + 0xabcn)).toBe(0x7abc);
    expect(guest.vcpu.of('emulator page-walk step')).toBe(4);
    expect(guest.vcpu.of('memslot look-up step')).toBe(4);
  });

  it.each([
    [2, 0x200000n, 0x54321n],
    [3, 0x40000000n, 0x1abcdefn],
  ])('stops at a large page at level %d', (level, page, offset) => {
    const guest = new TestGuest();
    guest.write64(guest.entryAddress(LINEAR, level), page | 0x87n);
    const size = 2n ** BigInt(12 + 9 * (level - 1));
    expect(walk(guest, LINEAR - (LINEAR % size) + offset)).toBe(Number(page + offset));
    expect(guest.vcpu.of('emulator page-walk step')).toBe(5 - level);
  });

  it('sets accessed bits on the way, and the dirty bit on a write only', () => {
    const guest = new TestGuest();
    guest.map(LINEAR, 0x7000);
    const entries = [4, 3, 2, 1].map((level) => guest.entryAddress(LINEAR, level));
    const bits = () => entries.map((address) => guest.read64(address) & 0x60n);
    expect(bits()).toEqual([0n, 0n, 0n, 0n]);
    walk(guest, LINEAR);
    expect(bits()).toEqual([0x20n, 0x20n, 0x20n, 0x20n]);
    walk(guest, LINEAR, 'write');
    expect(bits()).toEqual([0x20n, 0x20n, 0x20n, 0x60n]);
  });

  it('lets an observer look without rights and without a trace', () => {
    const guest = new TestGuest();
    guest.map(LINEAR, 0x7000, 1, 1n | NX);
    const before = Buffer.from(guest.ram(0, 0x200000));
    expect(walk(guest, LINEAR + 5n, 'peek')).toBe(0x7005);
    expect(before.equals(guest.ram(0, 0x200000))).toBe(true);
    expect(walk(guest, LINEAR + 0x1000n, 'peek')).toEqual({ errorCode: 0 });
  });

  it.each([4, 3, 2, 1])('faults on a reserved address bit at level %d', (level) => {
    const guest = new TestGuest();
    guest.map(LINEAR, 0x7000);
    const address = guest.entryAddress(LINEAR, level);
    guest.write64(address, guest.read64(address) | (1n << 51n));
    expect(walk(guest, LINEAR, 'write')).toEqual({ errorCode: present | write | reserved });
  });

  it('takes bit 63 for reserved while EFER.NXE is clear', () => {
    const guest = new TestGuest();
    guest.map(LINEAR, 0x7000, 1, 7n | NX);
    expect(walk(guest, LINEAR)).toBe(0x7000);
    guest.vcpu.efer = 0x500;
    expect(walk(guest, LINEAR)).toEqual({ errorCode: present | reserved });
  });

  it('takes PS in a PML4 entry for reserved', () => {
    const guest = new TestGuest();
    guest.map(LINEAR, 0x7000);
    const address = guest.entryAddress(LINEAR, 4);
    guest.write64(address, guest.read64(address) | 0x80n);
    expect(walk(guest, LINEAR)).toEqual({ errorCode: present | reserved });
  });
});

describe('4.6 Access Rights and 4.7 Page-Fault Exceptions', () => {
  const CR0_WP = 0x10000;
  type Row = readonly [
    name: string,
    bits: bigint,
    access: GuestAccess,
    user: boolean,
    wp: boolean,
    error: number | undefined,
  ];
  const rows: readonly Row[] = [
    ['supervisor reads a supervisor page', 1n, 'read', false, true, undefined],
    ['supervisor writes a read-only page, WP set', 1n, 'write', false, true, present | write],
    ['supervisor writes a read-only page, WP clear', 1n, 'write', false, false, undefined],
    ['user reads a supervisor page', 3n, 'read', true, true, present | user],
    ['user reads a user page', 5n, 'read', true, true, undefined],
    ['user writes a read-only page, WP clear', 5n, 'write', true, false, present | write | user],
    ['fetch from an NX page', 5n | NX, 'fetch', true, true, present | user | fetch],
    ['fetch from a page that may be executed', 5n, 'fetch', true, true, undefined],
    ['fetch from a page that is not present', 0n, 'fetch', false, true, fetch],
    ['user write to a page that is not present', 0n, 'write', true, true, write | user],
  ];
  it.each(rows)('%s', (_, bits, access, asUser, writeProtect, error) => {
    const guest = new TestGuest();
    guest.map(LINEAR, 0x7000, 1, bits);
    if (!writeProtect) guest.vcpu.cr0 &= ~CR0_WP;
    expect(walk(guest, LINEAR, access, asUser)).toEqual(error === undefined ? 0x7000 : { errorCode: error });
  });

  it('combines the rights of all levels', () => {
    const guest = new TestGuest();
    guest.map(LINEAR, 0x7000);
    const directory = guest.entryAddress(LINEAR, 2);
    guest.write64(directory, guest.read64(directory) & ~2n);
    expect(walk(guest, LINEAR, 'write', true)).toEqual({ errorCode: present | write | user });
  });

  it('reads a table outside of guest memory as not present', () => {
    const guest = new TestGuest();
    guest.vcpu.cr3 = 0x80000000n;
    expect(walk(guest, LINEAR)).toEqual({ errorCode: 0 });
  });
});

describe('4.3 32-Bit Paging and 4.4 PAE Paging', () => {
  const legacy = (pae: boolean): TestGuest => {
    const guest = new TestGuest();
    guest.vcpu.efer = 0;
    guest.vcpu.cr4 = pae ? 0x20 : 0x10;
    guest.vcpu.cr3 = 0x2000n;
    return guest;
  };
  const put32 = (guest: TestGuest, address: number, value: number) =>
    new DataView(guest.ram(address, 4).buffer, guest.ram(address, 4).byteOffset).setUint32(0, value, true);

  it('walks two levels with ten index bits each', () => {
    const guest = legacy(false);
    put32(guest, 0x2000 + 4 * 0x300, 0x3007);
    put32(guest, 0x3000 + 4 * 0x123, 0x7007);
    expect(walk(guest, 0xc0123456n)).toBe(0x7456);
    expect(guest.vcpu.of('emulator page-walk step')).toBe(2);
  });

  it('takes bits 20:13 of a 4 MiB page for bits 39:32 of its address', () => {
    const guest = legacy(false);
    put32(guest, 0x2000 + 4 * 0x300, 0x00c00087 | (0x12 << 13));
    expect(walk(guest, 0xc0123456n)).toBe(0x1200c00000 + 0x123456);
  });

  it('walks three levels with PAE, the top one of four entries', () => {
    const guest = legacy(true);
    guest.vcpu.cr3 = 0x2020n; // aligned to 32 bytes only
    guest.write64(0x2020 + 8 * 3, 0x3001n);
    guest.write64(0x3000 + 8 * 0, 0x4007n);
    guest.write64(0x4000 + 8 * 0x123, 0x1_0000_7007n);
    expect(walk(guest, 0xc0123456n, 'write', true)).toBe(0x1_0000_7456);
  });

  it('without paging gives the low 32 bits', () => {
    const guest = legacy(false);
    guest.vcpu.cr0 = 0x11;
    expect(walk(guest, 0x1_0000_1234n)).toBe(guestPhysical(0x1234));
    expect(guest.vcpu.of('emulator page-walk step')).toBe(0);
  });
});
