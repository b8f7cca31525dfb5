/** One line of text for each exit, with its stages on request. */

import { exceptionName, VECTOR } from '../architecture/vectors.js';
import { EXIT_REASON } from '../architecture/vmx/exit-reasons.js';
import {
  INTERRUPTION_INFORMATION,
  interruptionVector,
} from '../architecture/vmx/interruption-information.js';
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

const WIDTH = { time: 13, rip: 12, instruction: 32, reason: 19, weight: 5, cycles: 8 } as const;

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
  const what =
    kind === 'interrupt'
      ? `interrupt, vector ${vector}`
      : exceptionName(kind === 'nmi' ? VECTOR.NMI : vector);
  return `${grouped(time).padStart(WIDTH.time)}  inject ${what}${error}`;
}

function exitLine(record: ExitRecord, instruction: string, palette: Palette): string {
  const mark = record.weight === 'heavy' ? palette.heavy : palette.light;
  const done = record.actions.length === 0 ? '' : palette.quiet(`→ ${record.actions.join(', ')}`);
  return [
    palette.quiet(grouped(record.time).padStart(WIDTH.time)),
    column(hexadecimal(record.rip), WIDTH.rip),
    column(instruction, WIDTH.instruction),
    palette.strong(column(record.reasonName, WIDTH.reason)),
    mark(column(record.weight, WIDTH.weight)),
    mark(grouped(record.cycles).padStart(WIDTH.cycles)),
    [descriptionOf(record), done].filter((text) => text !== '').join(' '),
  ]
    .join('  ')
    .trimEnd();
}

/** What the record says in words, with what it says in numbers: which exception, which address. */
function descriptionOf({
  reason,
  description,
  interruptionInformation,
  interruptionErrorCode,
  guestPhysicalAddress,
}: ExitRecord): string {
  if (reason === EXIT_REASON.EXCEPTION_NMI) {
    const name = exceptionName(interruptionVector(interruptionInformation));
    const hasErrorCode = (interruptionInformation & INTERRUPTION_INFORMATION.ERROR_CODE) !== 0;
    const error = hasErrorCode ? `, error code ${hexadecimal(interruptionErrorCode)}` : '';
    return name + error + (description === '' ? '' : `, ${description}`);
  }
  return guestPhysicalAddress === undefined
    ? description
    : [`at ${hexadecimal(guestPhysicalAddress)}`, description].filter((text) => text !== '').join(': ');
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
