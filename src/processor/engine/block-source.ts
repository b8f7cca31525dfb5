/**
 * Finds the block for the current RIP: in the jump cache, in the code cache, or by decoding it; and links it to the
 * branch that led there.
 */

import { VECTOR } from '../../architecture/vectors.js';
import type { HostPhysicalAddress, LinearAddress } from '../../memory/addresses.js';
import { type Access, GuestFault } from '../core.js';
import type { TranslationBuffer } from '../paging/translation-buffer.js';
import { STATE } from '../state/layout.js';
import type { ProcessorState } from '../state/processor-state.js';
import type { CodeLocation } from './block-builder.js';
import type { Block } from './code-cache.js';
import type { Engine } from './engine.js';

/** What is needed of the processor whose code it is. */
export interface CodeOwner {
  readonly state: ProcessorState;
  readonly buffer: TranslationBuffer;
  readonly codeSize: 16 | 32 | 64;
  translate(address: LinearAddress, access: Access): HostPhysicalAddress;
}

const PAGE_SIZE = 4096;
const MAXIMUM_LENGTH = 15;
/** What fetching from a physical address without RAM gives. */
const OPEN_BUS = 0xff;

export class BlockSource {
  private readonly engine: Engine;
  private readonly owner: CodeOwner;
  /** A branch whose link is to be set when its target's block is found. */
  private unlinked: { record: number; field: number; rip: bigint; generation: number } | undefined;

  constructor(engine: Engine, owner: CodeOwner) {
    this.engine = engine;
    this.owner = owner;
  }

  /** Record of the block at RIP as far as the jump cache knows it, otherwise 0. */
  cachedRecord(): number {
    const { state, buffer } = this.owner;
    const { view } = state;
    const record = buffer.findJump(
      view.getInt32(STATE.RIP, true),
      view.getInt32(STATE.RIP + 4, true),
      view.getInt32(STATE.MODE, true),
    );
    if (record !== 0 && this.unlinked !== undefined) this.link(this.engine.cache.blockOf(record));
    return record;
  }

  /** Generated code was left at RIP by the record's branch, whose link `field` to there is still unknown. */
  awaitTarget(record: number, field: number): void {
    this.unlinked = { record, field, rip: this.owner.state.rip, generation: this.engine.cache.generation };
  }

  get awaitsTarget(): boolean {
    return this.unlinked !== undefined;
  }

  /** No branch led to RIP, or none that can be linked. */
  forgetBranch(): void {
    this.unlinked = undefined;
  }

  /**
   * The block at RIP, decoded now if it has to be.
   * @throws GuestFault for a fetch that is not permitted and for bytes that are no instruction
   */
  find(single: boolean): Block {
    const { state } = this.owner;
    const rip = state.rip;
    const mode = state.read32(STATE.MODE);
    const physical = this.owner.translate(rip, 'fetch');
    const known = this.engine.cache.find(physical, rip, mode, single);
    let block: Block;
    if (known !== undefined && this.stillMapped(known)) block = known;
    else {
      block = this.build(rip, physical, mode, single);
      this.engine.handlers.compilePending();
      this.engine.cache.add(block);
    }
    this.remember(block);
    this.link(block);
    return block;
  }

  private link(block: Block): void {
    const { unlinked } = this;
    const { cache } = this.engine;
    this.unlinked = undefined;
    if (unlinked === undefined || block.single || block.secondPhysical >= 0) return;
    if (unlinked.rip !== block.rip || unlinked.generation !== cache.generation) return;
    if (cache.blockOf(unlinked.record).mode !== block.mode) return;
    cache.link(unlinked.record, unlinked.field, block);
  }

  private remember(block: Block): void {
    if (block.single || block.secondPhysical >= 0) return;
    const { state, buffer } = this.owner;
    const { view } = state;
    buffer.insertJump(
      view.getInt32(STATE.RIP, true),
      view.getInt32(STATE.RIP + 4, true),
      block.mode,
      block.record,
    );
  }

  /** A block that crosses into another page depends on where that page is now. */
  private stillMapped(block: Block): boolean {
    if (block.secondPhysical < 0) return true;
    return this.owner.translate(nextPage(block.rip), 'fetch') === block.secondPhysical;
  }

  private build(rip: bigint, physical: HostPhysicalAddress, mode: number, single: boolean): Block {
    const { memory, builder } = this.engine;
    const base = { rip, physical, mode, single, codeSize: this.owner.codeSize };
    const inRam = memory.contains(physical, 1);
    const pageEnd = physical - (physical % PAGE_SIZE) + PAGE_SIZE;
    const location: CodeLocation = inRam
      ? { ...base, bytes: memory.bytes, offset: physical, end: pageEnd, secondPhysical: -1 }
      : { ...base, ...openBus(), secondPhysical: -1 };
    let result = builder.build(location);
    if (result === 'needs-more') {
      const second = this.owner.translate(nextPage(rip), 'fetch');
      const bytes = new Uint8Array(2 * MAXIMUM_LENGTH).fill(OPEN_BUS);
      const head = memory.bytes.subarray(physical, pageEnd);
      bytes.set(head);
      if (memory.contains(second, MAXIMUM_LENGTH))
        bytes.set(memory.bytes.subarray(second, second + MAXIMUM_LENGTH), head.length);
      result = builder.build({
        ...base,
        bytes,
        offset: 0,
        end: head.length + MAXIMUM_LENGTH,
        secondPhysical: second,
      });
    }
    if (result === 'too-long') throw new GuestFault(VECTOR.GP, 0);
    if (result === 'invalid' || result === 'needs-more') throw new GuestFault(VECTOR.UD);
    return result;
  }
}

function openBus(): { bytes: Uint8Array; offset: number; end: number } {
  return { bytes: new Uint8Array(MAXIMUM_LENGTH).fill(OPEN_BUS), offset: 0, end: MAXIMUM_LENGTH };
}

function nextPage(rip: bigint): bigint {
  return BigInt.asUintN(64, (rip & ~0xfffn) + 0x1000n);
}
