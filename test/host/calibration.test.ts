import { describe, expect, it } from 'vitest';
import { CalibrationError, type CostTable, calibrate, pathCycles } from '../../src/host/cost/calibration.js';
import { CostModelError, compileCosts } from '../../src/host/cost/cost-model.js';
import { OPERATION_NAMES, type OperationName } from '../../src/host/cost/operations.js';
import { PUBLISHED } from '../../src/host/cost/published-figures.js';
import {
  GUEST_STATE_RELOADED,
  HOST_STATE_RESTORED,
  USER_SPACE,
  X2APIC_END_OF_INTERRUPT,
  XAPIC_END_OF_INTERRUPT,
} from '../../src/host/cost/reference-paths.js';
import { TALK_I7 } from '../../src/host/cost/talk-i7.js';

const costs: CostTable = Object.fromEntries(
  Object.entries(TALK_I7.entries).map(([name, entry]) => [name, entry.cycles]),
);
const cost = (name: OperationName): number => costs[name]!;

describe('calibration of the talk machine', () => {
  it('reproduces the figures of the calibration set from operations', () => {
    expect(cost('VM exit') + cost('VM entry')).toBe(PUBLISHED.hardwareRoundTrip.cycles);
    expect(pathCycles(GUEST_STATE_RELOADED, costs)).toBe(1800);
    expect(pathCycles(USER_SPACE, costs)).toBe(2900);
    expect(pathCycles(X2APIC_END_OF_INTERRUPT, costs)).toBe(2366);
    expect(pathCycles(XAPIC_END_OF_INTERRUPT, costs)).toBe(4677);
    expect(cost('MOV from CR') + cost('VMWRITE')).toBe(50);
    // Whole cycles per operation: five reads and five writes may miss their sum by half a cycle each.
    expect(Math.abs(pathCycles(HOST_STATE_RESTORED, costs) - 2000)).toBeLessThanOrEqual(5);
    expect(Math.abs(4 * cost('RDMSR') + 10 * cost('WRMSR') - 2000)).toBeLessThanOrEqual(7);
  });

  it('finds costs that instruction tables and other commits allow', () => {
    // Sheet of recalled values: RDMSR 60–180, WRMSR 90–250 on processors of 2007 to 2010.
    expect(cost('RDMSR')).toBeGreaterThan(55);
    expect(cost('RDMSR')).toBeLessThan(180);
    expect(cost('WRMSR')).toBeGreaterThan(90);
    expect(cost('WRMSR')).toBeLessThan(250);
    expect(cost('VMREAD')).toBeGreaterThanOrEqual(25);
    expect(cost('VMREAD')).toBeLessThanOrEqual(40);
  });

  it('fails rather than give an operation less than nothing', () => {
    const priors = Object.fromEntries(
      Object.entries(costs).map(([name, cycles]) => [name, name === 'FXSAVE' ? 5000 : cycles]),
    );
    expect(() => calibrate(priors)).toThrow(CalibrationError);
  });

  it('gives every operation a price, a unit and a source', () => {
    const compiled = compileCosts(TALK_I7);
    expect(compiled).toHaveLength(OPERATION_NAMES.length);
    for (const entry of Object.values(TALK_I7.entries)) {
      expect(entry.unit).not.toBe('');
      expect(entry.source).not.toBe('');
    }
    expect(() => compileCosts({ ...TALK_I7, entries: {} })).toThrow(CostModelError);
    expect(() =>
      compileCosts({
        ...TALK_I7,
        entries: { ...TALK_I7.entries, SLDT: { ...TALK_I7.entries.SLDT!, cycles: 1.5 } },
      }),
    ).toThrow(CostModelError);
  });
});
