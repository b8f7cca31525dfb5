import { describe, expect, it } from 'vitest';
import { EXPERIMENTS } from '../../src/lab/experiments/index.js';
import { GuestProgramError } from '../../src/lab/guest-loader.js';
import type { ExperimentReport } from '../../src/lab/report.js';
import { runExperiment } from '../../src/lab/run-lab.js';
import { writeSections, writeStages } from '../../src/lab/table.js';
import { guest } from './lab-guests.js';

/** The cost model is fitted to these figures: what is left is rounding. */
const CALIBRATED_TOLERANCE_IN_PERCENT = 3;

const remembered = new Map<string, ExperimentReport>();
const report = (name: string): ExperimentReport => remembered.get(name)!;

describe('experiments of the lab', () => {
  it('have names of their own', () => {
    const names = EXPERIMENTS.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    for (const name of names) expect(name).toMatch(/^[a-z0-9-]+$/);
  });

  it.each(EXPERIMENTS.map((experiment) => [experiment.name, experiment] as const))(
    '%s runs, and its calibrated rows meet their figures',
    (name, experiment) => {
      let ticks = 0;
      const { report: result, pace } = runExperiment(experiment, guest, () => ticks++);
      remembered.set(name, result);
      expect(result.rows.length).toBe(experiment.rows.length);
      for (const row of result.rows) {
        expect(Number.isFinite(row.before), row.title).toBe(true);
        if (row.after !== undefined) expect(Number.isFinite(row.after), row.title).toBe(true);
        if (row.figure !== undefined) {
          expect(Number.isFinite(row.measured), row.title).toBe(true);
          expect(row.figure.source, row.title).not.toBe('');
        }
        if (row.figure?.kind === 'calibrated')
          expect(Math.abs(row.errorInPercent!), row.title).toBeLessThanOrEqual(
            CALIBRATED_TOLERANCE_IN_PERCENT,
          );
      }
      // The clock is the caller's: one tick passed for each machine.
      expect(pace.wallSeconds).toBe(Object.keys(experiment.setups).length);
      expect(pace.simulatedSeconds).toBeGreaterThan(0);
    },
    60_000,
  );

  it.each(['x2apic-eoi', 'pio-timeline'])('%s gives the same bytes again', (name) => {
    const experiment = EXPERIMENTS.find((candidate) => candidate.name === name)!;
    const again = runExperiment(experiment, guest, () => 0).report;
    expect(JSON.stringify(again)).toBe(JSON.stringify(report(name)));
  });

  it('have rows whose numbers come from the rows of others', () => {
    const [xapic, x2apic, ratio, saving] = report('x2apic-eoi').rows;
    expect(ratio!.ratio).toBe(xapic!.before / x2apic!.before);
    expect(saving!.measured).toBe(xapic!.before - x2apic!.before);
    const rows = report('pio-timeline').rows;
    const total = rows.find(({ title }) => title === 'total')!;
    const stages = rows.slice(0, rows.indexOf(total));
    expect(stages.reduce((sum, { before }) => sum + before, 0)).toBe(total.before);
  });

  it('show that irq_lock makes interrupts dearer the more devices raise them, and RCU does not', () => {
    const raising = report('irq-routing').rows.filter(({ title }) => title.endsWith('raising one'));
    const [first] = raising;
    let dearest = first!.before;
    for (const row of raising.slice(1)) {
      expect(row.before, row.title).toBeGreaterThan(dearest);
      expect(row.after, row.title).toBeLessThanOrEqual(first!.after!);
      dearest = row.before;
    }
  });

  it('show that a posted timer interrupts the guest and not its CPU', () => {
    const [exits, lateness] = report('posted-timer').rows;
    expect(exits!.before).toBe(64);
    expect(exits!.after).toBe(0);
    expect(lateness!.after).toBeGreaterThan(0);
  });

  it('fill one table for each section', () => {
    const lines: string[] = [];
    writeSections([...remembered.values()], (line) => lines.push(line));
    for (const { title, rows } of remembered.values()) {
      expect(lines.some((line) => line.startsWith(title))).toBe(true);
      for (const row of rows) expect(lines.some((line) => line.includes(row.title))).toBe(true);
    }
    expect(lines.filter((line) => line === 'X2APIC')).toHaveLength(1);
  });

  it('show the stages of an exit side by side, with their sum', () => {
    const lines: string[] = [];
    const { setups } = report('x2apic-eoi');
    writeStages(report('x2apic-eoi'), (line) => lines.push(line));
    expect(lines[0]).toMatch(/xAPIC +x2APIC$/);
    const sums = setups.map(({ stages }) => stages.reduce((sum, { cycles }) => sum + cycles, 0));
    expect(lines.at(-1)).toMatch(
      new RegExp(`^total +${sums.map((n) => n.toLocaleString('en')).join(' +')}$`),
    );
  });

  it('say which guest program is missing', () => {
    expect(() => guest('no-such-program')).toThrow(GuestProgramError);
  });
});
