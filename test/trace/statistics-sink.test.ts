import { describe, expect, it } from 'vitest';
import { StatisticsSink, writeExitTable, writeStageTable } from '../../src/trace/statistics-sink.js';
import { exitRecord } from './records.js';

const HLT = { reasonName: 'HLT', weight: 'light', cycles: 2000, stages: [] } as const;

function filled(): StatisticsSink {
  const sink = new StatisticsSink();
  for (const cycles of [9000, 10000, 14000]) sink.vmExit(exitRecord({ cycles }));
  sink.vmExit(exitRecord(HLT));
  return sink;
}

describe('statistics sink', () => {
  it('counts by reason, most frequent first', () => {
    const [io, hlt] = filled().reasons();
    expect(io).toMatchObject({
      reasonName: 'IO_INSTRUCTION',
      count: 3,
      heavy: 3,
      light: 0,
      totalCycles: 33000,
      minimumCycles: 9000,
      maximumCycles: 14000,
      averageCycles: 11000,
    });
    // Sample deviation of 9000, 10000, 14000 is sqrt(7e6); of their average sqrt(7e6 / 3).
    expect(io?.relativeDeviation).toBeCloseTo((100 * Math.sqrt(7e6 / 3)) / 11000, 9);
    expect(hlt).toMatchObject({ count: 1, light: 1, relativeDeviation: 0 });
  });

  it("prints perf's table with its column widths, and cycles to the right", () => {
    const lines: string[] = [];
    writeExitTable(filled().reasons(), 2600, (line) => lines.push(line));
    const perfColumns = lines.map((line) => line.slice(0, 92).trimEnd());
    // The widths are those of perf's source, Linux 4.9: 20, 10, 9, 9, 11, 11, 16.
    expect(perfColumns.slice(0, 4)).toEqual([
      'Analyze events for all VMs, all VCPUs:',
      '',
      '             VM-EXIT    Samples  Samples%     Time%    Min Time    Max Time         Avg time',
      '',
    ]);
    expect(
      lines[4]?.startsWith('      IO_INSTRUCTION          3    75.00%    94.29%      3.46us      5.38us '),
    ).toBe(true);
    expect(lines[4]).toContain('     4.23us ( +-  13.89% )');
    expect(lines[4]?.trimEnd().split(/ +/).slice(-5)).toEqual(['9,000', '14,000', '11,000', '0', '3']);
    expect(lines[lines.length - 1]).toBe('Total Samples:4, Total events handled time:13.46us.');
  });

  it('sums cycles by stage over exits', () => {
    const stages = filled().stages();
    expect(stages).toEqual([
      { name: 'host acquires control', exits: 3, totalCycles: 1200 },
      { name: 'exit handler runs', exits: 3, totalCycles: 1200 },
    ]);
    const lines: string[] = [];
    writeStageTable(stages, (line) => lines.push(line));
    expect(lines[1]?.split(/ {2,}/)).toEqual(['host acquires control', '1,200', '50.00%', '3', '400']);
    expect(lines[3]?.split(/ {2,}/)).toEqual(['total', '2,400']);
  });

  it('prints tables without exits', () => {
    const lines: string[] = [];
    writeExitTable([], 2600, (line) => lines.push(line));
    writeStageTable([], (line) => lines.push(line));
    expect(lines.join('\n')).toContain('Total Samples:0');
    expect(lines.join('\n')).not.toContain('NaN');
  });
});
