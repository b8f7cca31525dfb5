/** The symbol table of an ELF object: file, sections, local symbols, then what other objects see. */

import type { Section } from '../sections.js';
import type { SymbolEntry } from '../symbols.js';
import type { AddressBase } from '../value.js';
import { ByteWriter, StringTable } from './byte-writer.js';
import {
  type ElfClass,
  SECTION_INDEX,
  SYMBOL_BINDING,
  SYMBOL_TYPE,
  SYMBOL_VISIBILITY,
} from './elf-constants.js';

interface SymbolRecord {
  readonly name: string;
  readonly binding: number;
  readonly type: number;
  readonly visibility: number;
  readonly sectionIndex: number;
  readonly value: bigint;
  readonly size: bigint;
}

export interface ElfSymbolTable {
  readonly symbols: Uint8Array;
  readonly strings: Uint8Array;
  /** Number of local symbols: the index of the first global one. */
  readonly localCount: number;
  /** Index of the symbol of a section or external symbol, for relocations. */
  readonly indexOf: ReadonlyMap<AddressBase, number>;
}

const LOCAL_SYMBOL = { binding: SYMBOL_BINDING.LOCAL, visibility: SYMBOL_VISIBILITY.DEFAULT, size: 0n };

const TYPE_WORDS: Readonly<Record<string, number>> = {
  function: SYMBOL_TYPE.FUNC,
  data: SYMBOL_TYPE.OBJECT,
  object: SYMBOL_TYPE.OBJECT,
  notype: SYMBOL_TYPE.NOTYPE,
  tls: SYMBOL_TYPE.TLS,
};

const VISIBILITY_WORDS: Readonly<Record<string, number>> = {
  default: SYMBOL_VISIBILITY.DEFAULT,
  internal: SYMBOL_VISIBILITY.INTERNAL,
  hidden: SYMBOL_VISIBILITY.HIDDEN,
  protected: SYMBOL_VISIBILITY.PROTECTED,
};

function recordOf(entry: SymbolEntry, sectionNumbers: ReadonlyMap<AddressBase, number>): SymbolRecord {
  const { name, value, common, external, isGlobal, elfWords, elfSize } = entry;
  const binding = isGlobal || external !== undefined ? SYMBOL_BINDING.GLOBAL : SYMBOL_BINDING.LOCAL;
  const type =
    elfWords.map((word) => TYPE_WORDS[word]).find((one) => one !== undefined) ?? SYMBOL_TYPE.NOTYPE;
  const visibility = elfWords.map((word) => VISIBILITY_WORDS[word]).find((one) => one !== undefined) ?? 0;
  if (common !== undefined) {
    const place = { sectionIndex: SECTION_INDEX.COMMON, value: common.alignment, size: common.size };
    return { name, binding, type, visibility, ...place };
  }
  if (external !== undefined || value === undefined)
    return { name, binding, type, visibility, sectionIndex: SECTION_INDEX.UNDEFINED, value: 0n, size: 0n };
  const base = value.bases[0]?.of;
  const sectionIndex = base === undefined ? SECTION_INDEX.ABSOLUTE : (sectionNumbers.get(base) ?? 0);
  return { name, binding, type, visibility, sectionIndex, value: value.constant, size: elfSize };
}

function writeSymbol(
  writer: ByteWriter,
  symbol: SymbolRecord,
  strings: StringTable,
  elfClass: ElfClass,
): void {
  const information = (symbol.binding << 4) | symbol.type;
  writer.write(strings.add(symbol.name), 4);
  if (elfClass.bits === 32) {
    writer.write(symbol.value, 4);
    writer.write(symbol.size, 4);
  }
  writer.write(information, 1);
  writer.write(symbol.visibility, 1);
  writer.write(symbol.sectionIndex, 2);
  if (elfClass.bits === 64) {
    writer.write(symbol.value, 8);
    writer.write(symbol.size, 8);
  }
}

/** @param sectionNumbers index of each section's header in the file */
export function buildElfSymbols(
  fileName: string,
  sections: readonly Section[],
  sectionNumbers: ReadonlyMap<AddressBase, number>,
  entries: Iterable<SymbolEntry>,
  elfClass: ElfClass,
): ElfSymbolTable {
  const named = [...entries].filter(
    (entry) => !entry.name.startsWith('..@') && (entry.value !== undefined || entry.external !== undefined),
  );
  const isLocal = (entry: SymbolEntry): boolean => !entry.isGlobal && entry.external === undefined;
  const file: SymbolRecord = {
    ...LOCAL_SYMBOL,
    name: fileName,
    type: SYMBOL_TYPE.FILE,
    sectionIndex: SECTION_INDEX.ABSOLUTE,
    value: 0n,
  };
  const none: SymbolRecord = {
    ...file,
    name: '',
    type: SYMBOL_TYPE.NOTYPE,
    sectionIndex: SECTION_INDEX.UNDEFINED,
  };
  const sectionSymbols = sections.map(
    (section): SymbolRecord => ({
      ...LOCAL_SYMBOL,
      name: '',
      type: SYMBOL_TYPE.SECTION,
      sectionIndex: sectionNumbers.get(section) ?? 0,
      value: 0n,
    }),
  );
  const locals = named.filter(isLocal).map((entry) => recordOf(entry, sectionNumbers));
  const globals = named.filter((entry) => !isLocal(entry));
  const localRecords = [none, file, ...sectionSymbols, ...locals];
  const indexOf = new Map<AddressBase, number>(sections.map((section, index) => [section, index + 2]));
  for (const [index, { external }] of globals.entries())
    if (external !== undefined) indexOf.set(external, localRecords.length + index);
  const writer = new ByteWriter();
  const strings = new StringTable();
  for (const record of [...localRecords, ...globals.map((entry) => recordOf(entry, sectionNumbers))])
    writeSymbol(writer, record, strings, elfClass);
  return { symbols: writer.toBytes(), strings: strings.toBytes(), localCount: localRecords.length, indexOf };
}
