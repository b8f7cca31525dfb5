/**
 * The generated handlers of one machine. A handler is made the first time its shape is met; all that a block
 * misses are compiled together as one WebAssembly module and placed into the shared function table.
 */

import { FunctionBuilder } from '../../wasm/function-builder.js';
import { type FunctionBody, writeModule } from '../../wasm/module-writer.js';
import type { Semantics } from '../semantics/context.js';
import { BlockLinks } from './block-links.js';
import { HANDLER_TYPE, HANDLER_TYPES, HandlerContext, IMPORTS } from './handler-context.js';
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

const INITIAL_SLOTS = 512;

export class HandlerTable {
  private readonly imports: Record<string, Record<string, unknown>>;
  private readonly table: WebAssembly.Table;
  private readonly handlers = new Map<string, Handler>();
  private readonly pending: FunctionBody[] = [];
  private used = 0;
  /** Enters a block by its first record: pays for it and runs until generated code is left. */
  readonly enter: (record: number, processor: number) => void;

  constructor(memory: WebAssembly.Memory, imports: HandlerImports) {
    this.table = new WebAssembly.Table({ initial: INITIAL_SLOTS, element: 'anyfunc' });
    this.imports = {
      env: {
        memory,
        table: this.table,
        access: imports.access.bind(imports),
        commit: imports.commit.bind(imports),
        divide: imports.divide.bind(imports),
      },
    };
    const builder = new FunctionBuilder(2);
    new BlockLinks(builder, builder.local32(0), builder.local32(1)).enter(builder.local32(0));
    const exports = this.instantiate([builder.finish(HANDLER_TYPE)], 'enter');
    this.enter = exports.enter as (record: number, processor: number) => void;
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

  /** Compiles what has been asked for since the last call. */
  compilePending(): void {
    if (this.pending.length === 0) return;
    const bodies = this.pending.splice(0);
    this.instantiate(bodies, undefined, this.used - bodies.length);
  }

  private handler(key: string, build: (builder: FunctionBuilder) => boolean): Handler {
    const known = this.handlers.get(key);
    if (known !== undefined) return known;
    const builder = new FunctionBuilder(2);
    const endsBlock = build(builder);
    this.pending.push(builder.finish(HANDLER_TYPE));
    const handler = { slot: this.used++, endsBlock };
    this.handlers.set(key, handler);
    return handler;
  }

  private instantiate(
    functions: readonly FunctionBody[],
    exportName: string | undefined,
    tableOffset?: number,
  ): Record<string, unknown> {
    if (tableOffset !== undefined && tableOffset + functions.length > this.table.length)
      this.table.grow(Math.max(this.table.length, functions.length));
    const bytes = writeModule({
      types: HANDLER_TYPES,
      importedFunctions: IMPORTS,
      functions,
      exports: exportName === undefined ? [] : [{ name: exportName, index: 0 }],
      ...(tableOffset === undefined ? {} : { tableOffset }),
    });
    return new WebAssembly.Instance(new WebAssembly.Module(bytes), this.imports).exports;
  }
}
