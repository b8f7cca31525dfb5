/** Writes binary WebAssembly modules (WebAssembly core specification, chapter 5 Binary Format). */

import type { ValueType } from './expression.js';

export const VALUE_TYPE: Readonly<Record<ValueType, number>> = { i32: 0x7f, i64: 0x7e, v128: 0x7b };

export interface FunctionType {
  readonly parameters: readonly ValueType[];
  readonly results: readonly ValueType[];
}

export interface FunctionBody {
  /** Index into the module's types. */
  readonly type: number;
  /** Types of the locals after the parameters. */
  readonly locals: readonly ValueType[];
  /** Instructions without the final `end`. */
  readonly code: readonly number[];
}

export interface ModuleDescription {
  readonly types: readonly FunctionType[];
  /** Imported functions, by name within the module `env`; the value indexes `types`. */
  readonly importedFunctions: readonly { readonly name: string; readonly type: number }[];
  readonly functions: readonly FunctionBody[];
  /** Function `functions[index]` exported as `name`. */
  readonly exports: readonly { readonly name: string; readonly index: number }[];
  /** All functions are placed into the imported table from this slot on; undefined for a module without table. */
  readonly tableOffset: number | undefined;
}

/** Appends an unsigned LEB128 number. */
export function writeUnsigned(out: number[], value: number): void {
  let rest = value >>> 0;
  do {
    const byte = rest & 0x7f;
    rest >>>= 7;
    out.push(rest === 0 ? byte : byte | 0x80);
  } while (rest !== 0);
}

/** Appends a signed LEB128 number of up to 64 bits. */
export function writeSigned(out: number[], value: bigint): void {
  let rest = value;
  for (;;) {
    const byte = Number(rest & 0x7fn);
    rest >>= 7n;
    if ((rest === 0n && (byte & 0x40) === 0) || (rest === -1n && (byte & 0x40) !== 0)) {
      out.push(byte);
      return;
    }
    out.push(byte | 0x80);
  }
}

function writeName(out: number[], name: string): void {
  writeUnsigned(out, name.length);
  for (let i = 0; i < name.length; i++) out.push(name.charCodeAt(i));
}

function writeSection(out: number[], id: number, content: readonly number[]): void {
  out.push(id);
  writeUnsigned(out, content.length);
  for (const byte of content) out.push(byte);
}

function vector(count: number, write: (out: number[]) => void): number[] {
  const out: number[] = [];
  writeUnsigned(out, count);
  write(out);
  return out;
}

/**
 * A module that imports `env.memory`, the named functions and, with a `tableOffset`, `env.table`.
 * @returns the module's bytes
 */
export function writeModule(module: ModuleDescription): Uint8Array {
  const { tableOffset } = module;
  const out: number[] = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];
  writeSection(
    out,
    1,
    vector(module.types.length, (o) => {
      for (const type of module.types) {
        o.push(0x60);
        for (const list of [type.parameters, type.results]) {
          writeUnsigned(o, list.length);
          for (const t of list) o.push(VALUE_TYPE[t]);
        }
      }
    }),
  );
  writeSection(
    out,
    2,
    vector(module.importedFunctions.length + (tableOffset === undefined ? 1 : 2), (o) => {
      for (const f of module.importedFunctions) {
        writeName(o, 'env');
        writeName(o, f.name);
        o.push(0x00);
        writeUnsigned(o, f.type);
      }
      writeName(o, 'env');
      writeName(o, 'memory');
      o.push(0x02, 0x00);
      writeUnsigned(o, 1);
      if (tableOffset === undefined) return;
      writeName(o, 'env');
      writeName(o, 'table');
      o.push(0x01, 0x70, 0x00);
      writeUnsigned(o, 1);
    }),
  );
  writeSection(
    out,
    3,
    vector(module.functions.length, (o) => {
      for (const f of module.functions) writeUnsigned(o, f.type);
    }),
  );
  const imported = module.importedFunctions.length;
  writeSection(
    out,
    7,
    vector(module.exports.length, (o) => {
      for (const e of module.exports) {
        writeName(o, e.name);
        o.push(0x00);
        writeUnsigned(o, imported + e.index);
      }
    }),
  );
  if (tableOffset !== undefined)
    writeSection(
      out,
      9,
      vector(1, (o) => {
        o.push(0x00, 0x41);
        writeSigned(o, BigInt(tableOffset));
        o.push(0x0b);
        writeUnsigned(o, module.functions.length);
        for (let i = 0; i < module.functions.length; i++) writeUnsigned(o, imported + i);
      }),
    );
  writeSection(
    out,
    10,
    vector(module.functions.length, (o) => {
      for (const f of module.functions) {
        const body: number[] = [];
        writeUnsigned(body, f.locals.length);
        for (const local of f.locals) body.push(1, VALUE_TYPE[local]);
        writeUnsigned(o, body.length + f.code.length + 1);
        for (const byte of body) o.push(byte);
        for (const byte of f.code) o.push(byte);
        o.push(0x0b);
      }
    }),
  );
  return new Uint8Array(out);
}
