import { describe, expect, it } from 'vitest';
import { exitscope, exitscopeWith } from '../support/command-line.js';

const GUEST = 'guest-programs/pio-write.asm';

interface Compared {
  readonly a: number;
  readonly b: number;
  readonly difference: number;
}

describe('exitscope compare', () => {
  it('sets two eras side by side, the biggest difference first', () => {
    const sides = ['--a', 'era=2.6.32', '--b', 'era=2.6.37'];
    const { code, output, talk } = exitscope('compare', GUEST, ...sides, '--json');
    expect({ code, talk }).toEqual({ code: 0, talk: '' });
    const { schema, reasons, stages, exitCycles, cycles } = JSON.parse(output);
    expect(schema).toBe('exitscope.compare/1');
    for (const list of [reasons, stages]) {
      const sizes = list.map((item: { cycles: Compared }) => Math.abs(item.cycles.difference));
      expect(sizes).toEqual([...sizes].sort((x, y) => y - x));
    }
    // Every cycle of an exit is in one reason and in one stage.
    for (const side of ['a', 'b'] as const) {
      const sum = (list: { cycles: Compared }[]) =>
        list.reduce((total, item) => total + item.cycles[side], 0);
      expect(sum(reasons)).toBe(exitCycles[side]);
      expect(sum(stages)).toBe(exitCycles[side]);
      expect(
        JSON.parse(exitscope('stat', GUEST, '--era', sides[side === 'a' ? 1 : 3].slice(4), '--json').output)
          .cycles,
      ).toBe(cycles[side]);
    }
    expect(exitscope('compare', GUEST, ...sides, '--json').output).toBe(output);
    const text = exitscope('compare', GUEST, ...sides).output;
    expect(text).toMatch(/^a: era=2\.6\.32\nb: era=2\.6\.37\n/);
    expect(text).toMatch(/\ncycles by stage +a +b +b - a +change\n/);
  });

  it('finds no difference between the same', () => {
    const { output } = exitscope(
      'compare',
      GUEST,
      '--policy',
      'syscallMsrs=shared',
      '--b',
      'syscallMsrs=shared',
      '--json',
    );
    const { reasons, stages, cycles } = JSON.parse(output);
    for (const item of [{ cycles }, ...reasons, ...stages]) expect(item.cycles.difference).toBe(0);
    expect(
      JSON.parse(exitscope('compare', GUEST, '--b', 'syscallMsrs=shared', '--json').output).cycles.difference,
    ).not.toBe(0);
  });

  it('reads a guest from standard input once for both', () => {
    const { code, output, talk } = exitscopeWith('bits 64\norg 0x100000\ncli\nhlt\n', 'compare', '-');
    expect({ code, talk }).toEqual({ code: 0, talk: '' });
    expect(output).toMatch(/\nHLT +1 +1 +0 /);
  });

  it.each([
    ['era=1.0', 'Allowed choices are 2.6.32, 2.6.35'],
    ['era=2.6.31', 'Did you mean 2.6.32, 2.6.35 or 2.6.37?'],
    ['2.6.35', 'Say era=2.6.35.'],
    ['westmere', 'Say cost-model=westmere.'],
    ['ear=2.6.35', 'Did you mean era=2.6.35?'],
    ['cost-model=486', 'Allowed choices are talk-i7, westmere, sandy-bridge.'],
    ['speed=high', 'Mechanisms are: syscallMsrs'],
    ['era=2.6.37,syscallMsrs=lazy', 'Available for syscallMsrs: eager, '],
    ['', 'Mechanisms are: syscallMsrs'],
  ])('--b %j is a usage error', (list, message) => {
    const { code, output, talk } = exitscope('compare', GUEST, '--b', list);
    expect({ code, output }).toEqual({ code: 2, output: '' });
    expect(talk).toContain(message);
    expect(talk).toMatch(/^exitscope: .*\n$/);
  });
});
