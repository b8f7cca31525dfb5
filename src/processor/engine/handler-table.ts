/**
 * The generated handlers of one machine. A handler is made the first time its shape is met; all that a block
 * misses are compiled together as one WebAssembly module and placed into the shared function table.
 */

import { FunctionBuilder, load64 } from '../../wasm/function-builder.js';
import { type FunctionBody, writeModule } from '../../wasm/module-writer.js';
import type { Semantics } from '../semantics/context.js';
import { STATE } from '../state/layout.js';
import { BlockLinks } from './block-links.js';
import { HandlerContext } from './handler-context.js';
import { ENTRANCE_TYPE, HANDLER_TYPE, HANDLER_TYPES, IMPORTS } from './handler-module.js';
import { leaveWith } from './leave.js';
import { EXIT, RECORD } from './records.js';
import { type LinkKind, type Shape, shapeKey } from './shape.js';

export interface Handler {
  /** Slot in the function table. */
  readonly slot: number;
  /** Whether the handler itself goes on to another block, so that nothing may follow in this one. */
  readonly endsBlock: boolean;
}

/** What generated code calls back. Addresses are addresses in linear memory. */
export interface HandlerImports {
  /** Slow path of a memory access: address to use, or 0 when it was refused. `kindAndSize` is kind << 8 | bytes. */
  access(processor: number, record: number, linear: bigint, kindAndSize: number): number;
  /** Writes the bounce buffer out: 1 when the rest of the block must not run. */
  commit(processor: number, record: number): number;
  /** Quotient of high:low / divisor; the remainder goes to STATE.DIVISION_REMAINDER. */
  divide(processor: number, high: bigint, low: bigint, divisor: bigint): bigint;
}

const MINIMUM_SLOTS = 512;
/**
 * Adding to a table costs time for every instance that imports it. After so many instances, all handlers are put
 * into one module with a table of its own.
 */
const INSTANCES_BEFORE_MERGE = 48;

type Enter = (record: number, processor: number, instructions: number, cycles: number) => void;

/** The first handlers, by which generated code is entered from outside. */
interface Entrances {
  readonly enterBlock: Enter;
  /** The record is 0. */
  readonly enterAtRip: Enter;
}

export class HandlerTable {
  private readonly environment: Record<string, unknown>;
  private readonly handlers = new Map<string, Handler>();
  /** Every handler by its slot, entrances first. */
  private readonly bodies: FunctionBody[] = [];
  private table = new WebAssembly.Table({ initial: MINIMUM_SLOTS, element: 'anyfunc' });
  private instances = 0;
  private compiled = 0;
  private entrances: Entrances;

  constructor(memory: WebAssembly.Memory, imports: HandlerImports) {
    this.environment = {
      memory,
      access: imports.access.bind(imports),
      commit: imports.commit.bind(imports),
      divide: imports.divide.bind(imports),
    };
    this.bodies.push(enterBlock(), enterAtRip());
    this.entrances = this.merge();
  }

  /**
   * Enters a block by its first record: pays for it and runs until generated code is left.
   * @param instructions with `cycles` the budget; signed 32 bits each
   */
  enter(record: number, processor: number, instructions: number, cycles: number): void {
    this.entrances.enterBlock(record, processor, instructions, cycles);
  }

  /** As `enter`, for the block that the jump cache knows for RIP; leaves with record 0 when that can't be entered. */
  enterAtRip(processor: number, instructions: number, cycles: number): void {
    this.entrances.enterAtRip(0, processor, instructions, cycles);
  }

  /** The handler for instructions of this shape. */
  forShape(shape: Shape, semantics: Semantics): Handler {
    return this.handler(shapeKey(shape), (builder) => {
      const context = new HandlerContext(builder, shape);
      semantics(context);
      return context.finish();
    });
  }

  /** Leaves generated code so that the instruction runs in TypeScript, which pays for it when it is done. */
  get system(): Handler {
    return this.handler('system', (builder) => {
      const record = builder.local32(0);
      const processor = builder.local32(1);
      const refund = load64(record, RECORD.SYSTEM_COST);
      builder.store64(processor, STATE.BUDGET, load64(processor, STATE.BUDGET).add(refund));
      builder.store64(processor, STATE.RIP, load64(record, RECORD.RIP));
      leaveWith(builder, record, processor, EXIT.SYSTEM);
      return true;
    });
  }

  /** Goes on with the block that follows in memory. */
  continuation(link: LinkKind): Handler {
    return this.handler(`continue:${link}`, (builder) => {
      new BlockLinks(builder, builder.local32(0), builder.local32(1)).follow(link, 'next');
      return true;
    });
  }

  /** Compiles what has been asked for since the last call. Not to be called from generated code. */
  compilePending(): void {
    if (this.compiled === this.bodies.length) return;
    if (this.instances >= INSTANCES_BEFORE_MERGE) {
      this.entrances = this.merge();
      return;
    }
    if (this.bodies.length > this.table.length) this.table.grow(this.table.length);
    this.instantiate(this.bodies.slice(this.compiled), this.compiled, []);
  }

  private handler(key: string, build: (builder: FunctionBuilder) => boolean): Handler {
    const known = this.handlers.get(key);
    if (known !== undefined) return known;
    const builder = new FunctionBuilder(2);
    const endsBlock = build(builder);
    const handler = { slot: this.bodies.length, endsBlock };
    this.bodies.push(builder.finish(HANDLER_TYPE));
    this.handlers.set(key, handler);
    return handler;
  }

  /** All handlers in one module; slots stay what they were. */
  private merge(): Entrances {
    const slots = Math.max(MINIMUM_SLOTS, 2 * this.bodies.length);
    this.table = new WebAssembly.Table({ initial: slots, element: 'anyfunc' });
    this.instances = 0;
    const exports = [
      { name: 'enterBlock', index: 0 },
      { name: 'enterAtRip', index: 1 },
    ];
    return this.instantiate(this.bodies, 0, exports) as unknown as Entrances;
  }

  private instantiate(
    functions: readonly FunctionBody[],
    tableOffset: number,
    exports: readonly { name: string; index: number }[],
  ): Record<string, unknown> {
    const bytes = writeModule({
      types: HANDLER_TYPES,
      importedFunctions: IMPORTS,
      functions,
      exports,
      tableOffset,
    });
    this.instances++;
    this.compiled = tableOffset + functions.length;
    const env = { ...this.environment, table: this.table };
    return new WebAssembly.Instance(new WebAssembly.Module(bytes), { env }).exports;
  }
}

/** An entrance stores the budget in one piece, since it is loaded so at once. */
function entrance(goOn: (links: BlockLinks, builder: FunctionBuilder) => void): FunctionBody {
  const builder = new FunctionBuilder(4);
  const [record, processor, instructions, cycles] = [0, 1, 2, 3].map((n) => builder.local32(n));
  const budget = cycles!.extendUnsigned().shiftLeft(32n).or(instructions!.extendUnsigned());
  builder.store64(processor!, STATE.BUDGET, budget);
  goOn(new BlockLinks(builder, record!, processor!), builder);
  return builder.finish(ENTRANCE_TYPE);
}

const enterBlock = (): FunctionBody => entrance((links, builder) => links.enter(builder.local32(0)));
const enterAtRip = (): FunctionBody =>
  entrance((links, builder) => links.lookUp(builder.bind64(load64(builder.local32(1), STATE.RIP))));
