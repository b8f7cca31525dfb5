/** Numbers of the ELF format (System V ABI, chapter 4 Object Files; AMD64 and Intel386 supplements). */

export const SECTION_TYPE = {
  NULL: 0,
  PROGBITS: 1,
  SYMTAB: 2,
  STRTAB: 3,
  RELA: 4,
  NOTE: 7,
  NOBITS: 8,
  REL: 9,
} as const;
export const SECTION_FLAG = {
  WRITE: 1,
  ALLOC: 2,
  EXECINSTR: 4,
  MERGE: 0x10,
  STRINGS: 0x20,
  INFO_LINK: 0x40,
  TLS: 0x400,
} as const;
export const SYMBOL_BINDING = { LOCAL: 0, GLOBAL: 1 } as const;
export const SYMBOL_TYPE = { NOTYPE: 0, OBJECT: 1, FUNC: 2, SECTION: 3, FILE: 4, TLS: 6 } as const;
export const SYMBOL_VISIBILITY = { DEFAULT: 0, INTERNAL: 1, HIDDEN: 2, PROTECTED: 3 } as const;
/** Section numbers that name no section. */
export const SECTION_INDEX = { UNDEFINED: 0, ABSOLUTE: 0xfff1, COMMON: 0xfff2 } as const;
export const FILE_TYPE_RELOCATABLE = 1;

/** What differs between the two classes. */
export interface ElfClass {
  readonly bits: 32 | 64;
  readonly machine: number;
  readonly headerSize: number;
  readonly sectionHeaderSize: number;
  readonly symbolSize: number;
  /** Relocations carry their addend (RELA); otherwise it stands in the field (REL). */
  readonly explicitAddends: boolean;
  /** Relocation types by size of the field in bytes. */
  readonly absolute: Readonly<Record<number, number>>;
  readonly relative: Readonly<Record<number, number>>;
  /** For 32-bit fields that are sign-extended, 0 when there is no difference. */
  readonly absoluteSigned32: number;
}

export const ELF_CLASSES: Readonly<Record<'elf32' | 'elf64', ElfClass>> = {
  elf32: {
    bits: 32,
    machine: 3,
    headerSize: 52,
    sectionHeaderSize: 40,
    symbolSize: 16,
    explicitAddends: false,
    absolute: { 1: 22, 2: 20, 4: 1 },
    relative: { 1: 23, 2: 21, 4: 2 },
    absoluteSigned32: 0,
  },
  elf64: {
    bits: 64,
    machine: 62,
    headerSize: 64,
    sectionHeaderSize: 64,
    symbolSize: 24,
    explicitAddends: true,
    absolute: { 1: 14, 2: 12, 4: 10, 8: 1 },
    relative: { 1: 15, 2: 13, 4: 2, 8: 24 },
    absoluteSigned32: 11,
  },
};
