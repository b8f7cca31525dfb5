/** The walk of EPT paging structures (SDM Vol. 3C, 28.2.2 EPT Translation Mechanism, 28.2.3 EPT-Induced VM Exits). */

import { EPT_ENTRY, isReservedMemoryType } from '../../architecture/vmx/ept.js';
import { PHYSICAL_ADDRESS_WIDTH } from '../../architecture/vmx/vmx-capabilities.js';
import { hostPhysical } from '../../memory/addresses.js';
import type { PhysicalMemory } from '../../memory/physical-memory.js';

const PERMISSIONS = EPT_ENTRY.READ | EPT_ENTRY.WRITE | EPT_ENTRY.EXECUTE;
const TWO_TO_32 = 0x100000000;
/** Address bits in the upper half of an entry, and the reserved bits 51:N above them. */
const ADDRESS_HIGH = (1 << (PHYSICAL_ADDRESS_WIDTH - 32)) - 1;
const RESERVED_HIGH = 0x000fffff & ~ADDRESS_HIGH;
/** What a read from an address without RAM gives: it has reserved bits set. */
const NO_MEMORY = -1;

/** Size of what an entry of each level maps: level 1 pages, level 2 and 3 large pages. */
const levelShift = (level: number): number => 12 + 9 * (level - 1);

/** The result of a walk; reused between walks. */
export class EptWalk {
  /** 'mapped', or why the walk ended. */
  outcome: 'mapped' | 'not-present' | 'misconfiguration' = 'not-present';
  /** Host-physical address; valid when mapped. */
  address = 0;
  /** The AND of bits 2:0 (read, write, execute) of all entries used; 0 when one was not present. */
  permissions = 0;
  /** Bytes that the last entry maps: 4 KBytes, 2 MBytes or 1 GByte. */
  pageSize = 4096;
}

/** Bits 11:7 … of an entry that are reserved at its level, by what it does (Tables 28-1 to 28-6). */
function lowReserved(level: number, mapsPage: boolean): number {
  if (mapsPage) return level === 1 ? 0 : ((1 << levelShift(level)) - 1) & ~0xfff;
  return level === 4 ? 0xf8 : 0x78;
}

/** EPT misconfigurations (28.2.3.1); execute-only translations are supported. */
function isMisconfigured(low: number, high: number, level: number, mapsPage: boolean): boolean {
  if ((low & (EPT_ENTRY.READ | EPT_ENTRY.WRITE)) === EPT_ENTRY.WRITE) return true;
  if ((high & RESERVED_HIGH) !== 0 || (low & lowReserved(level, mapsPage)) !== 0) return true;
  return mapsPage && isReservedMemoryType((low >> EPT_ENTRY.MEMORY_TYPE_SHIFT) & 7);
}

/**
 * Walks a four-level EPT table.
 * @param root host-physical address of the EPT PML4 table
 * @param address guest-physical address, below 2^48
 */
export function walkEpt(memory: PhysicalMemory, root: number, address: number, walk: EptWalk): void {
  let table = root;
  let permissions = PERMISSIONS;
  for (let level = 4; level >= 1; level--) {
    const index = Math.floor(address / 2 ** levelShift(level)) % 512;
    const place = table + index * 8;
    const present = memory.contains(place, 8);
    const low = present ? memory.read32(hostPhysical(place)) | 0 : NO_MEMORY;
    const high = present ? memory.read32(hostPhysical(place + 4)) | 0 : NO_MEMORY;
    if ((low & PERMISSIONS) === 0) {
      walk.outcome = 'not-present';
      walk.permissions = 0;
      return;
    }
    const mapsPage = level === 1 || (level < 4 && (low & EPT_ENTRY.LARGE_PAGE) !== 0);
    if (isMisconfigured(low, high, level, mapsPage)) {
      walk.outcome = 'misconfiguration';
      return;
    }
    permissions &= low;
    table = (high & ADDRESS_HIGH) * TWO_TO_32 + ((low & ~0xfff) >>> 0);
    if (mapsPage) {
      const size = 2 ** levelShift(level);
      walk.outcome = 'mapped';
      walk.permissions = permissions;
      walk.pageSize = size;
      walk.address = table + (address % size);
      return;
    }
  }
}
