/**
 * The nine-point timeline of a port write that user space handles, from M. Tosatti, "A Walkthrough on some recent KVM
 * performance improvements" (KVM Forum 2010), measured on an i7 at 2.6 GHz; and an exit of ours beside it.
 * The talk prints 3,000 for the step to 6,700; its own times give 2,900, and the times are what counts here.
 */

import type { ExitRecord, TraceSink } from './events.js';
import { grouped, type Palette, PLAIN, type WriteLine } from './format.js';

export interface TimelinePoint {
  /** Cycles since the guest executed the instruction. */
  readonly time: number;
  readonly event: string;
  /** The stage of an exit that ends here; the first point has none. */
  readonly stage: string | undefined;
}

export const TALK_TIMELINE: readonly TimelinePoint[] = [
  { time: 0, event: 'the guest writes to the port', stage: undefined },
  { time: 400, event: 'the host acquires control', stage: 'host acquires control' },
  { time: 800, event: 'the exit handler runs', stage: 'exit handler runs' },
  { time: 1800, event: 'the search for a device in the kernel ends', stage: 'kernel handler (PIO search)' },
  { time: 3800, event: 'host state is restored (MSRs, FPU)', stage: 'host state restored (MSRs, FPU)' },
  { time: 6700, event: 'user space is done, back in the kernel', stage: 'qemu, back in kernel' },
  { time: 8500, event: 'guest state is reloaded', stage: 'guest state reloaded' },
  { time: 9600, event: 'the guest is entered', stage: 'guest entry' },
  { time: 10400, event: 'back in the guest', stage: 'back in guest' },
];

export interface TimelineRow extends TimelinePoint {
  /** The same point in our exit. */
  readonly ourTime: number;
}

/** The talk's points with the times at which `record` reached them, and the cycles of stages that the talk doesn't know. */
export function compareWithTalk(record: ExitRecord): { rows: TimelineRow[]; otherCycles: number } {
  const cyclesOf = (name: string | undefined): number =>
    record.stages.filter((stage) => stage.name === name).reduce((sum, stage) => sum + stage.cycles, 0);
  let ourTime = 0;
  const rows = TALK_TIMELINE.map((point) => {
    ourTime += cyclesOf(point.stage);
    return { ...point, ourTime };
  });
  return { rows, otherCycles: record.cycles - ourTime };
}

/**
 * Waits for the first heavy port write that is made for the second time, when nothing is cold any more.
 * `report` prints it beside the talk's.
 */
export class TimelineSink implements TraceSink {
  private readonly seen = new Set<bigint>();
  private example: ExitRecord | undefined;

  vmExit(record: ExitRecord): void {
    if (this.example !== undefined || record.weight !== 'heavy' || !isPortWrite(record)) return;
    if (this.seen.has(record.rip)) this.example = record;
    this.seen.add(record.rip);
  }

  /** False when no exit was fit for it. */
  report(write: WriteLine, palette: Palette = PLAIN): boolean {
    if (this.example === undefined) return false;
    writeTimeline(this.example, write, palette);
    return true;
  }
}

/** Exit Qualification for I/O Instructions (SDM Vol. 3C, Table 27-5): bit 3 is set for IN. */
function isPortWrite({ reasonName, qualification }: ExitRecord): boolean {
  return reasonName === 'IO_INSTRUCTION' && (qualification & 8n) === 0n;
}

const WIDTH = { event: 46, number: 9 } as const;

function writeTimeline(record: ExitRecord, write: WriteLine, palette: Palette): void {
  const { rows, otherCycles } = compareWithTalk(record);
  const cells = (event: string, ...numbers: string[]): string =>
    event.padEnd(WIDTH.event) +
    numbers
      .map((text) => text.padStart(WIDTH.number))
      .join('')
      .trimEnd();
  write(palette.strong(`${record.description}, handled in user space (exit ${record.sequence})`));
  write(palette.quiet(cells('', 'talk', 'step', 'here', 'step')));
  for (const [index, row] of rows.entries()) {
    const before = rows[index - 1];
    const steps =
      before === undefined ? ['', ''] : [row.time - before.time, row.ourTime - before.ourTime].map(signed);
    write(cells(row.event, grouped(row.time), steps[0], grouped(row.ourTime), steps[1]));
  }
  if (otherCycles !== 0) write(cells('stages that the talk does not show', '', '', '', signed(otherCycles)));
  const talk = rows[rows.length - 1].time;
  const difference = (100 * (record.cycles - talk)) / talk;
  const percent = `${difference < 0 ? '-' : '+'}${Math.abs(difference).toFixed(1)}%`;
  write(palette.strong(cells('total', grouped(talk), '', grouped(record.cycles), percent)));
}

function signed(value: number): string {
  return `${value < 0 ? '-' : '+'}${grouped(Math.abs(value))}`;
}
