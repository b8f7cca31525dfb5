import { describe, expect, it } from 'vitest';
import { BOOT_REGISTERS, writeBootTables } from '../../src/machine/boot-state.js';
import { BOOT_STACK_TOP, FIRST_IMAGE_ADDRESS } from '../../src/machine/memory-map.js';

const memory = new Map<number, bigint>();
writeBootTables((address, value) => memory.set(address, value));

/** A page walk by the book (SDM Vol. 3A, Figure 4-9 Translation to a 2-MByte Page), without the code under test. */
function translate(linear: number): { physical: number; flags: bigint } {
  const index = (shift: number): number => Math.floor(linear / 2 ** shift) % 512;
  let table = Number(BOOT_REGISTERS.cr3);
  for (const shift of [39, 30]) {
    const entry = memory.get(table + index(shift) * 8) ?? 0n;
    expect(entry & 0xfffn, `entry at level ${shift}`).toBe(3n);
    table = Number(entry & 0xffffffffff000n);
  }
  const page = memory.get(table + index(21) * 8) ?? 0n;
  return { physical: Number(page & 0xfffffffe00000n) + (linear % 2 ** 21), flags: page & 0xfffn };
}

describe('boot state', () => {
  it('maps the first 4 GiB one to one, writable, for the supervisor, with 2-MByte pages', () => {
    for (const address of [0, 0x100000, 0x1fffff, 0x200000, 0x3fffffff, 0x40000000, 0xfee00000, 0xffffffff]) {
      const { physical, flags } = translate(address);
      expect(physical).toBe(address);
      expect(flags).toBe(0x83n);
    }
  });

  it('maps nothing above', () => {
    expect(memory.get(Number(BOOT_REGISTERS.cr3) + 8)).toBeUndefined();
    const pointerTable = Number(memory.get(Number(BOOT_REGISTERS.cr3))! & 0xffffffffff000n);
    expect(memory.get(pointerTable + 4 * 8)).toBeUndefined();
  });

  it('keeps boot structures apart from stack and image', () => {
    const highest = Math.max(...memory.keys()) + 8;
    expect(highest).toBeLessThan(BOOT_STACK_TOP - 0x10000);
    expect(BOOT_STACK_TOP).toBeLessThanOrEqual(FIRST_IMAGE_ADDRESS);
  });

  it('has a GDT with a 64-bit code segment at 0x08 and a data segment at 0x10', () => {
    const entry = (selector: number): bigint => memory.get(Number(BOOT_REGISTERS.gdtBase) + selector)!;
    expect(entry(0)).toBe(0n);
    expect((entry(0x08) >> 40n) & 0xffn).toBe(0x9bn); // present, DPL 0, code, readable, accessed
    expect((entry(0x08) >> 53n) & 3n).toBe(1n); // L = 1, D = 0
    expect((entry(0x10) >> 40n) & 0xffn).toBe(0x93n);
    expect(BOOT_REGISTERS.gdtLimit).toBe(0x17);
  });
});
