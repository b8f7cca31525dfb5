/** Curves as an SVG picture: axes, ticks, a legend, a title. Colours and sizes suit light and printed pages. */

import type { CurveReport } from './report.js';

const WIDTH = 760;
const HEIGHT = 460;
const MARGIN = { left: 70, right: 24, top: 48, bottom: 52 } as const;
const TICKS = 6;
/** Told apart also without colours: by dashes and by the shape of their points. */
const STYLES = [
  { colour: '#c0392b', dashes: '' },
  { colour: '#1f6fb2', dashes: '' },
  { colour: '#c0392b', dashes: '7 5' },
  { colour: '#1f6fb2', dashes: '7 5' },
  { colour: '#555555', dashes: '2 4' },
] as const;

/** Curves of several experiments in one picture: the axes are those of the first. Undefined when there are none. */
export function mergedCurves(curves: readonly CurveReport[]): CurveReport | undefined {
  const [first] = curves;
  return first === undefined ? undefined : { ...first, lines: curves.flatMap(({ lines }) => lines) };
}

/** @returns a complete SVG document; the axes begin at 0 */
export function svgPlot({ title, xLabel, yLabel, lines }: CurveReport): string {
  const points = lines.flatMap((line) => line.points);
  const xStep = tickStep(Math.max(1, ...points.map(([x]) => x)));
  const yStep = tickStep(Math.max(0, ...points.map(([, y]) => y)));
  const xEnd = axisEnd(Math.max(1, ...points.map(([x]) => x)), xStep);
  const yEnd = axisEnd(Math.max(0, ...points.map(([, y]) => y)), yStep);
  const plotWidth = WIDTH - MARGIN.left - MARGIN.right;
  const plotHeight = HEIGHT - MARGIN.top - MARGIN.bottom;
  const across = (x: number): string => (MARGIN.left + (x / xEnd) * plotWidth).toFixed(1);
  const down = (y: number): string => (HEIGHT - MARGIN.bottom - (y / yEnd) * plotHeight).toFixed(1);
  const bottom = HEIGHT - MARGIN.bottom;
  const parts: string[] = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" font-family="sans-serif" font-size="13">`,
    `<title>${escaped(title)}</title>`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#ffffff"/>`,
    text(WIDTH / 2, 26, title, 'font-size="16" text-anchor="middle"'),
  ];
  for (const y of ticks(yEnd, yStep)) {
    parts.push(`<path d="M${MARGIN.left} ${down(y)}H${WIDTH - MARGIN.right}" stroke="#dddddd"/>`);
    parts.push(text(MARGIN.left - 8, Number(down(y)) + 4, tickText(y, yStep), 'text-anchor="end"'));
  }
  for (const x of ticks(xEnd, xStep)) {
    parts.push(`<path d="M${across(x)} ${bottom}v5" stroke="#333333"/>`);
    parts.push(text(Number(across(x)), bottom + 20, tickText(x, xStep), 'text-anchor="middle"'));
  }
  parts.push(
    `<path d="M${MARGIN.left} ${MARGIN.top}V${bottom}H${WIDTH - MARGIN.right}" fill="none" stroke="#333333"/>`,
    text(MARGIN.left + plotWidth / 2, HEIGHT - 12, xLabel, 'text-anchor="middle"'),
    text(
      0,
      0,
      yLabel,
      `text-anchor="middle" transform="translate(20 ${MARGIN.top + plotHeight / 2}) rotate(-90)"`,
    ),
  );
  for (const [index, line] of lines.entries()) {
    const { colour, dashes } = STYLES[index % STYLES.length]!;
    const stroke = `fill="none" stroke="${colour}" stroke-width="2"${dashes === '' ? '' : ` stroke-dasharray="${dashes}"`}`;
    const path = line.points.map(([x, y], at) => `${at === 0 ? 'M' : 'L'}${across(x)} ${down(y)}`).join('');
    parts.push(`<path d="${path}" ${stroke}/>`);
    for (const [x, y] of line.points)
      parts.push(
        `<circle cx="${across(x)}" cy="${down(y)}" r="3.5" fill="${dashes === '' ? colour : '#ffffff'}" stroke="${colour}"/>`,
      );
    const legend = MARGIN.top + 10 + index * 20;
    parts.push(`<path d="M${MARGIN.left + 16} ${legend}h34" ${stroke}/>`);
    parts.push(text(MARGIN.left + 58, legend + 4, line.label, ''));
  }
  parts.push('</svg>');
  return `${parts.join('\n')}\n`;
}

/** 1, 2 or 5 times a power of ten, so that about `TICKS` of them make up the axis. */
function tickStep(maximum: number): number {
  if (maximum <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(maximum / TICKS));
  const steps = [1, 2, 5, 10].map((factor) => factor * power);
  return steps.find((step) => maximum / step <= TICKS + 2) ?? steps.at(-1)!;
}

const axisEnd = (maximum: number, step: number): number =>
  Math.max(1, Math.ceil(maximum / step - 1e-9)) * step;

const ticks = (end: number, step: number): number[] =>
  Array.from({ length: Math.round(end / step) + 1 }, (_, index) => index * step);

const tickText = (value: number, step: number): string =>
  value.toFixed(Math.max(0, -Math.floor(Math.log10(step) + 1e-9)));

function text(x: number, y: number, content: string, attributes: string): string {
  return `<text x="${x}" y="${y}"${attributes === '' ? '' : ` ${attributes}`}>${escaped(content)}</text>`;
}

function escaped(content: string): string {
  return content.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;').replace(/"/g, '&quot;');
}
