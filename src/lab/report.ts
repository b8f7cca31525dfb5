/** Experiments that were run: their numbers, computed once, for tables and documents alike. */

import type { StageRecord } from '../trace/events.js';
import { changeInPercent, errorInPercent, ratioOf } from './arithmetic.js';
import type { Comparison, Experiment, Figure, RowDefinition, Section } from './experiment.js';
import type { Observation } from './observation.js';
import { typicalExit } from './read-off.js';

export interface ReportRow {
  readonly title: string;
  readonly unit: string;
  readonly digits: number;
  readonly before: number;
  readonly after: number | undefined;
  /** Before ÷ after. */
  readonly ratio: number | undefined;
  readonly changeInPercent: number | undefined;
  readonly figure: Figure | undefined;
  /** The number that the figure is about. */
  readonly measured: number | undefined;
  readonly errorInPercent: number | undefined;
}

export interface SetupReport {
  readonly name: string;
  readonly label: string;
  readonly cycles: number;
  readonly clockInHertz: number;
  readonly instructions: number;
  readonly exits: number;
  /** Stages of the typical exit of the experiment, where it has one. */
  readonly stages: readonly StageRecord[];
}

export interface CurveReport {
  readonly title: string;
  readonly xLabel: string;
  readonly yLabel: string;
  readonly lines: readonly {
    readonly label: string;
    readonly points: readonly (readonly [number, number])[];
  }[];
}

export interface ExperimentReport {
  readonly name: string;
  readonly section: Section;
  readonly title: string;
  readonly rows: readonly ReportRow[];
  readonly setups: readonly SetupReport[];
  readonly curves: CurveReport | undefined;
}

export type Runs = ReadonlyMap<string, Observation>;

export function reportOf(experiment: Experiment, runs: Runs): ExperimentReport {
  const { name, section, title, rows, curves } = experiment;
  return {
    name,
    section,
    title,
    rows: rows.map((row) => reportRow(row, runs)),
    setups: Object.entries(experiment.setups).map(([setup, { label }]) =>
      reportSetup(experiment, setup, label, runs.get(setup)!),
    ),
    curves:
      curves === undefined
        ? undefined
        : {
            ...curves,
            lines: curves.lines.map(({ label, points }) => ({
              label,
              points: points.map(([x, setup]) => [x, curves.read(runs.get(setup)!)] as const),
            })),
          },
  };
}

function reportRow({ title, unit, digits = 0, figure, ...row }: RowDefinition, runs: Runs): ReportRow {
  const { before, after } = numbersOf(row, runs);
  const ratio = after === undefined ? undefined : ratioOf(before, after);
  const change = after === undefined ? undefined : changeInPercent(before, after);
  const numbers: Record<Comparison, number | undefined> = {
    before,
    after,
    ratio,
    saving: after === undefined ? undefined : before - after,
    change,
  };
  const measured = figure === undefined ? undefined : numbers[figure.of];
  return {
    title,
    unit,
    digits,
    before,
    after,
    ratio,
    changeInPercent: change,
    figure,
    measured,
    errorInPercent:
      figure === undefined || measured === undefined ? undefined : errorInPercent(measured, figure.value),
  };
}

function numbersOf(
  { read, less, before = 'before', after = 'after' }: Omit<RowDefinition, 'title' | 'unit'>,
  runs: Runs,
): { readonly before: number; readonly after: number | undefined } {
  if (typeof read !== 'function') return { before: read.all(runs), after: undefined };
  const subtracted = less === undefined ? 0 : read(runs.get(less)!);
  const afterRun = after === null ? undefined : runs.get(after);
  return {
    before: read(runs.get(before)!) - subtracted,
    after: afterRun === undefined ? undefined : read(afterRun) - subtracted,
  };
}

function reportSetup(experiment: Experiment, name: string, label: string, run: Observation): SetupReport {
  const { cycles, clockInHertz, instructions, vms } = run.result;
  return {
    name,
    label,
    cycles,
    clockInHertz,
    instructions,
    exits: vms.reduce((sum, { statistics }) => sum + statistics.exits, 0),
    stages: experiment.exit === undefined ? [] : typicalExit(run, experiment.exit).stages,
  };
}
