/**
 * The execution engine of one machine: generated handlers, decoded blocks and the slow path of memory accesses,
 * shared by its processors. It enters generated code and reports why it was left; what that means is the
 * step loop's matter (`Processor`).
 */

import type { Encoding } from '../../instruction-set/encoding.js';
import type { PhysicalMemory } from '../../memory/physical-memory.js';
import type { TranslationBuffer } from '../paging/translation-buffer.js';
import { STATE } from '../state/layout.js';
import { type AddressPlan, processorNumber } from './address-plan.js';
import { BlockBuilder } from './block-builder.js';
import { CodeCache } from './code-cache.js';
import { HandlerTable } from './handler-table.js';

/** What guest code costs, in cycles. Every cost is at least 1, so that a run's budget bounds whatever the guest does. */
export interface GuestCosts {
  /** One execution of an instruction, or one iteration of a repeated string instruction that runs in TypeScript. */
  cyclesOf(encoding: Encoding): number;
  /** Delivery of an exception or interrupt through the IDT. */
  readonly eventDelivery: number;
}

/** What the engine needs of a processor when generated code calls back. */
export interface EngineClient {
  readonly buffer: TranslationBuffer;
  /** See `HandlerImports.access`. */
  access(record: number, linear: bigint, kindAndSize: number): number;
  /** See `HandlerImports.commit`. */
  commit(record: number): number;
}

export class Engine {
  readonly plan: AddressPlan;
  readonly memory: PhysicalMemory;
  readonly linearMemory: WebAssembly.Memory;
  readonly cache: CodeCache;
  readonly handlers: HandlerTable;
  readonly builder: BlockBuilder;
  private readonly clients: EngineClient[] = [];
  /** The whole linear memory. */
  readonly view: DataView;
  readonly costs: GuestCosts;

  constructor(
    linearMemory: WebAssembly.Memory,
    plan: AddressPlan,
    memory: PhysicalMemory,
    costs: GuestCosts,
  ) {
    this.plan = plan;
    this.costs = costs;
    this.memory = memory;
    this.linearMemory = linearMemory;
    this.view = new DataView(linearMemory.buffer);
    this.cache = new CodeCache(
      linearMemory,
      memory,
      plan.records,
      plan.recordsEnd,
      (page) => {
        for (const client of this.clients) client.buffer.protectPage(page);
      },
      () => {
        for (const client of this.clients) client.buffer.flushJumps();
      },
    );
    this.handlers = new HandlerTable(linearMemory, {
      access: (processor, record, linear, kindAndSize) =>
        this.clients[processorNumber(processor)]!.access(record, linear, kindAndSize),
      commit: (processor, record) => this.clients[processorNumber(processor)]!.commit(record),
      divide: (processor, high, low, divisor) => this.divide(processor, high, low, divisor),
    });
    this.builder = new BlockBuilder(linearMemory, this.cache, this.handlers, (encoding) =>
      costs.cyclesOf(encoding),
    );
  }

  /** Makes a processor known; they come in the order of their numbers. */
  attach(client: EngineClient): void {
    this.clients.push(client);
  }

  private divide(processor: number, high: bigint, low: bigint, divisor: bigint): bigint {
    const dividend = (BigInt.asUintN(64, high) << 64n) | BigInt.asUintN(64, low);
    const by = BigInt.asUintN(64, divisor);
    this.view.setBigUint64(processor + STATE.DIVISION_REMAINDER, dividend % by, true);
    return BigInt.asIntN(64, dividend / by);
  }
}
