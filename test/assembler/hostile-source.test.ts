import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { assemble } from '../../src/assembler/index.js';
import { RandomSource } from '../support/random-source.js';

const ROUNDS = Number(process.env.ASSEMBLER_FUZZ_ROUNDS ?? 60);
const TIMEOUT_IN_MILLISECONDS = 60_000;
const CORPUS = join(import.meta.dirname, 'corpus');

const sources = readdirSync(CORPUS)
  .filter((name) => name !== 'jumps.asm')
  .map((name) => readFileSync(join(CORPUS, name), 'utf8'));
const words = sources.flatMap((source) => source.split(/(\s+|[,+\-*()[\]:%])/).filter(Boolean));

function wordSoup(random: RandomSource): string {
  let text = '';
  for (let count = random.below(200); count > 0; count--)
    text += random.pick(words) + (random.oneIn(6) ? '\n' : random.oneIn(3) ? ' ' : '');
  return text;
}

function characterSoup(random: RandomSource): string {
  let text = '';
  for (let count = random.below(300); count > 0; count--)
    text +=
      String.fromCharCode(random.oneIn(8) ? random.below(0x3000) : 32 + random.below(95)) +
      (random.oneIn(20) ? '\n' : '');
  return text;
}

/** A good source with a few lines lost, doubled or damaged. */
function damagedSource(random: RandomSource): string {
  const lines = random.pick(sources).split('\n');
  for (let count = 1 + random.below(10); count > 0; count--) {
    const index = random.below(lines.length);
    const line = lines[index]!;
    const cut = random.below(line.length + 1);
    const change = random.below(3);
    if (change === 0) lines.splice(index, 1);
    else if (change === 1) lines.splice(index, 0, random.pick(lines));
    else lines[index] = line.slice(0, cut) + random.pick(words) + line.slice(cut + random.below(4));
  }
  return lines.join('\n');
}

/** Small sources that ask for boundless work; each must end in a diagnostic. */
const BOMBS: Readonly<Record<string, string>> = {
  'a macro that calls itself twice': '%macro a 0\n a\n a\n%endmacro\n a\n',
  'macros that double':
    Array.from({ length: 40 }, (_, i) => `%define m${i} m${i + 1} m${i + 1}`).join('\n') + '\n db m0\n',
  'repetitions of repetitions': '%rep 1000\n%rep 1000000\n;\n%endrep\n%endrep\n',
  'a huge repetition': '%rep 99999999999999\n nop\n%endrep\n',
  'a huge TIMES': ' times 99999999999 db 0\n',
  'a long TIMES': ' times 100000000 jmp $\n',
  'a huge RESB': ' resb 0x7fffffffffffffff\n',
  'DUP of DUP': ' db 1000000 dup (1000000 dup (1))\n',
  'deep brackets': ` db ${'('.repeat(50000)}\n`,
  'a file that includes itself': '%include "self"\n',
  'strings that double': '%define s "a"\n%rep 40\n%strcat s s s\n%endrep\n',
  'a program that never settles': 'a: resb 5-(c-a)/2\nc:\n',
  'a huge section address': ' section .a start=0xffffffffffff\n db 1\n section .b start=0\n db 1\n',
};

describe('hostile sources', { timeout: TIMEOUT_IN_MILLISECONDS }, () => {
  it.each([
    ['words in any order', wordSoup],
    ['any characters', characterSoup],
    ['a damaged source', damagedSource],
  ])('%s never make it throw', (_, generate) => {
    const random = new RandomSource(0x5eed);
    for (let round = 0; round < ROUNDS; round++) {
      const source = generate(random);
      const format = random.pick(['bin', 'elf32', 'elf64'] as const);
      expect(() => assemble(source, { fileName: 'fuzz.asm', format }), source).not.toThrow();
    }
  });

  it.each(Object.entries(BOMBS))('%s ends in a diagnostic', (_, source) => {
    const self = new TextEncoder().encode('%include "self"\n');
    const result = assemble(source, { fileName: 'bomb.asm', readFile: () => self });
    expect(result.ok).toBe(false);
    expect(result.diagnostics.length).toBeGreaterThan(0);
  });
});
