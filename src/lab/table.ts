/** Reports as text: one table for each section of the talk, and the stages of an experiment side by side. */

import type { WriteLine } from '../trace/format.js';
import { grouped } from '../trace/format.js';
import type { PublishedValue } from './arithmetic.js';
import { type Figure, SECTIONS } from './experiment.js';
import type { ExperimentReport, ReportRow, SetupReport } from './report.js';

const WIDTH = { title: 52, number: 12, ratio: 9, change: 9, figure: 24, error: 9 } as const;

/** One table for each section that has experiments. */
export function writeSections(reports: readonly ExperimentReport[], write: WriteLine): void {
  let isFirst = true;
  for (const section of SECTIONS) {
    const ofSection = reports.filter((report) => report.section === section);
    if (ofSection.length === 0) continue;
    if (!isFirst) write('');
    isFirst = false;
    write(section.toUpperCase());
    for (const report of ofSection) {
      write('');
      writeRows(report, write);
    }
  }
}

/** Heading and rows of one experiment. */
export function writeRows(report: ExperimentReport, write: WriteLine): void {
  write(`${report.title} [${report.name}]`);
  const heading =
    ''.padEnd(WIDTH.title) +
    'before'.padStart(WIDTH.number) +
    'after'.padStart(WIDTH.number) +
    'ratio'.padStart(WIDTH.ratio) +
    'change'.padStart(WIDTH.change) +
    'published'.padStart(WIDTH.figure) +
    'error'.padStart(WIDTH.error);
  write(heading);
  for (const row of report.rows) write(formatRow(row));
}

function formatRow(row: ReportRow): string {
  const { title, unit, before, after, ratio, changeInPercent, figure, errorInPercent } = row;
  return (
    `  ${title}${unit === '' ? '' : `, ${unit}`}`.padEnd(WIDTH.title) +
    formatNumber(before, row.digits).padStart(WIDTH.number) +
    (after === undefined ? '' : formatNumber(after, row.digits)).padStart(WIDTH.number) +
    (ratio === undefined ? '' : ratio.toFixed(3)).padStart(WIDTH.ratio) +
    percent(changeInPercent).padStart(WIDTH.change) +
    (figure === undefined ? 'no figure' : formatFigure(figure, row.digits)).padStart(WIDTH.figure) +
    percent(errorInPercent).padStart(WIDTH.error) +
    (figure === undefined ? '' : `  ${verdict(figure, errorInPercent)}`)
  ).trimEnd();
}

/** Numbers to a number of digits behind the point, with thousands set apart. */
export function formatNumber(value: number, digits: number): string {
  const text = Math.abs(value).toFixed(digits);
  const [whole, fraction] = text.split('.');
  const sign = value < 0 && Number(text) !== 0 ? '-' : '';
  return sign + grouped(Number(whole)) + (fraction === undefined ? '' : `.${fraction}`);
}

/** Beyond this a percentage says less than the ratio beside it. */
const LARGEST_PERCENTAGE = 1000;

function percent(value: number | undefined): string {
  if (value === undefined || Math.abs(value) >= LARGEST_PERCENTAGE) return '';
  const text = Math.abs(value).toFixed(1);
  const sign = Number(text) === 0 ? '' : value < 0 ? '-' : '+';
  return `${sign}${text}%`;
}

const QUANTITY = { before: '', after: '', ratio: 'ratio ', saving: 'saves ', change: '' } as const;

function formatFigure({ of, value }: Figure, digits: number): string {
  const format = (number: number): string => {
    if (of === 'ratio') return String(number);
    return of === 'change' ? percent(number) : formatNumber(number, digits);
  };
  return QUANTITY[of] + formatValue(value, format);
}

const formatValue = (value: PublishedValue, format: (number: number) => string): string =>
  typeof value === 'number' ? format(value) : `${format(value.from)}–${format(value.to)}`;

function verdict({ kind, aimInPercent }: Figure, error: number | undefined): string {
  if (aimInPercent === undefined || error === undefined) return kind;
  return `${kind}, ${Math.abs(error) <= aimInPercent ? 'within' : 'misses'} ±${aimInPercent}%`;
}

/** Figures' sources, each once. */
export function writeSources(report: ExperimentReport, write: WriteLine): void {
  const sources = new Set(report.rows.flatMap(({ figure }) => (figure === undefined ? [] : [figure.source])));
  if (sources.size > 0) write('Published:');
  for (const source of sources) write(`  ${source}`);
}

const STAGE_WIDTH = { name: 42, number: 16 } as const;

/** Stages of the typical exit of each setup, with their operations, side by side. */
export function writeStages({ setups }: ExperimentReport, write: WriteLine): void {
  const shown = setups.filter(({ stages }) => stages.length > 0);
  if (shown.length === 0) return;
  const line = (name: string, cell: (setup: SetupReport) => string): void =>
    write(
      (
        name.padEnd(STAGE_WIDTH.name) + shown.map((s) => cell(s).padStart(STAGE_WIDTH.number)).join('')
      ).trimEnd(),
    );
  const cells = (cycles: number): string => (cycles === 0 ? '–' : grouped(cycles));
  line('stages of the exit, cycles', ({ label }) => label);
  for (const stage of namesOf(shown.map(({ stages }) => stages))) {
    const operations = (setup: SetupReport) =>
      setup.stages.filter(({ name }) => name === stage).flatMap((record) => record.operations);
    line(stage, (setup) => cells(sumCycles(setup.stages.filter(({ name }) => name === stage))));
    for (const operation of namesOf(shown.map(operations)))
      line(`    ${operation}`, (setup) =>
        cells(sumCycles(operations(setup).filter(({ name }) => name === operation))),
      );
  }
  line('total', ({ stages }) => cells(sumCycles(stages)));
}

/** Names in the order of the longest list, then those that only others have. */
function namesOf(lists: readonly (readonly { readonly name: string }[])[]): string[] {
  const byLength = [...lists].sort((a, b) => b.length - a.length);
  return [...new Set(byLength.flatMap((list) => list.map(({ name }) => name)))];
}

function sumCycles(items: readonly { readonly cycles: number }[]): number {
  return items.reduce((sum, { cycles }) => sum + cycles, 0);
}

/** Names, sections and titles. */
export function writeList(
  experiments: readonly Pick<ExperimentReport, 'name' | 'section' | 'title'>[],
  write: WriteLine,
): void {
  const width = Math.max(...experiments.map(({ name }) => name.length));
  for (const { name, section, title } of experiments) write(`${name.padEnd(width)}  ${section}: ${title}`);
}
