/**
 * The entry contract: what a guest finds when its first instruction runs. 64-bit mode at privilege level 0, interrupts
 * off, physical memory below 4 GiB mapped one to one, a stack, flat segments, and no IDT.
 *
 * Further virtual CPUs (application processors) wait for INIT and a start-up message with vector V from the interrupt
 * command register, as on hardware. A vCPU then starts at guest-physical V << 12, not in real mode but in the same
 * state as the boot processor: 64-bit mode, boot page tables and GDT, interrupts off, no IDT. RSP is 0 (it has no stack
 * yet), RDI is its APIC ID, all other general registers are 0. The second start-up message that hardware wants is
 * ignored.
 */

import { CR0, CR4, EFER } from '../architecture/control-registers.js';
import { RFLAGS } from '../architecture/rflags.js';
import { BOOT_GDT, BOOT_PAGE_TABLES, BOOT_STACK_TOP, IDENTITY_MAPPED_BYTES } from './memory-map.js';

/** Selectors of the boot GDT. */
export const BOOT_CODE_SELECTOR = 0x08;
export const BOOT_DATA_SELECTOR = 0x10;

/** Null, 64-bit code (present, DPL 0, execute/read, L = 1), data (present, DPL 0, read/write, 4 GiB). */
const GDT_ENTRIES = [0n, 0x00af9b000000ffffn, 0x00cf93000000ffffn] as const;

/** Page-table bits (SDM Vol. 3A, Table 4-15 to 4-17): all pages belong to the supervisor. */
const PRESENT = 1n << 0n;
const WRITABLE = 1n << 1n;
const LARGE_PAGE = 1n << 7n;
const LARGE_PAGE_BYTES = 2 ** 21;
const TABLE_BYTES = 0x1000;
const ENTRIES_PER_TABLE = 512;

/** Control registers and pointers at entry; all other registers have their values after reset, GPRs are zero. */
export const BOOT_REGISTERS = {
  /** Protection and paging on, x87 present with native error reporting, write protection for the supervisor too. */
  cr0: BigInt((CR0.PE | CR0.ET | CR0.NE | CR0.WP | CR0.PG) >>> 0),
  cr3: BigInt(BOOT_PAGE_TABLES),
  cr4: BigInt(CR4.PAE),
  efer: BigInt(EFER.LME | EFER.LMA),
  rflags: BigInt(RFLAGS.FIXED),
  rsp: BigInt(BOOT_STACK_TOP),
  gdtBase: BigInt(BOOT_GDT),
  gdtLimit: GDT_ENTRIES.length * 8 - 1,
} as const;

/**
 * Writes the boot GDT and the page tables of the identity mapping.
 * @param write64 stores 8 bytes at a guest-physical address
 */
export function writeBootTables(write64: (guestPhysicalAddress: number, value: bigint) => void): void {
  for (const [index, entry] of GDT_ENTRIES.entries()) write64(BOOT_GDT + index * 8, entry);

  const pointerTable = BOOT_PAGE_TABLES + TABLE_BYTES;
  const firstDirectory = pointerTable + TABLE_BYTES;
  write64(BOOT_PAGE_TABLES, BigInt(pointerTable) | PRESENT | WRITABLE);
  const pages = IDENTITY_MAPPED_BYTES / LARGE_PAGE_BYTES;
  for (let directory = 0; directory < pages / ENTRIES_PER_TABLE; directory++)
    write64(
      pointerTable + directory * 8,
      BigInt(firstDirectory + directory * TABLE_BYTES) | PRESENT | WRITABLE,
    );
  for (let page = 0; page < pages; page++)
    write64(firstDirectory + page * 8, BigInt(page * LARGE_PAGE_BYTES) | PRESENT | WRITABLE | LARGE_PAGE);
}
