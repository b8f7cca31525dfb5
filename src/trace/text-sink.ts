/** One line of text for each exit, with its stages on request. */

import type { ExitRecord, InjectionRecord, StageRecord, TraceSink } from './events.js';
import {
  column,
  type DescribeInstruction,
  grouped,
  hexadecimal,
  type Palette,
  PLAIN,
  type WriteLine,
} from './format.js';

export interface TextSinkOptions {
  readonly write: WriteLine;
  readonly describeInstruction: DescribeInstruction;
  /** Adds the stages of each exit below its line, and the operations of each stage. */
  readonly stages?: boolean;
  readonly palette?: Palette;
}

const WIDTH = { time: 13, rip: 12, instruction: 32, reason: 18, weight: 5, cycles: 8 } as const;

/** The heading that belongs to the lines of `textSink`. */
export function textHeading(): string {
  return [
    'time'.padStart(WIDTH.time),
    column('RIP', WIDTH.rip),
    column('instruction', WIDTH.instruction),
    column('exit', WIDTH.reason),
    column('', WIDTH.weight),
    'cycles'.padStart(WIDTH.cycles),
    'what, and what was done',
  ].join('  ');
}

/** Time and cycles in cycles of the modelled processor. */
export function textSink(options: TextSinkOptions): TraceSink {
  const { write, describeInstruction, palette = PLAIN } = options;
  // An exit is reported when it is over; what was injected meanwhile belongs below its line.
  let injected: InjectionRecord[] = [];
  const writeInjected = (until: number): void => {
    for (const record of injected) if (record.time < until) write(palette.quiet(injectionLine(record)));
    injected = injected.filter((record) => record.time >= until);
  };
  return {
    vmExit(record) {
      writeInjected(record.time);
      write(exitLine(record, describeInstruction(record.instructionBytes, record.rip), palette));
      if (options.stages === true) for (const line of stageLines(record.stages, palette)) write(line);
      writeInjected(Number.POSITIVE_INFINITY);
    },
    injection(record) {
      injected.push(record);
    },
  };
}

function injectionLine({ time, kind, vector, errorCode }: InjectionRecord): string {
  const error = errorCode === undefined ? '' : `, error code ${hexadecimal(errorCode)}`;
  return `${grouped(time).padStart(WIDTH.time)}  inject ${kind}, vector ${vector}${error}`;
}

function exitLine(record: ExitRecord, instruction: string, palette: Palette): string {
  const mark = record.weight === 'heavy' ? palette.heavy : palette.light;
  const done = record.actions.length === 0 ? '' : palette.quiet(` → ${record.actions.join(', ')}`);
  return [
    palette.quiet(grouped(record.time).padStart(WIDTH.time)),
    column(hexadecimal(record.rip), WIDTH.rip),
    column(instruction, WIDTH.instruction),
    palette.strong(column(record.reasonName, WIDTH.reason)),
    mark(column(record.weight, WIDTH.weight)),
    mark(grouped(record.cycles).padStart(WIDTH.cycles)),
    record.description + done,
  ].join('  ');
}

/** One line per stage: cycles, name, and which operations they are. */
export function stageLines(stages: readonly StageRecord[], palette: Palette = PLAIN): string[] {
  const nameWidth = Math.max(0, ...stages.map((stage) => stage.name.length));
  return stages.map((stage) => {
    const operations = stage.operations.map(({ name, count, cycles }) => {
      const times = count === 1 ? '' : `${grouped(count)} × `;
      return `${times}${name} ${grouped(cycles)}`;
    });
    const cycles = grouped(stage.cycles).padStart(WIDTH.time + 2 + WIDTH.cycles);
    return `${cycles}  ${stage.name.padEnd(nameWidth)}  ${palette.quiet(operations.join(', '))}`.trimEnd();
  });
}
