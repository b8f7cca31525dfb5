/** EPT tables checked by a walk written from the manual's description (SDM Vol. 3C, EPT Translation Mechanism). */

import { describe, expect, it } from 'vitest';
import { MemorySlots } from '../../../src/kvm/memory-slots.js';
import { ExtendedPageTables } from '../../../src/kvm/mmu/extended-page-tables.js';
import { handleEptViolation } from '../../../src/kvm/mmu/page-fault.js';
import { guestPhysical, type HostPhysicalAddress, hostPhysical } from '../../../src/memory/addresses.js';
import { PhysicalMemory } from '../../../src/memory/physical-memory.js';
import { Charges } from '../emulator/guest.js';

const USER_BASE = 0x7f0000000000;

class Pages {
  readonly inUse = new Set<number>();
  private next = 0x10000;
  private readonly memory: PhysicalMemory;
  constructor(memory: PhysicalMemory) {
    this.memory = memory;
  }
  allocatePage(): HostPhysicalAddress {
    const page = hostPhysical(this.next);
    this.next += 4096;
    this.memory.bytes.fill(0, page, page + 4096);
    this.inUse.add(page);
    return page;
  }
  freePage(page: HostPhysicalAddress): void {
    expect(this.inUse.delete(page)).toBe(true);
  }
}

function setup() {
  const memory = new PhysicalMemory(new WebAssembly.Memory({ initial: 32 }), 0, 0x200000);
  const pages = new Pages(memory);
  const tables = new ExtendedPageTables(memory, pages);
  const slots = new MemorySlots((user) => user - USER_BASE);
  return { memory, pages, tables, slots, costs: new Charges() };
}

/** What the hardware would find: 9 bits of the address per level from bit 47 down, entries of 8 bytes. */
function hardwareWalk(memory: PhysicalMemory, eptPointer: bigint, guest: number) {
  let table = Number(eptPointer & 0xffffffffff000n);
  for (const shift of [39, 30, 21, 12]) {
    const index = Number((BigInt(guest) >> BigInt(shift)) & 511n);
    const entry = memory.read64(hostPhysical(table + index * 8));
    if ((entry & 7n) === 0n) return undefined;
    const large = shift === 21 && (entry & 0x80n) !== 0n;
    const address = Number(entry & 0xffffffffff000n);
    if (shift === 12 || large) {
      const size = 2 ** shift;
      return {
        host: address - (address % size) + (guest % size),
        size,
        access: Number(entry & 7n),
        memoryType: Number((entry >> 3n) & 7n),
        ignorePat: (entry & 0x40n) !== 0n,
      };
    }
    // Entries that refer to a table: bits 7:3 are reserved.
    expect(entry & 0xf8n).toBe(0n);
    table = address;
  }
  throw new Error('not reached');
}

describe('extended page tables', () => {
  it('have a pointer for a write-back walk of four levels', () => {
    const { tables } = setup();
    expect(tables.pointer & 0xfffn).toBe(0x1en);
    expect(tables.pointer >> 12n).toBe(BigInt(tables.root) >> 12n);
  });

  it('map single pages where the hardware finds them, and nothing beside them', () => {
    const { memory, tables, costs } = setup();
    for (const guest of [0x1000, 0x1ff000, 0x200000, 0x40000000, 0xfee00000, 0x7ffffff000])
      tables.map(guestPhysical(guest), hostPhysical((guest % 0x100000) + 0x3000000), 1, costs);
    for (const guest of [0x1000, 0x1ff000, 0x200000, 0x40000000, 0xfee00000, 0x7ffffff000]) {
      expect(hardwareWalk(memory, tables.pointer, guest + 0x123)).toEqual({
        host: (guest % 0x100000) + 0x3000000 + 0x123,
        size: 4096,
        access: 7,
        memoryType: 6,
        ignorePat: true,
      });
    }
    for (const guest of [0x0, 0x2000, 0x1fe000, 0x201000, 0x40001000, 0xfedff000, 0x7fffffe000])
      expect(hardwareWalk(memory, tables.pointer, guest)).toBeUndefined();
  });

  it('charge one table write per new table and one for the page', () => {
    const { tables, costs } = setup();
    tables.map(guestPhysical(0x1000), hostPhysical(0x5000), 1, costs);
    expect(costs.of('EPT table write')).toBe(4);
    tables.map(guestPhysical(0x2000), hostPhysical(0x6000), 1, costs);
    expect(costs.of('EPT table write')).toBe(5);
  });

  it('replace a table by a 2 MiB page and give the table back', () => {
    const { memory, pages, tables, costs } = setup();
    tables.map(guestPhysical(0x201000), hostPhysical(0x5000), 1, costs);
    expect(pages.inUse.size).toBe(4);
    tables.map(guestPhysical(0x200000), hostPhysical(0x400000), 2, costs);
    expect(pages.inUse.size).toBe(3);
    expect(hardwareWalk(memory, tables.pointer, 0x3abcde)).toMatchObject({ host: 0x5abcde, size: 0x200000 });
  });

  it('are empty after clear, with all pages but the root given back', () => {
    const { memory, pages, tables, costs } = setup();
    for (let page = 0; page < 300; page++)
      tables.map(guestPhysical(page * 0x1230000), hostPhysical(0x5000), 1, costs);
    tables.detach(costs)();
    expect([...pages.inUse]).toEqual([tables.root]);
    for (let page = 0; page < 300; page++)
      expect(hardwareWalk(memory, tables.pointer, page * 0x1230000)).toBeUndefined();
  });
});

describe('EPT violation', () => {
  it('maps the page behind the memory slot', () => {
    const { memory, tables, slots, costs } = setup();
    slots.setRegion({
      slot: 0,
      guestPhysicalAddress: guestPhysical(0x100000),
      sizeInBytes: 0x8000,
      userspaceAddress: USER_BASE + 0x40000,
    });
    expect(handleEptViolation(guestPhysical(0x103456), slots, tables, costs)).toBe('mapped');
    expect(hardwareWalk(memory, tables.pointer, 0x103456)).toMatchObject({ host: 0x43456, size: 4096 });
    expect(hardwareWalk(memory, tables.pointer, 0x102456)).toBeUndefined();
    expect(handleEptViolation(guestPhysical(0x108000), slots, tables, costs)).toBe('no slot');
  });

  it.each([
    ['aligned alike', 0x400000, 0x600000, 0x400000, true, 0x200000],
    ['guest and user address out of step', 0x400000, 0x601000, 0x400000, true, 4096],
    ['slot too short for the 2 MiB', 0x400000, 0x600000, 0x100000, true, 4096],
    ['backed by small pages', 0x400000, 0x600000, 0x400000, false, 4096],
  ])('uses a 2 MiB page only where it fits: %s', (_, guest, user, sizeInBytes, hugePages, size) => {
    const { memory, tables, slots, costs } = setup();
    slots.setRegion({
      slot: 0,
      guestPhysicalAddress: guestPhysical(guest),
      sizeInBytes,
      userspaceAddress: USER_BASE + user,
      hugePages,
    });
    const address = guest + 0x54321;
    handleEptViolation(guestPhysical(address), slots, tables, costs);
    expect(hardwareWalk(memory, tables.pointer, address)).toMatchObject({ host: user + 0x54321, size });
  });
});
