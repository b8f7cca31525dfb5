import { describe, expect, it } from 'vitest';
import { changeInPercent, errorInPercent, medianBy, ratioOf } from '../../src/lab/arithmetic.js';

describe('arithmetic of the tables', () => {
  it('relates before and after', () => {
    expect(ratioOf(4677, 2366)).toBeCloseTo(1.977, 3);
    expect(ratioOf(5, 0)).toBeUndefined();
    expect(changeInPercent(47_357, 28_354)).toBeCloseTo(-40.13, 2);
    expect(changeInPercent(0, 5)).toBeUndefined();
  });

  it.each([
    [9931, 10_400, -4.51],
    [10_920, 10_400, 5],
    [-36, -40, 10],
    [-44, -40, -10],
    [2000, { from: 2300, to: 3200 }, -13.04],
    [2300, { from: 2300, to: 3200 }, 0],
    [2500, { from: 2300, to: 3200 }, 0],
    [3520, { from: 2300, to: 3200 }, 10],
  ] as const)('%d against %j is wrong by %d%%', (measured, published, error) => {
    expect(errorInPercent(measured, published)).toBeCloseTo(error, 2);
  });

  it('knows no error of nothing', () => {
    expect(errorInPercent(3, 0)).toBeUndefined();
  });

  it('takes the middle one', () => {
    const self = (number: number): number => number;
    expect(medianBy([5, 1, 900], self)).toBe(5);
    expect(medianBy([1, 2, 3, 4], self)).toBe(3);
    expect(medianBy([], self)).toBeUndefined();
  });
});
