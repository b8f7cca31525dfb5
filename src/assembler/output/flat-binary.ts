/** Sections side by side in one image, every address resolved. */

import { type DiagnosticCollector, diagnosticAt } from '../diagnostics.js';
import { type Fixup, MAXIMUM_SECTION_SIZE, type SectionTable } from '../sections.js';
import type { LineOrigin } from '../source-text.js';
import type { AddressBase } from '../value.js';
import { layOutSections, type Placement } from './section-layout.js';

export interface FlatBinary {
  readonly image: Uint8Array;
  /** Address of the first byte. */
  readonly origin: bigint;
  /** Where each section runs. */
  readonly addresses: ReadonlyMap<AddressBase, bigint>;
  /** Where each section lies in the image, counted like `origin`. */
  readonly loadAddresses: ReadonlyMap<AddressBase, bigint>;
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

/**
 * Lays the sections out from `origin` on and fills in every address.
 * @param origin undefined when the source has no ORG: then the first section says where the image begins
 * @param endOfSource where problems with the layout as a whole are reported
 */
export function writeFlatBinary(
  sections: SectionTable,
  origin: bigint | undefined,
  diagnostics: DiagnosticCollector,
  endOfSource: LineOrigin,
): FlatBinary {
  const { placements, problems } = layOutSections(sections.list, origin);
  const report = (message: string): void => {
    diagnostics.add(diagnosticAt('error', 'section-layout', message, endOfSource), true);
  };
  for (const problem of problems) report(problem);
  const addresses = new Map<AddressBase, bigint>();
  const loadAddresses = new Map<AddressBase, bigint>();
  for (const { section, start, virtualStart } of placements) {
    addresses.set(section, virtualStart);
    loadAddresses.set(section, start);
  }
  const stored = placements.filter(({ section }) => !section.nobits && section.size > 0);
  const base = origin ?? stored[0]?.start ?? 0n;
  let end = base;
  for (const { section, start } of stored) {
    if (start < base) report(`section ${section.name} begins before the origin`);
    if (start + BigInt(section.size) > end) end = start + BigInt(section.size);
  }
  const empty = { image: new Uint8Array(0), origin: base, addresses, loadAddresses };
  if (end - base > BigInt(MAXIMUM_SECTION_SIZE)) {
    report(`the image is larger than ${MAXIMUM_SECTION_SIZE >> 20} MiB`);
    return empty;
  }
  const image = new Uint8Array(Number(end - base));
  for (const placement of stored) {
    if (placement.start < base) return empty;
    const offset = Number(placement.start - base);
    image.set(placement.section.bytes, offset);
    for (const fixup of placement.section.fixups) {
      const value = resolve(fixup, placement, addresses);
      if (!fits(value, fixup)) {
        const message = `address does not fit ${fixup.sizeInBytes} bytes`;
        diagnostics.add(diagnosticAt('warning', 'number-overflow', message, fixup.origin), true);
      }
      writeFixup(image, offset + fixup.offset, fixup.sizeInBytes, value);
    }
  }
  return { ...empty, image };
}
