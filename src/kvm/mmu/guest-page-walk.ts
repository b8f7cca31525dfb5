/**
 * Walks the guest's page tables in software (paging_tmpl.h, walk_addr), for the instruction emulator: SDM Vol. 3A,
 * 4.3 32-Bit Paging, 4.4 PAE Paging, 4.5 4-Level Paging, 4.6 Access Rights, 4.7 Page-Fault Exceptions.
 */

import { CR0, CR4, EFER } from '../../architecture/control-registers.js';
import { type CostSink, operation } from '../../host/cost/operations.js';
import {
  type GuestPhysicalAddress,
  guestPhysical,
  type HostPhysicalAddress,
  type LinearAddress,
} from '../../memory/addresses.js';
import type { PhysicalMemory } from '../../memory/physical-memory.js';

const WALK_STEP = operation('emulator page-walk step');

/** Bits of a paging-structure entry, in its low half. */
const ENTRY = { PRESENT: 1, WRITE: 2, USER: 4, ACCESSED: 0x20, DIRTY: 0x40, LARGE_PAGE: 0x80 } as const;
/** Error code of a page fault (4.7). */
const FAULT = { PROTECTION: 1, WRITE: 2, USER: 4, RESERVED: 8, FETCH: 16 } as const;
/** Width of physical addresses: 40 bits, as CPUID reports it. */
const RESERVED_HIGH = 0x000fff00;

/** `peek` is that of an observer: it needs no rights and leaves no trace in accessed bits. */
export type GuestAccess = 'read' | 'write' | 'fetch' | 'peek';

/** Control registers that the walk depends on. */
export interface PagingState {
  readonly cr0: number;
  readonly cr3: bigint;
  readonly cr4: number;
  readonly efer: number;
}

/** Guest-physical memory, by way of the memory slots. */
export interface GuestFrames {
  translate(address: GuestPhysicalAddress, costs: CostSink): HostPhysicalAddress | undefined;
}

/** The walk ended in a page fault. */
export class PageWalkFault {
  /** Error code for #PF. */
  readonly errorCode: number;
  constructor(errorCode: number) {
    this.errorCode = errorCode;
  }
}

interface Format {
  readonly levels: number;
  /** Entries of the tables below the top. */
  readonly entries: number;
  readonly entrySize: 4 | 8;
  /** Bytes that an entry of a level maps, indexed by level. */
  readonly sizes: readonly number[];
}

function pagingFormat(levels: number, entries: number, entrySize: 4 | 8): Format {
  const sizes = Array.from({ length: levels + 1 }, (_, level) => 4096 * entries ** (level - 1));
  return { levels, entries, entrySize, sizes };
}

const FOUR_LEVEL = pagingFormat(4, 512, 8);
const PAE = pagingFormat(3, 512, 8);
const TWO_LEVEL = pagingFormat(2, 1024, 4);

export class GuestPageWalker {
  private readonly memory: PhysicalMemory;
  private readonly frames: GuestFrames;

  constructor(memory: PhysicalMemory, frames: GuestFrames) {
    this.memory = memory;
    this.frames = frames;
  }

  /**
   * Linear → guest-physical. Sets accessed and dirty bits as the processor does. Charges a 'emulator page-walk step'
   * per level, besides the memory-slot look-up of each entry.
   * @param user the access is a user-mode access (CPL 3)
   */
  translate(
    state: PagingState,
    linear: LinearAddress,
    access: GuestAccess,
    user: boolean,
    costs: CostSink,
  ): GuestPhysicalAddress | PageWalkFault {
    const { cr0, cr4, efer } = state;
    const address = Number(linear & 0xffff_ffff_ffffn);
    if (!(cr0 & CR0.PG)) return guestPhysical(address % 2 ** 32);

    const format = efer & EFER.LMA ? FOUR_LEVEL : cr4 & CR4.PAE ? PAE : TWO_LEVEL;
    const noExecuteEnabled = (efer & EFER.NXE) !== 0 && format !== TWO_LEVEL;
    const base = (access === 'write' ? FAULT.WRITE : 0) | (user ? FAULT.USER : 0);
    const faultBase = base | (access === 'fetch' && noExecuteEnabled ? FAULT.FETCH : 0);

    // PAE: the top table has four entries, aligned to 32 bytes (4.4.1 PDPTE Registers).
    let table = Number(state.cr3 & (format === PAE ? 0xffff_ffe0n : 0x000f_ffff_ffff_f000n));
    let writable = true;
    let userAllowed = true;
    let executable = true;
    for (let level = format.levels; ; level--) {
      costs.charge(WALK_STEP);
      const size = format.sizes[level]!;
      const index = Math.floor(address / size) % format.entries;
      const entryAddress = this.frames.translate(guestPhysical(table + index * format.entrySize), costs);
      // A table outside of all memory slots reads as not present.
      if (entryAddress === undefined) return new PageWalkFault(faultBase);
      const low = this.memory.read32(entryAddress);
      const high = format.entrySize === 8 ? this.memory.read32((entryAddress + 4) as HostPhysicalAddress) : 0;
      if (!(low & ENTRY.PRESENT)) return new PageWalkFault(faultBase);

      const isPdpte = format === PAE && level === 3;
      const large =
        (low & ENTRY.LARGE_PAGE) !== 0 &&
        level > 1 &&
        !isPdpte &&
        (format !== TWO_LEVEL || (cr4 & CR4.PSE) !== 0);
      const leaf = level === 1 || large;
      if (hasReservedBits(low, high, level, large, format, noExecuteEnabled))
        return new PageWalkFault(faultBase | FAULT.PROTECTION | FAULT.RESERVED);
      if (!isPdpte) {
        writable &&= (low & ENTRY.WRITE) !== 0;
        userAllowed &&= (low & ENTRY.USER) !== 0;
        executable &&= !(noExecuteEnabled && high >>> 31 !== 0);
      }
      if (leaf) {
        const refused =
          (user && !userAllowed) ||
          (access === 'write' && !writable && (user || (cr0 & CR0.WP) !== 0)) ||
          (access === 'fetch' && !executable);
        if (refused) return new PageWalkFault(faultBase | FAULT.PROTECTION);
      }
      const marks =
        isPdpte || access === 'peek' ? 0 : ENTRY.ACCESSED | (leaf && access === 'write' ? ENTRY.DIRTY : 0);
      if ((low & marks) !== marks) this.memory.write32(entryAddress, (low | marks) >>> 0);

      if (!leaf) {
        table = pageAddress(low, high);
        continue;
      }
      const page = large && format === TWO_LEVEL ? fourMegabytePage(low) : pageAddress(low, high);
      return guestPhysical(page - (page % size) + (address % size));
    }
  }
}

/** Bits 51:12 of an entry. */
const pageAddress = (low: number, high: number): number =>
  (high & 0x000fffff) * 2 ** 32 + ((low & 0xfffff000) >>> 0);

/** PSE-36: bits 20:13 are bits 39:32 of the address (Table 4-4). */
const fourMegabytePage = (low: number): number =>
  ((low >>> 13) & 0xff) * 2 ** 32 + ((low & 0xffc00000) >>> 0);

/** Reserved bits set in a present entry (4.5.4 and 4.4.2, tables of entry formats; 4.7, RSVD flag). */
function hasReservedBits(
  low: number,
  high: number,
  level: number,
  large: boolean,
  format: Format,
  noExecuteEnabled: boolean,
): boolean {
  if (format === TWO_LEVEL) return large && (low & 0x00200000) !== 0;
  if (high & RESERVED_HIGH) return true;
  if (format === PAE && level === 3) return (low & 0x1e6) !== 0 || high >>> 20 !== 0;
  if (format === PAE && (high & 0x7ff00000) !== 0) return true;
  if (high >>> 31 !== 0 && !noExecuteEnabled) return true;
  if (format === FOUR_LEVEL && level === 4 && (low & ENTRY.LARGE_PAGE) !== 0) return true;
  if (!large) return false;
  return (low & (level === 3 ? 0x3fffe000 : 0x001fe000)) !== 0;
}
