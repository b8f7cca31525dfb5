/** The software TLB and the jump cache of one processor, as generated code reads them. */

import type { HostPhysicalAddress, LinearAddress } from '../../memory/addresses.js';
import {
  JUMP_CACHE_ENTRIES,
  JUMP_CACHE_ENTRY,
  JUMP_CACHE_ENTRY_SIZE,
  JUMP_CACHE_SIZE,
  type ProcessorAddresses,
  TLB_ENTRIES,
  TLB_ENTRY,
  TLB_ENTRY_SIZE,
  TLB_SIZE,
} from '../engine/address-plan.js';

/** Tag byte of an empty entry: no page address looks like it. */
const EMPTY = 0xff;

export class TranslationBuffer {
  private readonly bytes: Uint8Array;
  private readonly words: Int32Array;
  private readonly addresses: ProcessorAddresses;
  private readonly ramBase: number;

  constructor(memory: WebAssembly.Memory, addresses: ProcessorAddresses, ramBase: number) {
    this.bytes = new Uint8Array(memory.buffer);
    this.words = new Int32Array(memory.buffer);
    this.addresses = addresses;
    this.ramBase = ramBase;
    this.flush();
    this.flushJumps();
  }

  /** Forgets all pages; jumps rest on translations and are forgotten, too. */
  flush(): void {
    this.bytes.fill(EMPTY, this.addresses.supervisorTlb, this.addresses.supervisorTlb + TLB_SIZE);
    this.bytes.fill(EMPTY, this.addresses.userTlb, this.addresses.userTlb + TLB_SIZE);
    this.flushJumps();
  }

  flushPage(linear: LinearAddress): void {
    const offset = this.entryOffset(linear);
    for (const tlb of [this.addresses.supervisorTlb, this.addresses.userTlb])
      this.bytes.fill(EMPTY, tlb + offset, tlb + offset + TLB_ENTRY_SIZE);
    this.flushJumps();
  }

  flushJumps(): void {
    this.bytes.fill(EMPTY, this.addresses.jumpCache, this.addresses.jumpCache + JUMP_CACHE_SIZE);
  }

  /** Enters the page of `linear` at `physical` (any address within the page). */
  insert(linear: LinearAddress, physical: HostPhysicalAddress, user: boolean, writable: boolean): void {
    const tlb = user ? this.addresses.userTlb : this.addresses.supervisorTlb;
    const entry = (tlb + this.entryOffset(linear)) >> 2;
    const low = Number(BigInt.asIntN(32, linear)) & ~0xfff;
    const high = Number(BigInt.asIntN(32, linear >> 32n));
    const { words } = this;
    words[entry + TLB_ENTRY.TAG_READ / 4] = low;
    words[entry + TLB_ENTRY.TAG_READ / 4 + 1] = high;
    words[entry + TLB_ENTRY.TAG_WRITE / 4] = writable ? low : -1;
    words[entry + TLB_ENTRY.TAG_WRITE / 4 + 1] = writable ? high : -1;
    words[entry + TLB_ENTRY.ADDEND / 4] = (this.ramBase + (physical & ~0xfff) - low) | 0;
  }

  /** Physical address of a linear one when it is in the TLB with the right to read or write, otherwise -1. */
  find(linear: LinearAddress, user: boolean, write: boolean): number {
    const tlb = user ? this.addresses.userTlb : this.addresses.supervisorTlb;
    const entry = (tlb + this.entryOffset(linear)) >> 2;
    const low = Number(BigInt.asIntN(32, linear));
    const tag = entry + (write ? TLB_ENTRY.TAG_WRITE : TLB_ENTRY.TAG_READ) / 4;
    if (this.words[tag] !== (low & ~0xfff)) return -1;
    if (this.words[tag + 1] !== Number(BigInt.asIntN(32, linear >> 32n))) return -1;
    return ((low + (this.words[entry + TLB_ENTRY.ADDEND / 4] as number)) | 0) - this.ramBase;
  }

  /** Takes the right to write without asking from every entry for a physical page. */
  protectPage(physicalPage: number): void {
    const { words } = this;
    const page = this.ramBase + physicalPage * 4096;
    for (const tlb of [this.addresses.supervisorTlb, this.addresses.userTlb])
      for (let n = 0; n < TLB_ENTRIES; n++) {
        const entry = (tlb + n * TLB_ENTRY_SIZE) >> 2;
        const low = words[entry + TLB_ENTRY.TAG_WRITE / 4] as number;
        if (low === -1 || ((low + (words[entry + TLB_ENTRY.ADDEND / 4] as number)) | 0) !== page) continue;
        words[entry + TLB_ENTRY.TAG_WRITE / 4] = -1;
        words[entry + TLB_ENTRY.TAG_WRITE / 4 + 1] = -1;
      }
  }

  /** First record of the block at RIP (as two halves) in `mode`, 0 when not known. */
  findJump(ripLow: number, ripHigh: number, mode: number): number {
    const entry = this.jumpEntry(ripLow);
    const { words } = this;
    if (
      words[entry] !== ripLow ||
      words[entry + 1] !== ripHigh ||
      words[entry + JUMP_CACHE_ENTRY.MODE / 4] !== mode
    )
      return 0;
    return words[entry + JUMP_CACHE_ENTRY.RECORD / 4] as number;
  }

  insertJump(ripLow: number, ripHigh: number, mode: number, record: number): void {
    const entry = this.jumpEntry(ripLow);
    const { words } = this;
    words[entry] = ripLow;
    words[entry + 1] = ripHigh;
    words[entry + JUMP_CACHE_ENTRY.MODE / 4] = mode;
    words[entry + JUMP_CACHE_ENTRY.RECORD / 4] = record;
  }

  private jumpEntry(ripLow: number): number {
    return (this.addresses.jumpCache + (ripLow & (JUMP_CACHE_ENTRIES - 1)) * JUMP_CACHE_ENTRY_SIZE) >> 2;
  }

  private entryOffset(linear: LinearAddress): number {
    return Number((linear >> 12n) & BigInt(TLB_ENTRIES - 1)) * TLB_ENTRY_SIZE;
  }
}
