/**
 * The decoded blocks of one machine: found by physical address, RIP and mode, linked to each other, and dropped
 * as soon as a byte under them is written.
 */

import type { Instruction } from '../../instruction-set/instruction.js';
import type { PhysicalMemory } from '../../memory/physical-memory.js';
import type { SystemInstruction } from '../core.js';
import { RECORD } from './records.js';

/** A straight run of decoded instructions within one page. */
export interface Block {
  /** Linear-memory address of its first record. */
  readonly record: number;
  readonly rip: bigint;
  readonly physical: number;
  readonly lengthInBytes: number;
  /** Where an instruction that crosses into another page goes on, -1 for none: such blocks are never linked. */
  readonly secondPhysical: number;
  readonly mode: number;
  /** At most one instruction, for stepping. */
  readonly single: boolean;
  readonly instructions: readonly Instruction[];
  readonly last: Instruction;
  /** What the last instruction does when it runs in TypeScript; undefined also for one without an implementation. */
  readonly system: SystemInstruction | undefined;
  /** Cycles of instructions n … last; one more, 0. */
  readonly cyclesFrom: readonly number[];
  /** Link fields of other blocks' records that hold this block's record. */
  readonly incoming: number[];
}

const PAGE_SHIFT = 12;

export class CodeCache {
  private readonly memory: PhysicalMemory;
  private readonly words: Int32Array;
  private readonly start: number;
  private readonly end: number;
  private free: number;
  private readonly blocks: Block[] = [];
  private readonly byAddress = new Map<number, Block[]>();
  private readonly byPage = new Map<number, Set<Block>>();
  private readonly onPageWatched: (page: number) => void;
  private readonly onDropped: () => void;

  /**
   * @param onPageWatched called when a page starts to hold code: TLBs must stop writing to it directly
   * @param onDropped called when blocks have been dropped: jump caches must forget them
   */
  constructor(
    linearMemory: WebAssembly.Memory,
    memory: PhysicalMemory,
    start: number,
    end: number,
    onPageWatched: (page: number) => void,
    onDropped: () => void,
  ) {
    this.words = new Int32Array(linearMemory.buffer);
    this.memory = memory;
    this.start = start;
    this.end = end;
    this.free = start;
    this.onPageWatched = onPageWatched;
    this.onDropped = onDropped;
    memory.onWatchedWrite = (address, size) => this.invalidate(address, size);
  }

  /** Number of invalidations so far: changes when a write has dropped code. */
  generation = 0;

  /** Linear-memory address for `bytes` of records, after making room if needed (which drops all blocks). */
  allocate(bytes: number): number {
    if (this.free + bytes > this.end) this.clear();
    const address = this.free;
    this.free += bytes;
    return address;
  }

  find(physical: number, rip: bigint, mode: number, single: boolean): Block | undefined {
    return this.byAddress.get(physical)?.find((b) => b.mode === mode && b.single === single && b.rip === rip);
  }

  /** Number the next added block will have. */
  get nextNumber(): number {
    return this.blocks.length;
  }

  add(block: Block): void {
    this.blocks.push(block);
    const same = this.byAddress.get(block.physical);
    if (same === undefined) this.byAddress.set(block.physical, [block]);
    else same.push(block);
    this.watch(block, block.physical >>> PAGE_SHIFT);
    if (block.secondPhysical >= 0) this.watch(block, block.secondPhysical >>> PAGE_SHIFT);
  }

  /** The block a record belongs to. */
  blockOf(record: number): Block {
    return this.blocks[this.words[(record + RECORD.BLOCK) >> 2] as number] as Block;
  }

  /** Makes a record's link field lead to `target`. */
  link(record: number, field: number, target: Block): void {
    this.words[(record + field) >> 2] = target.record;
    target.incoming.push(record + field);
  }

  /** Drops all blocks that overlap the written bytes. */
  invalidate(address: number, size: number): void {
    let dropped = false;
    for (let page = address >>> PAGE_SHIFT; page <= (address + size - 1) >>> PAGE_SHIFT; page++) {
      const blocks = this.byPage.get(page);
      if (blocks === undefined) continue;
      for (const block of blocks)
        if (overlaps(block, address, size)) {
          this.drop(block);
          dropped = true;
        }
    }
    if (!dropped) return;
    this.generation++;
    this.onDropped();
  }

  /** Drops everything. */
  clear(): void {
    for (const page of this.byPage.keys()) this.memory.watchedPages[page] = 0;
    this.byPage.clear();
    this.byAddress.clear();
    this.blocks.length = 0;
    this.free = this.start;
    this.generation++;
    this.onDropped();
  }

  private watch(block: Block, page: number): void {
    let blocks = this.byPage.get(page);
    if (blocks === undefined) {
      blocks = new Set();
      this.byPage.set(page, blocks);
      this.memory.watchedPages[page] = 1;
      this.onPageWatched(page);
    }
    blocks.add(block);
  }

  private unwatch(block: Block, page: number): void {
    const blocks = this.byPage.get(page);
    blocks?.delete(block);
    if (blocks?.size !== 0) return;
    this.byPage.delete(page);
    this.memory.watchedPages[page] = 0;
  }

  private drop(block: Block): void {
    for (const field of block.incoming) this.words[field >> 2] = 0;
    this.unwatch(block, block.physical >>> PAGE_SHIFT);
    if (block.secondPhysical >= 0) this.unwatch(block, block.secondPhysical >>> PAGE_SHIFT);
    const same = this.byAddress.get(block.physical)!;
    same.splice(same.indexOf(block), 1);
    if (same.length === 0) this.byAddress.delete(block.physical);
  }
}

/** Whether written bytes lie under the block. */
function overlaps(block: Block, address: number, size: number): boolean {
  const end = address + size;
  if (block.secondPhysical < 0) return address < block.physical + block.lengthInBytes && end > block.physical;
  const pageEnd = (block.physical | 0xfff) + 1;
  const secondEnd = block.secondPhysical + block.lengthInBytes - (pageEnd - block.physical);
  return (address < pageEnd && end > block.physical) || (address < secondEnd && end > block.secondPhysical);
}
