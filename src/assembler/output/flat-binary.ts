/** Sections side by side in one image, every address resolved. */

import { type DiagnosticCollector, diagnosticAt } from '../diagnostics.js';
import { type Fixup, MAXIMUM_SECTION_SIZE, type Section, type SectionTable } from '../sections.js';
import type { AddressBase } from '../value.js';

const DEFAULT_ALIGNMENT = 4;

/** Where a section is loaded and where it runs. */
interface Placement {
  readonly section: Section;
  readonly start: bigint;
  readonly virtualStart: bigint;
}

export interface FlatBinary {
  readonly image: Uint8Array;
  /** Address of the first byte. */
  readonly origin: bigint;
  /** Where each section runs. */
  readonly addresses: ReadonlyMap<AddressBase, bigint>;
  /** Where each section lies in the image, counted like `origin`. */
  readonly loadAddresses: ReadonlyMap<AddressBase, bigint>;
}

function alignUp(address: bigint, alignment: number): bigint {
  const mask = BigInt(alignment) - 1n;
  return (address + mask) & ~mask;
}

/** The section's own alignment, that of its ALIGN directives, or the default. */
function alignmentOf(section: Section): number {
  return Math.max(section.alignment, section.neededAlignment) || DEFAULT_ALIGNMENT;
}

/** The order in the image: `follows` puts a section behind the one it names, sections without content go last. */
function orderSections(sections: readonly Section[]): Section[] {
  const withContent = sections.filter((section) => !section.nobits);
  const fixed = withContent.filter((section) => section.start !== undefined);
  const text = withContent.filter((section) => section.start === undefined && section.name === '.text');
  const rest = withContent.filter((section) => section.start === undefined && section.name !== '.text');
  fixed.sort((a, b) => ((a.start as bigint) < (b.start as bigint) ? -1 : 1));
  const ordered: Section[] = [];
  const place = (section: Section): void => {
    if (ordered.includes(section)) return;
    const leader = ordered.findIndex((other) => other.name === section.follows);
    if (section.follows !== undefined && leader >= 0) ordered.splice(leader + 1, 0, section);
    else ordered.push(section);
  };
  for (const section of [...text, ...rest.filter((one) => one.follows === undefined)]) place(section);
  for (const section of rest.filter((one) => one.follows !== undefined)) place(section);
  const nobits = sections.filter((section) => section.nobits);
  return [...ordered, ...fixed, ...nobits];
}

function placeSections(sections: SectionTable, origin: bigint): Placement[] {
  const placements: Placement[] = [];
  let end = origin;
  for (const section of orderSections(sections.list)) {
    const first = placements.length === 0;
    const start = section.start ?? (first ? origin : alignUp(end, alignmentOf(section)));
    const virtualStart = section.virtualStart ?? start;
    placements.push({ section, start, virtualStart });
    if (section.size > 0 || section.start === undefined) end = start + BigInt(section.size);
  }
  return placements;
}

function resolve(fixup: Fixup, placement: Placement, addresses: ReadonlyMap<AddressBase, bigint>): bigint {
  const base = fixup.base === undefined ? 0n : (addresses.get(fixup.base) ?? 0n);
  const value = base + fixup.addend;
  if (fixup.relativeTo === undefined) return value;
  return value - (placement.virtualStart + BigInt(fixup.relativeTo));
}

function fits(value: bigint, fixup: Fixup): boolean {
  const bits = fixup.sizeInBytes * 8;
  if (fixup.signed)
    return BigInt.asIntN(bits, value) === value || (bits === 16 && BigInt.asUintN(16, value) === value);
  return BigInt.asIntN(bits, value) === value || BigInt.asUintN(bits, value) === value;
}

function writeFixup(image: Uint8Array, position: number, size: number, value: bigint): void {
  for (let index = 0; index < size; index++)
    image[position + index] = Number(BigInt.asUintN(8, value >> BigInt(8 * index)));
}

/** Lays the sections out from `origin` on and fills in every address. */
export function writeFlatBinary(
  sections: SectionTable,
  origin: bigint,
  diagnostics: DiagnosticCollector,
): FlatBinary {
  const placements = placeSections(sections, origin);
  const addresses = new Map<AddressBase, bigint>(
    placements.map(({ section, virtualStart }) => [section, virtualStart]),
  );
  const loadAddresses = new Map<AddressBase, bigint>(
    placements.map(({ section, start }) => [section, start]),
  );
  const stored = placements.filter(({ section }) => !section.nobits && section.size > 0);
  let first = stored[0]?.start ?? origin;
  let end = first;
  for (const { section, start } of stored) {
    if (start < first) first = start;
    if (start + BigInt(section.size) > end) end = start + BigInt(section.size);
  }
  // The image begins at the origin even when its first section starts later.
  const base = first < origin ? first : origin;
  const length = Number(end - base);
  if (length > MAXIMUM_SECTION_SIZE)
    return { image: new Uint8Array(0), origin: base, addresses, loadAddresses };
  const image = new Uint8Array(length);
  for (const placement of stored) {
    const offset = Number(placement.start - base);
    image.set(placement.section.bytes, offset);
    for (const fixup of placement.section.fixups) {
      const value = resolve(fixup, placement, addresses);
      if (!fits(value, fixup))
        diagnostics.add(
          diagnosticAt(
            'warning',
            'number-overflow',
            `address does not fit ${fixup.sizeInBytes} bytes`,
            fixup.origin,
          ),
          true,
        );
      writeFixup(image, offset + fixup.offset, fixup.sizeInBytes, value);
    }
  }
  return { image, origin: base, addresses, loadAddresses };
}
