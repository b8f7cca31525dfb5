import { describe, expect, it } from 'vitest';
import { assemble, formatDiagnostic } from '../../src/assembler/index.js';
import { RandomSource } from '../support/random-source.js';
import { hasTool, skipNote } from '../support/tools.js';
import { assembleTextWithNasm, toHex } from './nasm.js';

const COUNT = Number(process.env.ASSEMBLER_GENERATED_VALUES ?? 400);

/** Compares line by line, so that a difference names its line. */
function expectSameLines(lines: readonly string[], bytesPerLine: number): void {
  const source = `bits 32\n${lines.join('\n')}\n`;
  const { image, diagnostics } = assemble(source, { fileName: 'values.asm' });
  expect(diagnostics.filter(({ severity }) => severity === 'error').map(formatDiagnostic)).toEqual([]);
  const nasm = assembleTextWithNasm(source);
  expect(nasm.image, nasm.messages).toBeDefined();
  const at = (bytes: Uint8Array, index: number): string =>
    toHex(bytes.slice(index * bytesPerLine, (index + 1) * bytesPerLine));
  const differences = lines
    .map((line, index) => `${line}: ours ${at(image, index)}, nasm ${at(nasm.image as Uint8Array, index)}`)
    .filter((_, index) => at(image, index) !== at(nasm.image as Uint8Array, index));
  expect(differences).toEqual([]);
}

const digits = (random: RandomSource, count: number): string =>
  Array.from({ length: count }, () => random.below(10)).join('');

function floatLiteral(random: RandomSource, exponentRange: number): string {
  const mantissa = `${random.oneIn(3) ? '-' : ''}${digits(random, 1 + random.below(8))}.${digits(random, random.below(25))}`;
  return random.oneIn(3) ? mantissa : `${mantissa}e${random.below(2 * exponentRange) - exponentRange}`;
}

const BINARY = [
  '+',
  '-',
  '*',
  '/',
  '//',
  '%',
  '%%',
  '<<',
  '>>',
  '|',
  '^',
  '&',
  '&&',
  '||',
  '^^',
  '==',
  '!=',
  '<',
  '<=',
  '>',
  '>=',
];

function expression(random: RandomSource, depth: number): string {
  if (depth === 0 || random.oneIn(5))
    return String(random.pick([0, 1, 2, 3, 5, 7, 64, 255, 65536, 4294967295, 12345678901]));
  if (random.oneIn(4)) return `${random.pick(['-', '~', '!', '+'])}(${expression(random, depth - 1)})`;
  const operator = random.pick(BINARY);
  const left = expression(random, depth - 1);
  if (/[/%]/.test(operator)) return `(${left}) ${operator} ${1 + random.below(50)}`;
  // Both sides in brackets half of the time: the rest tests precedence.
  const right = random.oneIn(2) ? `(${expression(random, depth - 1)})` : expression(random, depth - 1);
  return `${left} ${operator} ${/<<|>>/.test(operator) ? random.below(70) : right}`;
}

describe.skipIf(!hasTool('nasm'))(`nasm agrees on generated values${skipNote('nasm')}`, () => {
  it.each([
    ['dw', 2, 4],
    ['dd', 4, 36],
    ['dq', 8, 306],
    ['dt', 10, 4900],
  ] as const)('floating-point numbers of %s', (directive, bytes, exponentRange) => {
    const random = new RandomSource(bytes);
    const literals = Array.from({ length: COUNT }, () => floatLiteral(random, exponentRange));
    const small = directive === 'dw' || directive === 'dd';
    // Numbers beyond the range of the format are errors, which other tests look at.
    const usable = small
      ? literals.filter((text) => Math.abs(Number(text)) < (bytes === 2 ? 65000 : 3e38))
      : literals;
    expectSameLines(
      usable
        .filter((text) => directive !== 'dq' || Math.abs(Number(text)) < 1e308)
        .map((text) => `${directive} ${text}`),
      bytes,
    );
  });

  it('expressions', () => {
    const random = new RandomSource(99);
    const lines = Array.from({ length: COUNT }, () => `dq ${expression(random, 4)}`);
    expectSameLines(lines, 8);
  });
});
