/** The same guest on two hypervisors: exits by reason and cycles by stage, side by side, biggest difference first. */

import { grouped, type WriteLine } from '../trace/format.js';
import type { ReasonStatistics, StageStatistics } from '../trace/statistics-sink.js';
import { changeInPercent } from './arithmetic.js';

/** One run, as far as it is compared. */
export interface ComparedRun {
  /** Virtual cycles of the whole run, and guest instructions retired. */
  readonly cycles: number;
  readonly instructions: number;
  readonly reasons: readonly ReasonStatistics[];
  readonly stages: readonly StageStatistics[];
}

export interface ComparedNumber {
  readonly a: number;
  readonly b: number;
  /** b less a. */
  readonly difference: number;
  /** In percent of a; null when a is 0. */
  readonly changeInPercent: number | null;
}

export interface ComparedReason {
  readonly reasonName: string;
  readonly exits: ComparedNumber;
  readonly heavyExits: ComparedNumber;
  readonly cycles: ComparedNumber;
}

export interface ComparedStage {
  readonly name: string;
  readonly cycles: ComparedNumber;
}

export interface Comparison {
  readonly cycles: ComparedNumber;
  readonly exits: ComparedNumber;
  readonly exitCycles: ComparedNumber;
  readonly instructions: ComparedNumber;
  readonly reasons: readonly ComparedReason[];
  readonly stages: readonly ComparedStage[];
}

export function compareRuns(a: ComparedRun, b: ComparedRun): Comparison {
  return {
    cycles: compare(a.cycles, b.cycles),
    exits: compare(total(a.reasons, 'count'), total(b.reasons, 'count')),
    exitCycles: compare(total(a.reasons, 'totalCycles'), total(b.reasons, 'totalCycles')),
    instructions: compare(a.instructions, b.instructions),
    reasons: biggestFirst(
      namesOf([a, b], ({ reasons }) => reasons.map(({ reasonName }) => reasonName)).map((reasonName) => {
        const number = (key: 'count' | 'heavy' | 'totalCycles'): ComparedNumber => {
          const of = ({ reasons }: ComparedRun): number =>
            reasons.find((reason) => reason.reasonName === reasonName)?.[key] ?? 0;
          return compare(of(a), of(b));
        };
        return {
          reasonName,
          exits: number('count'),
          heavyExits: number('heavy'),
          cycles: number('totalCycles'),
        };
      }),
    ),
    stages: biggestFirst(
      namesOf([a, b], ({ stages }) => stages.map(({ name }) => name)).map((name) => {
        const of = ({ stages }: ComparedRun): number =>
          stages.find((stage) => stage.name === name)?.totalCycles ?? 0;
        return { name, cycles: compare(of(a), of(b)) };
      }),
    ),
  };
}

const compare = (a: number, b: number): ComparedNumber => ({
  a,
  b,
  difference: b - a,
  changeInPercent: changeInPercent(a, b) ?? null,
});

const total = (reasons: readonly ReasonStatistics[], key: 'count' | 'totalCycles'): number =>
  reasons.reduce((sum, reason) => sum + reason[key], 0);

const namesOf = (runs: readonly ComparedRun[], names: (run: ComparedRun) => readonly string[]): string[] => [
  ...new Set(runs.flatMap(names)),
];

/** By the cycles that there are more or less; equals stay in the order of the runs. */
function biggestFirst<Item extends { readonly cycles: ComparedNumber }>(items: Item[]): Item[] {
  return items.sort((x, y) => Math.abs(y.cycles.difference) - Math.abs(x.cycles.difference));
}

const WIDTH = { name: 34, number: 14, change: 9 } as const;

/** @param names of the two sides: what was chosen for them */
export function writeComparison(
  { cycles, exits, exitCycles, instructions, reasons, stages }: Comparison,
  names: { readonly a: string; readonly b: string },
  write: WriteLine,
): void {
  write(`a: ${names.a}`);
  write(`b: ${names.b}`);
  const heading = (title: string): void => {
    write('');
    write(row(title, 'a', 'b', 'b - a', 'change'));
  };
  heading('exits by reason');
  for (const reason of reasons) write(numbers(reason.reasonName, reason.exits));
  write(numbers('all', exits));
  heading('cycles by reason');
  for (const reason of reasons) write(numbers(reason.reasonName, reason.cycles));
  write(numbers('all', exitCycles));
  heading('cycles by stage');
  for (const stage of stages) write(numbers(stage.name, stage.cycles));
  heading('the whole run');
  write(numbers('cycles', cycles));
  write(numbers('guest instructions', instructions));
}

function row(name: string, a: string, b: string, difference: string, change: string): string {
  const cells = [a, b, difference].map((text) => text.padStart(WIDTH.number)).join('');
  return name.padEnd(WIDTH.name) + cells + change.padStart(WIDTH.change);
}

function numbers(name: string, { a, b, difference, changeInPercent: change }: ComparedNumber): string {
  const sign = difference < 0 ? '-' : difference > 0 ? '+' : '';
  const percent = change === null ? '' : `${sign}${Math.abs(change).toFixed(1)}%`;
  return row(name, grouped(a), grouped(b), sign + grouped(Math.abs(difference)), percent).trimEnd();
}
