/** How generated code goes from one record to the next, and from one block to another. */

import type { I32, I64 } from '../../wasm/expression.js';
import { type FunctionBuilder, load32, load64 } from '../../wasm/function-builder.js';
import { STATE } from '../state/layout.js';
import { JUMP_CACHE_ENTRIES, JUMP_CACHE_ENTRY, JUMP_CACHE_ENTRY_SIZE } from './address-plan.js';
import { HANDLER_TYPE } from './handler-module.js';
import { leaveWith } from './leave.js';
import { BLOCK_HEADER, EXIT, RECORD, RECORD_SIZE } from './records.js';
import type { LinkKind } from './shape.js';

/** Set when either half of a budget has become negative. */
const EXHAUSTED = -0x7fffffff80000000n;

export class BlockLinks {
  private readonly builder: FunctionBuilder;
  private readonly record: I32;
  private readonly processor: I32;

  constructor(builder: FunctionBuilder, record: I32, processor: I32) {
    this.builder = builder;
    this.record = record;
    this.processor = processor;
  }

  /** Tail call to the handler of the next record of the block. */
  nextRecord(): void {
    this.builder.returnCallIndirect(
      HANDLER_TYPE,
      [this.record.add(RECORD_SIZE), this.processor],
      load32(this.record, RECORD_SIZE + RECORD.HANDLER),
    );
  }

  /** Tail call to the same record again. */
  sameRecord(): void {
    this.builder.returnCallIndirect(
      HANDLER_TYPE,
      [this.record, this.processor],
      load32(this.record, RECORD.HANDLER),
    );
  }

  /** Goes to the encoded target of a branch, or to the instruction after it. */
  follow(kind: LinkKind, way: 'taken' | 'next'): void {
    const { builder, record, processor } = this;
    const rip = load64(record, way === 'taken' ? RECORD.IMMEDIATE : RECORD.NEXT_RIP);
    if (kind === 'cached') {
      const bound = builder.bind64(rip);
      builder.store64(processor, STATE.RIP, bound);
      this.lookUp(bound);
      return;
    }
    const link = builder.bind32(load32(record, way === 'taken' ? RECORD.LINK_TAKEN : RECORD.LINK_NEXT));
    builder.if(link.notEquals(0), () => this.enter(link));
    builder.store64(processor, STATE.RIP, rip);
    this.leave(way === 'taken' ? EXIT.LINK_TAKEN : EXIT.LINK_NEXT);
  }

  /** Goes to a block through the jump cache; STATE.RIP has been set to `rip`, a local. */
  lookUp(rip: I64): void {
    const { builder, processor } = this;
    const entry = builder.bind32(
      load32(processor, STATE.JUMP_CACHE).add(
        rip
          .wrap()
          .and(JUMP_CACHE_ENTRIES - 1)
          .multiply(JUMP_CACHE_ENTRY_SIZE),
      ),
    );
    const hit = load64(entry, JUMP_CACHE_ENTRY.RIP)
      .equals(rip)
      .and(load32(entry, JUMP_CACHE_ENTRY.MODE).equals(load32(processor, STATE.MODE)));
    builder.if(hit, () => this.enter(builder.bind32(load32(entry, JUMP_CACHE_ENTRY.RECORD))));
    this.leave(EXIT.LOOKUP);
  }

  /** Pays for a block and enters it, or leaves when the budget does not cover it. */
  enter(target: I32): void {
    const { builder, processor } = this;
    const budget = builder.bind64(
      load64(processor, STATE.BUDGET).subtract(load64(target.add(BLOCK_HEADER.COST), 0)),
    );
    builder.if(budget.and(EXHAUSTED).notEquals(0n), () => {
      builder.store64(processor, STATE.RIP, load64(target.add(BLOCK_HEADER.RIP), 0));
      this.leave(EXIT.BUDGET);
    });
    builder.store64(processor, STATE.BUDGET, budget);
    builder.returnCallIndirect(HANDLER_TYPE, [target, processor], load32(target, RECORD.HANDLER));
  }

  private leave(reason: number): void {
    leaveWith(this.builder, this.record, this.processor, reason);
  }
}
