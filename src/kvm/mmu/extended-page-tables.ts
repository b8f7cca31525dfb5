/**
 * The extended page tables of a VM, built in host memory in the hardware's own format (SDM Vol. 3C, 29.3 The Extended
 * Page Table Mechanism). The processor walks them by itself; KVM only writes them.
 */

import { EPT_ENTRY, encodeEptPointer, MEMORY_TYPE } from '../../architecture/vmx/ept.js';
import { type CostSink, operation } from '../../host/cost/operations.js';
import { type GuestPhysicalAddress, type HostPhysicalAddress, hostPhysical } from '../../memory/addresses.js';
import type { PhysicalMemory } from '../../memory/physical-memory.js';

const TABLE_WRITE = operation('EPT table write');
const TABLE_READ = operation('EPT table read');

const ALL_ACCESS = EPT_ENTRY.READ | EPT_ENTRY.WRITE | EPT_ENTRY.EXECUTE;
const LEAF = ALL_ACCESS | (MEMORY_TYPE.WB << EPT_ENTRY.MEMORY_TYPE_SHIFT) | EPT_ENTRY.IGNORE_PAT;
/** Write and execute without read: the processor takes such an entry for misconfigured (28.2.3.1). */
const MMIO_MARK = EPT_ENTRY.WRITE | EPT_ENTRY.EXECUTE;
/** Where an MMIO entry holds the generation of the slots that it was made for; other bits of it mean nothing. */
const GENERATION_SHIFT = 12n;
const GENERATION_MASK = 0xffff_ffffn;
/** Bits 51:12 of an entry. */
const ADDRESS = 0x000f_ffff_ffff_f000n;
const LEVELS = 4;

/** Pages for tables, zeroed, and their return. */
export interface PageAllocator {
  allocatePage(): HostPhysicalAddress;
  freePage(page: HostPhysicalAddress): void;
}

/** Size of what an entry of a level maps: 4 KiB at level 1, 2 MiB at 2, 1 GiB at 3, 512 GiB at 4. */
const sizeAtLevel = (level: number): number => 4096 * 512 ** (level - 1);

export class ExtendedPageTables {
  readonly root: HostPhysicalAddress;
  private readonly memory: PhysicalMemory;
  private readonly pages: PageAllocator;

  constructor(memory: PhysicalMemory, pages: PageAllocator) {
    this.memory = memory;
    this.pages = pages;
    this.root = pages.allocatePage();
  }

  /** EPT pointer: write-back, a walk of four levels (25.6.11 Extended-Page-Table Pointer). */
  get pointer(): bigint {
    return encodeEptPointer(this.root);
  }

  /**
   * Maps a page for every kind of access (__direct_map). Charges each entry written.
   * @param level 1 for 4 KiB, 2 for 2 MiB; both addresses are multiples of that size
   */
  map(guest: GuestPhysicalAddress, host: HostPhysicalAddress, level: 1 | 2, costs: CostSink): void {
    const entryAddress = this.makeEntry(guest, level, costs);
    const old = this.memory.read64(entryAddress);
    if (level === 2 && isTable(old)) this.freeTables(tableOf(old), 1);
    this.writeEntry(entryAddress, host, level === 1 ? LEAF : LEAF | EPT_ENTRY.LARGE_PAGE, costs);
  }

  /**
   * Marks a page that no slot provides, so that accesses to it exit by a misconfiguration (mark_mmio_spte). `generation` is
   * that of the slots looked at. Charges each entry written.
   */
  markMmio(guest: GuestPhysicalAddress, generation: number, costs: CostSink): void {
    const entryAddress = this.makeEntry(guest, 1, costs);
    const value = ((BigInt(generation) & GENERATION_MASK) << GENERATION_SHIFT) | BigInt(MMIO_MARK);
    this.memory.write64(entryAddress, value);
    costs.charge(TABLE_WRITE);
  }

  /** Generation in the mark of a page, undefined when it has none. Charges each entry read. */
  mmioGeneration(guest: GuestPhysicalAddress, costs: CostSink): number | undefined {
    let table = this.root;
    for (let level = LEVELS; ; level--) {
      costs.charge(TABLE_READ);
      const entry = this.memory.read64(this.entryAddress(table, guest, level));
      if (level === 1)
        return Number(entry & BigInt(ALL_ACCESS)) === MMIO_MARK
          ? Number((entry >> GENERATION_SHIFT) & GENERATION_MASK)
          : undefined;
      if (!isTable(entry)) return undefined;
      table = tableOf(entry);
    }
  }

  /**
   * Removes every mapping (kvm_mmu_zap_all).
   * @returns what frees the tables: to be called when no processor can be walking them any more
   */
  detach(costs: CostSink): () => void {
    const detached: HostPhysicalAddress[] = [];
    for (let index = 0; index < 512; index++) {
      const entryAddress = hostPhysical(this.root + 8 * index);
      const entry = this.memory.read64(entryAddress);
      if (!isTable(entry)) continue;
      detached.push(tableOf(entry));
      this.writeEntry(entryAddress, 0, 0, costs);
    }
    return () => {
      for (const table of detached) this.freeTables(table, LEVELS - 1);
    };
  }

  /** Address of the entry for a page at a level, with the tables on the way to it. */
  private makeEntry(guest: GuestPhysicalAddress, level: number, costs: CostSink): HostPhysicalAddress {
    let table = this.root;
    for (let current = LEVELS; current > level; current--) {
      const entryAddress = this.entryAddress(table, guest, current);
      const entry = this.memory.read64(entryAddress);
      if (isTable(entry)) table = tableOf(entry);
      else {
        table = this.pages.allocatePage();
        this.writeEntry(entryAddress, table, ALL_ACCESS, costs);
      }
    }
    return this.entryAddress(table, guest, level);
  }

  private freeTables(table: HostPhysicalAddress, level: number): void {
    for (let index = 0; level > 1 && index < 512; index++) {
      const entry = this.memory.read64(hostPhysical(table + 8 * index));
      if (isTable(entry)) this.freeTables(tableOf(entry), level - 1);
    }
    this.pages.freePage(table);
  }

  private entryAddress(table: HostPhysicalAddress, guest: GuestPhysicalAddress, level: number) {
    return hostPhysical(table + 8 * (Math.floor(guest / sizeAtLevel(level)) % 512));
  }

  private writeEntry(address: HostPhysicalAddress, target: number, bits: number, costs: CostSink): void {
    this.memory.write64(address, BigInt(target) | BigInt(bits));
    costs.charge(TABLE_WRITE);
  }
}

const tableOf = (entry: bigint): HostPhysicalAddress => hostPhysical(Number(entry & ADDRESS));

/** The entry is present and refers to a table, not to a page. */
function isTable(entry: bigint): boolean {
  const bits = Number(entry & 0xffn);
  return (bits & ALL_ACCESS) !== 0 && (bits & EPT_ENTRY.LARGE_PAGE) === 0;
}
