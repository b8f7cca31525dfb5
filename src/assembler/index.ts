/** The assembler: NASM syntax in, a flat binary or an ELF object out, with symbols, listing and diagnostics. */

import type { Diagnostic } from './diagnostics.js';
import { buildListing, type ListingLine } from './listing.js';
import { writeElf } from './output/elf.js';
import { writeFlatBinary } from './output/flat-binary.js';
import type { Assembly, ListedLine, OutputFormat, Pass } from './pass.js';
import { runPasses } from './passes.js';
import type { AddressBase } from './value.js';

export { type Diagnostic, formatDiagnostic } from './diagnostics.js';
export { formatListing, type ListingLine } from './listing.js';

export interface AssemblyOptions {
  /** Name of the source in diagnostics and for `readFile`. */
  readonly fileName: string;
  /** Flat binary unless told otherwise. */
  readonly format?: OutputFormat;
  /** Reads a file that the source names (%INCLUDE, INCBIN); `from` is the file that names it. */
  readonly readFile?: (path: string, from: string) => Uint8Array | undefined;
  /** Folders tried in order when a path as written does not exist. */
  readonly includePaths?: readonly string[];
  /** Single-line macros defined before the first line. */
  readonly defines?: Readonly<Record<string, string>>;
}

export interface AssembledSymbol {
  readonly name: string;
  /** Flat binary: the address. ELF object: the offset in its section. Constants: their value. */
  readonly value: bigint;
  /** Name of the section; the empty string for constants and external symbols. */
  readonly section: string;
  readonly global: boolean;
}

export interface AssemblyResult {
  /** No errors; there may be warnings. */
  readonly ok: boolean;
  /** The flat binary or the object file; empty when not ok. */
  readonly image: Uint8Array;
  /** Flat binary: the address of its first byte. */
  readonly origin: bigint;
  readonly symbols: readonly AssembledSymbol[];
  readonly diagnostics: readonly Diagnostic[];
  readonly listing: readonly ListingLine[];
  /** Sizes of the code segments that instructions were encoded for (BITS): 16, 32, 64. */
  readonly codeSizes: ReadonlySet<number>;
}

const MASK_64 = (1n << 64n) - 1n;

function collectSymbols(assembly: Assembly, addresses: ReadonlyMap<AddressBase, bigint>): AssembledSymbol[] {
  const symbols: AssembledSymbol[] = [];
  for (const { name, value, isGlobal } of assembly.symbols.all) {
    if (value === undefined || name.startsWith('..@')) continue;
    const base = value.bases[0]?.of;
    const address = value.constant + (base === undefined ? 0n : (addresses.get(base) ?? 0n));
    const section = base?.kind === 'section' ? base.name : '';
    symbols.push({ name, value: address & MASK_64, section, global: isGlobal });
  }
  return symbols;
}

/**
 * Assembles a source. Never throws: whatever is wrong with the source is in `diagnostics`, all errors of the file,
 * sorted by place.
 */
export function assemble(source: string, options: AssemblyOptions): AssemblyResult {
  const format = options.format ?? 'bin';
  const { assembly, pass } = runPasses(source, {
    fileName: options.fileName,
    format,
    readFile: options.readFile ?? (() => undefined),
    includePaths: options.includePaths ?? [],
    defines: options.defines ?? {},
  });
  return format === 'bin'
    ? finishFlatBinary(assembly, pass)
    : finishElf(assembly, pass, format, options.fileName);
}

function finishFlatBinary(assembly: Assembly, pass: Pass): AssemblyResult {
  const { image, origin, addresses, loadAddresses } = writeFlatBinary(
    assembly.sections,
    pass.origin,
    assembly.diagnostics,
    pass.line,
  );
  const diagnostics = assembly.diagnostics.sorted();
  const ok = diagnostics.every(({ severity }) => severity !== 'error');
  const addressOf = ({ section, offset }: ListedLine): bigint =>
    ((section && addresses.get(section)) ?? 0n) + BigInt(offset);
  const bytesOf = ({ section, offset, length }: ListedLine): Uint8Array => {
    const start = Number(((section && loadAddresses.get(section)) ?? 0n) - origin) + offset;
    return image.slice(start, start + length);
  };
  return {
    ok,
    image: ok ? image : new Uint8Array(0),
    origin,
    symbols: collectSymbols(assembly, addresses),
    diagnostics,
    codeSizes: pass.codeSizes,
    listing: buildListing(pass.listing, addressOf, bytesOf),
  };
}

function finishElf(
  assembly: Assembly,
  pass: Pass,
  format: 'elf32' | 'elf64',
  fileName: string,
): AssemblyResult {
  const { sections, symbols } = assembly;
  const image = writeElf(format, fileName, sections.list, symbols.all, assembly.diagnostics);
  const diagnostics = assembly.diagnostics.sorted();
  const ok = diagnostics.every(({ severity }) => severity !== 'error');
  const bytesOf = ({ section, offset, length }: ListedLine): Uint8Array =>
    section?.bytes.slice(offset, offset + length) ?? new Uint8Array(0);
  return {
    ok,
    image: ok ? image : new Uint8Array(0),
    origin: 0n,
    symbols: collectSymbols(assembly, new Map()),
    diagnostics,
    codeSizes: pass.codeSizes,
    listing: buildListing(pass.listing, ({ offset }) => BigInt(offset), bytesOf),
  };
}
