/** Relocatable ELF objects (System V ABI, chapter 4 Object Files), as `nasm -f elf32` and `-f elf64` write them. */

import { type DiagnosticCollector, diagnosticAt } from '../diagnostics.js';
import type { Section } from '../sections.js';
import type { SymbolEntry } from '../symbols.js';
import type { AddressBase } from '../value.js';
import { ByteWriter, StringTable } from './byte-writer.js';
import {
  ELF_CLASSES,
  type ElfClass,
  FILE_TYPE_RELOCATABLE,
  SECTION_FLAG,
  SECTION_TYPE,
} from './elf-constants.js';
import { buildElfSymbols, type ElfSymbolTable } from './elf-symbols.js';

interface SectionRecord {
  readonly name: string;
  readonly type: number;
  readonly flags: number;
  readonly content: Uint8Array;
  readonly size: number;
  readonly link: number;
  readonly information: number;
  readonly alignment: number;
  readonly entrySize: number;
}

interface SectionDefaults {
  readonly flags: number;
  readonly alignment: number;
}

const { ALLOC, WRITE, EXECINSTR } = SECTION_FLAG;
const OTHER_DEFAULTS: SectionDefaults = { flags: ALLOC, alignment: 1 };

/** Attributes of the sections whose names NASM knows. */
const SECTION_DEFAULTS: Readonly<Record<string, SectionDefaults>> = {
  '.text': { flags: ALLOC | EXECINSTR, alignment: 16 },
  '.rodata': { flags: ALLOC, alignment: 4 },
  '.lrodata': { flags: ALLOC, alignment: 4 },
  '.data': { flags: ALLOC | WRITE, alignment: 4 },
  '.ldata': { flags: ALLOC | WRITE, alignment: 4 },
  '.bss': { flags: ALLOC | WRITE, alignment: 4 },
  '.lbss': { flags: ALLOC | WRITE, alignment: 4 },
  '.tdata': { flags: ALLOC | WRITE | SECTION_FLAG.TLS, alignment: 4 },
  '.tbss': { flags: ALLOC | WRITE | SECTION_FLAG.TLS, alignment: 4 },
  '.comment': { flags: 0, alignment: 1 },
};

const FLAG_WORDS: Readonly<Record<string, { set: number; clear: number }>> = {
  alloc: { set: ALLOC, clear: 0 },
  noalloc: { set: 0, clear: ALLOC },
  exec: { set: EXECINSTR, clear: 0 },
  noexec: { set: 0, clear: EXECINSTR },
  write: { set: WRITE, clear: 0 },
  nowrite: { set: 0, clear: WRITE },
  tls: { set: SECTION_FLAG.TLS, clear: 0 },
};

function flagsOf(section: Section): number {
  let { flags } = SECTION_DEFAULTS[section.name] ?? OTHER_DEFAULTS;
  for (const word of section.attributes) {
    const change = FLAG_WORDS[word];
    if (change !== undefined) flags = (flags & ~change.clear) | change.set;
  }
  return flags;
}

interface Relocations {
  /** The section's bytes, with addends in place where the class wants them there. */
  readonly content: Uint8Array;
  readonly table: Uint8Array;
}

function addToField(content: Uint8Array, offset: number, size: number, value: bigint): void {
  for (let index = 0; index < size; index++)
    content[offset + index] = Number(BigInt.asUintN(8, value >> BigInt(8 * index)));
}

function relocate(
  section: Section,
  symbols: ElfSymbolTable,
  elfClass: ElfClass,
  diagnostics: DiagnosticCollector,
): Relocations {
  const content = section.bytes.slice();
  const writer = new ByteWriter();
  for (const fixup of section.fixups) {
    const { offset, sizeInBytes, base, relativeTo, signed } = fixup;
    const types = relativeTo === undefined ? elfClass.absolute : elfClass.relative;
    const isSigned32 =
      signed && relativeTo === undefined && sizeInBytes === 4 && elfClass.absoluteSigned32 !== 0;
    const type = isSigned32 ? elfClass.absoluteSigned32 : types[sizeInBytes];
    if (type === undefined) {
      const message = `no relocation for a field of ${sizeInBytes} bytes`;
      diagnostics.add(diagnosticAt('error', 'relocation', message, fixup.origin), true);
      continue;
    }
    // The linker computes symbol + addend - address of the field.
    const addend =
      relativeTo === undefined ? fixup.addend : fixup.addend - BigInt(relativeTo) + BigInt(offset);
    const symbol = base === undefined ? 0 : (symbols.indexOf.get(base) ?? 0);
    if (elfClass.explicitAddends) {
      writer.write(offset, 8);
      writer.write((BigInt(symbol) << 32n) | BigInt(type), 8);
      writer.write(addend, 8);
    } else {
      writer.write(offset, 4);
      writer.write((symbol << 8) | type, 4);
      addToField(content, offset, sizeInBytes, addend);
    }
  }
  return { content, table: writer.toBytes() };
}

function contentRecord(section: Section, content: Uint8Array): SectionRecord {
  const defaults = SECTION_DEFAULTS[section.name] ?? OTHER_DEFAULTS;
  return {
    name: section.name,
    type: section.nobits
      ? SECTION_TYPE.NOBITS
      : section.attributes.has('note')
        ? SECTION_TYPE.NOTE
        : SECTION_TYPE.PROGBITS,
    flags: flagsOf(section),
    content,
    size: section.size,
    link: 0,
    information: 0,
    alignment: Math.max(section.alignment || defaults.alignment, section.neededAlignment),
    entrySize: 0,
  };
}

function tableRecord(
  name: string,
  type: number,
  content: Uint8Array,
  rest: Partial<SectionRecord>,
): SectionRecord {
  return {
    name,
    type,
    flags: 0,
    content,
    size: content.length,
    link: 0,
    information: 0,
    alignment: 1,
    entrySize: 0,
    ...rest,
  };
}

const CONTENT_ALIGNMENT = 16;

/** Header, section headers, contents. */
function writeFile(
  records: readonly SectionRecord[],
  names: StringTable,
  nameTableIndex: number,
  elfClass: ElfClass,
): Uint8Array {
  const { bits, headerSize, sectionHeaderSize } = elfClass;
  const word = bits / 8;
  const writer = new ByteWriter();
  writer.append(Uint8Array.of(0x7f, 0x45, 0x4c, 0x46, bits === 64 ? 2 : 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0));
  writer.write(FILE_TYPE_RELOCATABLE, 2);
  writer.write(elfClass.machine, 2);
  writer.write(1, 4);
  writer.write(0, word); // entry point
  writer.write(0, word); // program headers
  writer.write(headerSize, word);
  writer.write(0, 4); // flags
  for (const half of [headerSize, 0, 0, sectionHeaderSize, records.length, nameTableIndex])
    writer.write(half, 2);
  let offset = headerSize + records.length * sectionHeaderSize;
  const offsets: number[] = [];
  for (const record of records) {
    offset = Math.ceil(offset / CONTENT_ALIGNMENT) * CONTENT_ALIGNMENT;
    offsets.push(record.type === SECTION_TYPE.NULL ? 0 : offset);
    offset += record.content.length;
  }
  for (const [index, record] of records.entries()) {
    writer.write(names.add(record.name), 4);
    writer.write(record.type, 4);
    writer.write(record.flags, word);
    writer.write(0, word); // address
    writer.write(offsets[index], word);
    writer.write(record.size, word);
    writer.write(record.link, 4);
    writer.write(record.information, 4);
    writer.write(record.alignment, word);
    writer.write(record.entrySize, word);
  }
  const file = new Uint8Array(offset);
  file.set(writer.toBytes());
  for (const [index, record] of records.entries())
    if (record.content.length > 0) file.set(record.content, offsets[index]);
  return file;
}

/** Writes the object file; fields that no relocation can express are reported. */
export function writeElf(
  format: 'elf32' | 'elf64',
  fileName: string,
  sections: readonly Section[],
  entries: Iterable<SymbolEntry>,
  diagnostics: DiagnosticCollector,
): Uint8Array {
  const elfClass = ELF_CLASSES[format];
  const word = elfClass.bits / 8;
  const sectionNumbers = new Map<AddressBase, number>(sections.map((section, index) => [section, index + 1]));
  const symbols = buildElfSymbols(fileName, sections, sectionNumbers, entries, elfClass);
  const relocated = sections.map((section) => relocate(section, symbols, elfClass, diagnostics));
  const nameTableIndex = sections.length + 1;
  const records: SectionRecord[] = [
    tableRecord('', SECTION_TYPE.NULL, new Uint8Array(0), { alignment: 0 }),
    ...sections.map((section, index) => contentRecord(section, relocated[index].content)),
  ];
  const names = new StringTable();
  const withTables = sections.filter((_, index) => relocated[index].table.length > 0);
  const prefix = elfClass.explicitAddends ? '.rela' : '.rel';
  for (const name of ['.shstrtab', '.symtab', '.strtab', ...records.map((record) => record.name)])
    names.add(name);
  for (const section of withTables) names.add(prefix + section.name);
  records.push(
    tableRecord('.shstrtab', SECTION_TYPE.STRTAB, names.toBytes(), {}),
    tableRecord('.symtab', SECTION_TYPE.SYMTAB, symbols.symbols, {
      link: nameTableIndex + 2,
      information: symbols.localCount,
      alignment: word,
      entrySize: elfClass.symbolSize,
    }),
    tableRecord('.strtab', SECTION_TYPE.STRTAB, symbols.strings, {}),
  );
  for (const section of withTables)
    records.push(
      tableRecord(
        prefix + section.name,
        elfClass.explicitAddends ? SECTION_TYPE.RELA : SECTION_TYPE.REL,
        relocated[section.index].table,
        {
          link: nameTableIndex + 1,
          information: section.index + 1,
          alignment: word,
          entrySize: elfClass.explicitAddends ? word * 3 : word * 2,
        },
      ),
    );
  return writeFile(records, names, nameTableIndex, elfClass);
}
