/**
 * Where the sections of a flat binary lie in the image and where they run, as NASM's `bin` format places them:
 * sections with content in the order of the source, moved by `follows=` and `start=`; `vstart=` and `vfollows=`
 * change only the address they run at; sections without content come after everything else.
 */

import type { Section } from '../sections.js';

export interface Placement {
  readonly section: Section;
  /** Address that the section has in the image. */
  readonly start: bigint;
  /** Address that its labels have. */
  readonly virtualStart: bigint;
}

export interface Layout {
  readonly placements: readonly Placement[];
  /** Mistakes in the attributes: a `follows=` that names no section, sections that overlap. */
  readonly problems: readonly string[];
}

const DEFAULT_ALIGNMENT = 4;

function alignUp(address: bigint, alignment: number): bigint {
  const mask = BigInt(alignment) - 1n;
  return (address + mask) & ~mask;
}

const alignmentOf = (section: Section): number => Math.max(section.alignment, section.neededAlignment);

/** Moves each section with `follows=`, and those after it that have no place of their own, behind its leader. */
function moveFollowers(sections: readonly Section[], problems: string[]): Section[] {
  const ordered = [...sections];
  for (const section of sections) {
    if (section.follows === undefined) continue;
    const from = ordered.indexOf(section);
    if (from > 0 && ordered[from - 1].name === section.follows) continue;
    let end = from + 1;
    while (
      end < ordered.length &&
      !startsGroup(ordered[end], ordered[end - 1]) &&
      ordered[end].name !== section.follows
    )
      end++;
    const group = ordered.splice(from, end - from);
    const leader = ordered.findIndex((one) => one.name === section.follows);
    if (leader < 0) problems.push(`section ${section.name} follows an unknown section ${section.follows}`);
    ordered.splice(leader < 0 ? from : leader + 1, 0, ...group);
  }
  return ordered;
}

function startsGroup(section: Section, previous: Section): boolean {
  return section.start !== undefined || (section.follows !== undefined && section.follows !== previous.name);
}

/** Sorts sections with `start=` by address; those without one stay behind the section that they come after. */
function sortByStart(sections: readonly Section[]): Section[] {
  const groups: Section[][] = [];
  for (const section of sections)
    if (section.start !== undefined || groups.length === 0) groups.push([section]);
    else groups[groups.length - 1].push(section);
  const startOf = (group: Section[]): bigint => group[0].start ?? -1n;
  return groups.sort((a, b) => (startOf(a) < startOf(b) ? -1 : startOf(a) > startOf(b) ? 1 : 0)).flat();
}

function placeInImage(
  sections: readonly Section[],
  origin: bigint,
  problems: string[],
): Map<Section, bigint> {
  const starts = new Map<Section, bigint>();
  let end = origin;
  for (const [index, section] of sections.entries()) {
    const alignment = alignmentOf(section) || (index === 0 ? 1 : DEFAULT_ALIGNMENT);
    const start = section.start ?? alignUp(end, alignment);
    if (start < end && section.size > 0)
      problems.push(`section ${section.name} overlaps what comes before it`);
    starts.set(section, start);
    if (start + BigInt(section.size) > end) end = start + BigInt(section.size);
  }
  return starts;
}

/** The section that `section` runs behind; `.bss` comes behind the last one with content. */
function virtualLeader(
  section: Section,
  sections: readonly Section[],
  lastWithContent: Section | undefined,
): Section | undefined {
  if (section.virtualFollows !== undefined)
    return sections.find((one) => one.name === section.virtualFollows);
  return section.name === '.bss' ? lastWithContent : sections[section.index - 1];
}

/** @param sections in the order of the source, `.text` first */
export function layOutSections(sections: readonly Section[], origin: bigint | undefined): Layout {
  const problems: string[] = [];
  const ordered = sortByStart(
    moveFollowers(
      sections.filter((section) => !section.nobits),
      problems,
    ),
  );
  const starts = placeInImage(ordered, origin ?? ordered[0]?.start ?? 0n, problems);
  const virtualStarts = new Map<Section, bigint>();
  for (const section of sections) {
    const own = section.virtualStart ?? (section.nobits ? section.start : undefined);
    const start = starts.get(section);
    if (own !== undefined) virtualStarts.set(section, own);
    else if (start !== undefined && section.virtualFollows === undefined) virtualStarts.set(section, start);
  }
  const last = ordered[ordered.length - 1];
  // Each round places what follows something placed; a round without progress is a circle.
  for (let progress = true; progress; ) {
    progress = false;
    for (const section of sections) {
      const leader = virtualLeader(section, sections, last);
      const before = leader && virtualStarts.get(leader);
      if (virtualStarts.has(section) || leader === undefined || before === undefined) continue;
      const alignment =
        section.virtualAlignment || (section.nobits && alignmentOf(section)) || DEFAULT_ALIGNMENT;
      virtualStarts.set(section, alignUp(before + BigInt(leader.size), alignment));
      progress = true;
    }
  }
  const placements = [...ordered, ...sections.filter((section) => section.nobits)].map((section) => {
    const virtualStart = virtualStarts.get(section);
    if (virtualStart === undefined) problems.push(`section ${section.name} has no address`);
    return { section, start: starts.get(section) ?? virtualStart ?? 0n, virtualStart: virtualStart ?? 0n };
  });
  return { placements, problems };
}
