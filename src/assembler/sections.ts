/** Sections: their attributes, their growing content, and the places in it that wait for an address. */

import { fail } from './assembly-error.js';
import type { LineOrigin } from './source-text.js';
import type { AddressBase } from './value.js';

/** A field whose value is known only when the sections have addresses. */
export interface Fixup {
  readonly offset: number;
  readonly sizeInBytes: number;
  /** Undefined: the addend is an address by itself (a branch to a plain number). */
  readonly base: AddressBase | undefined;
  readonly addend: bigint;
  /** Undefined: the field holds an address. Otherwise: a distance, counted from this offset in the field's section. */
  readonly relativeTo: number | undefined;
  /** The processor sign-extends the field. */
  readonly signed: boolean;
  readonly origin: LineOrigin;
}

/** What a section may grow to; larger ones are an error, so that no source can exhaust the host. */
export const MAXIMUM_SECTION_SIZE = 256 * 1024 * 1024;

export class Section implements AddressBase {
  readonly kind = 'section';
  readonly name: string;
  readonly index: number;
  /** Holds no bytes in the file. */
  nobits = false;
  /** Attribute words as written: `exec`, `write`, `progbits` … */
  attributes = new Set<string>();
  /** Alignment in bytes, 0 when not given. */
  alignment = 0;
  /** Alignment that ALIGN directives ask for in this pass. */
  neededAlignment = 0;
  /** Alignment of the address it runs at, 0 when not given. */
  virtualAlignment = 0;
  start: bigint | undefined;
  virtualStart: bigint | undefined;
  follows: string | undefined;
  virtualFollows: string | undefined;

  size = 0;
  fixups: Fixup[] = [];
  private content = new Uint8Array(0);

  constructor(name: string, index: number) {
    this.name = name;
    this.index = index;
  }

  /** Empties the section for the next pass; attributes stay. */
  reset(): void {
    this.size = 0;
    this.fixups = [];
    this.neededAlignment = 0;
  }

  get bytes(): Uint8Array {
    return this.content.subarray(0, this.nobits ? 0 : this.size);
  }

  append(bytes: Uint8Array): void {
    const end = this.grow(bytes.length);
    if (!this.nobits) this.content.set(bytes, end - bytes.length);
  }

  /** Appends `count` copies of a byte. */
  appendFill(count: number, byte: number): void {
    const end = this.grow(count);
    if (!this.nobits) this.content.fill(byte, end - count, end);
  }

  private grow(count: number): number {
    const end = this.size + count;
    if (end > MAXIMUM_SECTION_SIZE)
      fail('section-size', `section ${this.name} is larger than ${MAXIMUM_SECTION_SIZE >> 20} MiB`);
    if (!this.nobits && end > this.content.length) {
      const larger = new Uint8Array(
        Math.min(MAXIMUM_SECTION_SIZE, Math.max(end, this.content.length * 2, 4096)),
      );
      larger.set(this.content.subarray(0, this.size));
      this.content = larger;
    }
    this.size = end;
    return end;
  }
}

/** All sections in the order in which the source first names them. */
export class SectionTable {
  readonly list: Section[] = [];

  find(name: string): Section | undefined {
    return this.list.find((section) => section.name === name);
  }

  /** The section of that name, made when it is new. */
  open(name: string): Section {
    let section = this.find(name);
    if (section === undefined) {
      section = new Section(name, this.list.length);
      section.nobits = name === '.bss' || name.startsWith('.bss.');
      this.list.push(section);
    }
    return section;
  }

  reset(): void {
    for (const section of this.list) section.reset();
  }
}
