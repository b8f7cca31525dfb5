import { describe, expect, it } from 'vitest';
import { mergedCurves, svgPlot } from '../../src/lab/svg-plot.js';

const curve = (label: string, points: readonly (readonly [number, number])[]) => ({
  title: 'Exits <all> & more',
  xLabel: 'virtual CPUs',
  yLabel: 'million',
  lines: [{ label, points }],
});

const RISING = curve('rising', [
  [1, 1],
  [8, 8],
  [16, 16],
]);
const FLAT = curve('flat', [
  [1, 1],
  [16, 1],
]);

/** Coordinates of the points of each line. */
function circles(svg: string): [number, number][] {
  return [...svg.matchAll(/<circle cx="([\d.]+)" cy="([\d.]+)"/g)].map((m) => [Number(m[1]), Number(m[2])]);
}

describe('SVG pictures', () => {
  it('are well-formed, with title, labels and legend', () => {
    const svg = svgPlot(mergedCurves([RISING, FLAT])!);
    expect(svg).toMatch(/^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg" viewBox="0 0 \d+ \d+"/);
    expect(svg).toContain('Exits &lt;all&gt; &amp; more');
    for (const label of ['virtual CPUs', 'million', 'rising', 'flat'])
      expect(svg).toContain(`>${label}</text>`);
    // Every element is closed.
    const open = [...svg.matchAll(/<(svg|title|text)\b/g)].length;
    expect([...svg.matchAll(/<\/(svg|title|text)>/g)]).toHaveLength(open);
    for (const [element] of svg.matchAll(/<(?:path|rect|circle)[^>]*>/g)) expect(element).toMatch(/\/>$/);
  });

  it('put points where they belong', () => {
    const [first, middle, last] = circles(svgPlot(RISING));
    expect(first![0]).toBeLessThan(middle![0]);
    expect(first![1]).toBeGreaterThan(middle![1]);
    // Equal steps in both directions, to a tenth of a pixel.
    const slope = (a: [number, number], b: [number, number]): number => (b[1] - a[1]) / (b[0] - a[0]);
    expect(slope(first!, middle!)).toBeCloseTo(slope(middle!, last!), 2);
    const flat = circles(svgPlot(FLAT));
    expect(flat[0]![1]).toBe(flat[1]![1]);
  });

  it('stay inside the picture for small and large numbers', () => {
    for (const scale of [0, 1e-3, 0.7, 1, 123_456, 9.9e8]) {
      const svg = svgPlot(
        curve('line', [
          [1, scale],
          [2, scale / 2],
        ]),
      );
      const [, width, height] = /viewBox="0 0 (\d+) (\d+)"/.exec(svg)!.map(Number);
      for (const [x, y] of circles(svg)) {
        expect(x).toBeGreaterThan(0);
        expect(x).toBeLessThan(width!);
        expect(y).toBeGreaterThan(0);
        expect(y).toBeLessThan(height!);
      }
      expect(svg).not.toContain('NaN');
    }
  });

  it('need curves', () => {
    expect(mergedCurves([])).toBeUndefined();
  });
});
