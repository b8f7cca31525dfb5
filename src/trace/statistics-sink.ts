/** Counts exits by reason and cycles by stage, and prints them the way `perf kvm stat report` does. */

import type { ExitRecord, TraceSink } from './events.js';
import { grouped, type WriteLine } from './format.js';

/** What is known about the exits with one reason. Cycles from exit to entry. */
export interface ReasonStatistics {
  readonly reasonName: string;
  readonly count: number;
  readonly light: number;
  readonly heavy: number;
  readonly totalCycles: number;
  readonly minimumCycles: number;
  readonly maximumCycles: number;
  readonly averageCycles: number;
  /** Standard error of the average, in per cent of it. */
  readonly relativeDeviation: number;
}

export interface StageStatistics {
  readonly name: string;
  /** Exits in which the stage took place. */
  readonly exits: number;
  readonly totalCycles: number;
}

/** Running sums for one reason; the squared deviations by Welford's method. */
class ReasonCounter {
  light = 0;
  heavy = 0;
  total = 0;
  minimum = Number.POSITIVE_INFINITY;
  maximum = 0;
  private mean = 0;
  private squaredDeviations = 0;

  get count(): number {
    return this.light + this.heavy;
  }

  add({ weight, cycles }: ExitRecord): void {
    this[weight]++;
    this.total += cycles;
    this.minimum = Math.min(this.minimum, cycles);
    this.maximum = Math.max(this.maximum, cycles);
    const delta = cycles - this.mean;
    this.mean += delta / this.count;
    this.squaredDeviations += delta * (cycles - this.mean);
  }

  summary(reasonName: string): ReasonStatistics {
    const { count, light, heavy, total } = this;
    const variance = count < 2 ? 0 : this.squaredDeviations / (count - 1);
    return {
      reasonName,
      count,
      light,
      heavy,
      totalCycles: total,
      minimumCycles: this.minimum,
      maximumCycles: this.maximum,
      averageCycles: total / count,
      relativeDeviation: total === 0 ? 0 : (100 * Math.sqrt(variance / count)) / (total / count),
    };
  }
}

export class StatisticsSink implements TraceSink {
  private readonly byReason = new Map<string, ReasonCounter>();
  private readonly byStage = new Map<string, { exits: number; cycles: number }>();

  vmExit(record: ExitRecord): void {
    let counter = this.byReason.get(record.reasonName);
    if (counter === undefined) {
      counter = new ReasonCounter();
      this.byReason.set(record.reasonName, counter);
    }
    counter.add(record);
    for (const { name, cycles } of record.stages) {
      const stage = this.byStage.get(name);
      if (stage === undefined) this.byStage.set(name, { exits: 1, cycles });
      else {
        stage.exits++;
        stage.cycles += cycles;
      }
    }
  }

  /** Most frequent reason first. */
  reasons(): ReasonStatistics[] {
    return [...this.byReason]
      .map(([name, counter]) => counter.summary(name))
      .sort((a, b) => b.count - a.count || b.totalCycles - a.totalCycles);
  }

  /** In the order in which the stages first took place. */
  stages(): StageStatistics[] {
    return [...this.byStage].map(([name, { exits, cycles }]) => ({ name, exits, totalCycles: cycles }));
  }
}

/**
 * The table of `perf kvm stat report` (Linux 4.9 to 4.19), column for column, with cycles to its right.
 * @param cyclesPerMicrosecond of the modelled processor
 */
export function writeExitTable(
  reasons: readonly ReasonStatistics[],
  cyclesPerMicrosecond: number,
  write: WriteLine,
): void {
  const samples = sum(reasons.map((reason) => reason.count));
  const cycles = sum(reasons.map((reason) => reason.totalCycles));
  const percent = (part: number, whole: number): string =>
    (whole === 0 ? 0 : (100 * part) / whole).toFixed(2) + '%';
  const time = (value: number): string => (value / cyclesPerMicrosecond).toFixed(2);

  write('Analyze events for all VMs, all VCPUs:');
  write('');
  const headings: [string, number][] = [
    ['VM-EXIT', 20],
    ['Samples', 10],
    ['Samples%', 9],
    ['Time%', 9],
    ['Min Time', 11],
    ['Max Time', 11],
    ['Avg time', 16],
  ];
  const perf = headings.map(([text, width]) => text.padStart(width)).join(' ');
  const cycleHeadings = ['Min cycles', 'Max cycles', 'Avg cycles', 'Light', 'Heavy'];
  write(perf.padEnd(PERF_ROW_WIDTH) + cycleHeadings.map((text) => text.padStart(CYCLES_WIDTH)).join(''));
  write('');
  for (const reason of reasons) {
    const row = [
      reason.reasonName.padStart(20),
      String(reason.count).padStart(10),
      percent(reason.count, samples).padStart(9),
      percent(reason.totalCycles, cycles).padStart(9),
      time(reason.minimumCycles).padStart(9) + 'us',
      time(reason.maximumCycles).padStart(9) + 'us',
      time(reason.averageCycles).padStart(9) + `us ( +-${reason.relativeDeviation.toFixed(2).padStart(7)}% )`,
    ].join(' ');
    const ours = [
      reason.minimumCycles,
      reason.maximumCycles,
      reason.averageCycles,
      reason.light,
      reason.heavy,
    ];
    write(row.padEnd(PERF_ROW_WIDTH) + ours.map((value) => grouped(value).padStart(CYCLES_WIDTH)).join(''));
  }
  write('');
  write(`Total Samples:${samples}, Total events handled time:${time(cycles)}us.`);
}

/** Width of perf's own columns: the last one is 16 wide in the heading, and wider in the rows. */
const PERF_ROW_WIDTH = 20 + 1 + 10 + 1 + 9 + 1 + 9 + 1 + 11 + 1 + 11 + 1 + 25;
const CYCLES_WIDTH = 12;

/** Cycles by stage over all exits, each as a part of the whole and per exit in which the stage took place. */
export function writeStageTable(stages: readonly StageStatistics[], write: WriteLine): void {
  const total = sum(stages.map((stage) => stage.totalCycles));
  const nameWidth = Math.max('stage'.length, ...stages.map((stage) => stage.name.length));
  write(
    `${'stage'.padEnd(nameWidth)}${'cycles'.padStart(14)}${'share'.padStart(9)}${'exits'.padStart(10)}${'cycles/exit'.padStart(13)}`,
  );
  for (const { name, exits, totalCycles } of stages) {
    const share = total === 0 ? 0 : (100 * totalCycles) / total;
    write(
      name.padEnd(nameWidth) +
        grouped(totalCycles).padStart(14) +
        `${share.toFixed(2)}%`.padStart(9) +
        grouped(exits).padStart(10) +
        grouped(totalCycles / exits).padStart(13),
    );
  }
  write(`${'total'.padEnd(nameWidth)}${grouped(total).padStart(14)}`);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
