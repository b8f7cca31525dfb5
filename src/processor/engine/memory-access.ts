/**
 * Guest memory in generated code: a look-up in the software TLB, and a call into TypeScript on a miss. The slow
 * path fills the TLB and returns the address in RAM, or returns the address of a bounce buffer in the processor
 * block (page-crossing, MMIO, pages with code), or 0 when the access faulted.
 */

import { type I32, type I64, i32 } from '../../wasm/expression.js';
import { call32, type FunctionBuilder, load32, load64 } from '../../wasm/function-builder.js';
import type { MemoryReference } from '../semantics/context.js';
import { PROCESSOR_BLOCK_SIZE, READ_BOUNCES, STATE, WRITE_BOUNCES } from '../state/layout.js';
import { TLB_ENTRIES, TLB_ENTRY, TLB_ENTRY_SIZE } from './address-plan.js';
import { ACCESS, COMMIT } from './handler-module.js';
import { ACCESS_KIND, type AccessSegment } from './records.js';

const PAGE_MASK = -4096n;
/** linear >> 7 leaves the page number times the entry size. */
const PAGE_TO_ENTRY_SHIFT = BigInt(12 - Math.log2(TLB_ENTRY_SIZE));
const ENTRY_MASK = (TLB_ENTRIES - 1) * TLB_ENTRY_SIZE;

export class MemoryAccess {
  private readonly builder: FunctionBuilder;
  private readonly record: I32;
  private readonly processor: I32;
  private reads = 0;
  /** Locals that hold the addresses of the references for writing, which may be bounce buffers. */
  private readonly written: number[] = [];

  constructor(builder: FunctionBuilder, record: I32, processor: I32) {
    this.builder = builder;
    this.record = record;
    this.processor = processor;
  }

  /** Translates and probes; the handler returns at once when the access is refused. */
  reference(
    linear: I64,
    widthInBits: number,
    access: 'r' | 'w' | 'rw',
    segment: AccessSegment,
  ): MemoryReference {
    const { builder } = this;
    const size = widthInBits / 8;
    const kind =
      access === 'r' ? ACCESS_KIND.READ : access === 'w' ? ACCESS_KIND.WRITE : ACCESS_KIND.READ_WRITE;
    const bounce = access === 'r' ? this.reads++ % READ_BOUNCES : this.written.length % WRITE_BOUNCES;
    const how = i32((segment << 24) | (bounce << 16) | (kind << 8) | size);

    const address = builder.newLocal('i32');
    const bound = builder.bind64(linear);
    const entry = builder.bind32(
      load32(this.processor, STATE.TLB).add(
        bound.shiftRightUnsigned(PAGE_TO_ENTRY_SHIFT).wrap().and(ENTRY_MASK),
      ),
    );
    const lastByte = size === 1 ? bound : bound.add(BigInt(size - 1));
    const tag = load64(entry, access === 'r' ? TLB_ENTRY.TAG_READ : TLB_ENTRY.TAG_WRITE);
    builder.if(
      lastByte.and(PAGE_MASK).equals(tag),
      () => builder.setLocal(address, bound.wrap().add(load32(entry, TLB_ENTRY.ADDEND))),
      () => {
        builder.setLocal(address, call32(ACCESS, [this.processor, this.record, bound, how]));
        builder.if(builder.local32(address).isZero(), () => builder.return());
      },
    );
    if (access !== 'r') this.written.push(address);
    const place = builder.local32(address);
    return {
      read: (width, byteOffset = 0) => builder.bind64(load64(place, byteOffset, width)),
      write: (width, value, byteOffset = 0) => builder.store64(place, byteOffset, value, width),
    };
  }

  /**
   * Emits the completion of writes that went to bounce buffers. `whenDone` gets the condition "the rest of the
   * block must not run".
   */
  commit(whenDone: (left: I32) => void): void {
    const [first, ...others] = this.written;
    if (first === undefined) return;
    const bounced = others.reduce((sum, local) => sum.or(this.isBounce(local)), this.isBounce(first));
    this.builder.if(bounced, () => whenDone(call32(COMMIT, [this.processor, this.record])));
  }

  private isBounce(local: number): I32 {
    return this.builder.local32(local).subtract(this.processor).lessThanUnsigned(PROCESSOR_BLOCK_SIZE);
  }
}
