/**
 * The generated handlers of one machine. A handler is made the first time its shape is met; all that a block
 * misses are compiled together as one WebAssembly module and placed into the shared function table.
 */

import { FunctionBuilder } from '../../wasm/function-builder.js';
import { type FunctionBody, writeModule } from '../../wasm/module-writer.js';
import type { Semantics } from '../semantics/context.js';
import { STATE } from '../state/layout.js';
import { BlockLinks } from './block-links.js';
import { HandlerContext } from './handler-context.js';
import { HANDLER_TYPE, HANDLER_TYPES, IMPORTS, WAY_IN_TYPE } from './handler-module.js';
import { leaveWith } from './leave.js';
import { EXIT } from './records.js';
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

export class HandlerTable {
  private readonly environment: Record<string, unknown>;
  private readonly handlers = new Map<string, Handler>();
  /** Every handler by its slot; the first is the way in from outside. */
  private readonly bodies: FunctionBody[] = [];
  private table = new WebAssembly.Table({ initial: MINIMUM_SLOTS, element: 'anyfunc' });
  private instances = 0;
  private compiled = 0;
  private enterCode: Enter;

  constructor(memory: WebAssembly.Memory, imports: HandlerImports) {
    this.environment = {
      memory,
      access: imports.access.bind(imports),
      commit: imports.commit.bind(imports),
      divide: imports.divide.bind(imports),
    };
    this.bodies.push(wayIn());
    this.enterCode = this.merge();
  }

  /**
   * Enters a block by its first record: pays for it and runs until generated code is left.
   * @param instructions with `cycles` the budget; signed 32 bits each
   */
  enter(record: number, processor: number, instructions: number, cycles: number): void {
    this.enterCode(record, processor, instructions, cycles);
  }

  /** The handler for instructions of this shape. */
  forShape(shape: Shape, semantics: Semantics): Handler {
    return this.handler(shapeKey(shape), (builder) => {
      const context = new HandlerContext(builder, shape);
      semantics(context);
      return context.finish();
    });
  }

  /** Leaves generated code so that the instruction runs in TypeScript. */
  get system(): Handler {
    return this.handler('system', (builder) => {
      leaveWith(builder, builder.local32(0), builder.local32(1), EXIT.SYSTEM);
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
      this.enterCode = this.merge();
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
  private merge(): Enter {
    const slots = Math.max(MINIMUM_SLOTS, 2 * this.bodies.length);
    this.table = new WebAssembly.Table({ initial: slots, element: 'anyfunc' });
    this.instances = 0;
    return this.instantiate(this.bodies, 0, [{ name: 'enter', index: 0 }]).enter as Enter;
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

/** Stores the budget in one piece, since it is loaded so at once, and enters the first block. */
function wayIn(): FunctionBody {
  const builder = new FunctionBuilder(4);
  const [record, processor, instructions, cycles] = [0, 1, 2, 3].map((n) => builder.local32(n));
  const budget = cycles!.extendUnsigned().shiftLeft(32n).or(instructions!.extendUnsigned());
  builder.store64(processor!, STATE.BUDGET, budget);
  new BlockLinks(builder, record!, processor!).enter(record!);
  return builder.finish(WAY_IN_TYPE);
}
