/** Cost models that take another model's table and say where they differ. */

import { splitRoundTrip } from './calibration.js';
import type { CostEntry, CostModel } from './cost-model.js';
import type { OperationName } from './operations.js';
import { PUBLISHED, type PublishedFigure } from './published-figures.js';

export interface CostOverlay {
  readonly name: string;
  readonly description: string;
  readonly clockInHertz: number;
  /** Entries that replace those of the model below. */
  readonly entries: { readonly [Name in OperationName]?: CostEntry };
}

export function overlay(base: CostModel, { entries, ...model }: CostOverlay): CostModel {
  return { ...model, entries: { ...base.entries, ...entries } };
}

/** VM exit and VM entry from the hardware round trip of another processor, split as on the talk's. */
export function hardwareRoundTrip(figure: PublishedFigure): CostOverlay['entries'] {
  const { exit, entry } = splitRoundTrip(figure.cycles);
  const costEntry = (cycles: number): CostEntry => ({
    cycles,
    unit: 'each',
    provenance: 'paper',
    source: `${figure.source}; split by ${PUBLISHED.exitToEntryRatio.source}`,
  });
  return { 'VM exit': costEntry(exit), 'VM entry': costEntry(entry) };
}
