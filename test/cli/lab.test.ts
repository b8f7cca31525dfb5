import { describe, expect, it } from 'vitest';
import { EXPERIMENTS } from '../../src/lab/experiments/index.js';
import { exitscope } from '../support/command-line.js';

describe('exitscope lab', () => {
  it('lists its experiments', () => {
    const { code, output, talk } = exitscope('lab', '--list');
    expect({ code, talk }).toEqual({ code: 0, talk: '' });
    expect(
      output
        .trimEnd()
        .split('\n')
        .map((line) => line.split(' ')[0]),
    ).toEqual(EXPERIMENTS.map(({ name }) => name));
    const { schema, experiments } = JSON.parse(exitscope('lab', '--list', '--json').output);
    expect(schema).toBe('exitscope.lab/1');
    expect(experiments[0]).toEqual({
      name: EXPERIMENTS[0]!.name,
      section: EXPERIMENTS[0]!.section,
      title: EXPERIMENTS[0]!.title,
    });
  });

  it('runs one, with its stages; progress goes to standard error', () => {
    const { code, output, talk } = exitscope('lab', 'x2apic-eoi');
    expect(code, talk).toBe(0);
    expect(output).toMatch(/x2APIC EOI, cycles +2,366 +2,366 +0\.0% {2}calibrated\n/);
    expect(output).toContain('stages of the exit, cycles');
    expect(talk).toMatch(
      /^\[1\/1\] x2apic-eoi: [\d.]+ ms simulated in [\d.]+ ms, [\d.]+ of real time, \d+ exits \(\d+ per s\)\n$/,
    );
  });

  it('leaves the rest of the machine to the user', () => {
    const total = (...options: string[]): number => {
      const { code, output, talk } = exitscope('lab', 'mode-switch', '--json', ...options);
      expect(code, talk).toBe(0);
      return JSON.parse(output).experiments[0].rows[0].before;
    };
    // Agesen et al., Table 1: hardware round trips of Nehalem and Westmere.
    expect(total()).toBe(1009);
    expect(total('--cost-model', 'westmere')).toBe(761);
    const cycles = (...options: string[]): string =>
      /xAPIC EOI, cycles +([\d,]+)/.exec(exitscope('lab', 'x2apic-eoi', ...options).output)![1]!;
    expect(cycles('--policy', 'apicAccess=fast-eoi')).toBe('2,378');
  });

  it('leaves out what can not be read off a machine like that', () => {
    // The processor ends interrupts without an exit.
    const { code, output, talk } = exitscope(
      'lab',
      'x2apic-eoi',
      '--processor',
      'ivy-bridge-ep',
      '--policy',
      'apicVirtualisation=register+virtual-interrupt-delivery',
    );
    expect({ code, output }).toEqual({ code: 1, output: '' });
    expect(talk).toMatch(
      /^\[1\/1\] x2apic-eoi: left out: .*\nexitscope: none of the experiments can be read off a machine like that\n$/,
    );
  });

  it('gives numbers to programs', () => {
    const { schema, experiments } = JSON.parse(exitscope('lab', 'mode-switch', '--json').output);
    expect(schema).toBe('exitscope.lab/1');
    expect(experiments).toHaveLength(1);
    expect(experiments[0].rows[0]).toMatchObject({ before: 1009, errorInPercent: 0, unit: 'cycles' });
    expect(experiments[0].pace.wallSeconds).toBeGreaterThan(0);
  });

  it('names the experiments when it is asked for another', () => {
    const { code, output, talk } = exitscope('lab', 'warp-drive');
    expect({ code, output }).toEqual({ code: 2, output: '' });
    expect(talk).toMatch(/^exitscope: there is no experiment "warp-drive": pio-timeline, .*\n$/);
  });

  it('asks back when a name is nearly one', () => {
    expect(exitscope('lab', 'x2apic-eio').talk).toBe(
      'exitscope: there is no experiment "x2apic-eio". Did you mean x2apic-eoi?\n',
    );
  });

  it('says that a picture can not be written before it works for it', () => {
    const { code, output, talk } = exitscope('lab', 'scaling-one-socket', '--plot', 'no/such/curves.svg');
    expect({ code, output }).toEqual({ code: 1, output: '' });
    expect(talk).toBe("exitscope: no/such/curves.svg can't be written: no directory no/such\n");
  });

  it('draws curves only where there are some', () => {
    const { code, output, talk } = exitscope('lab', 'mode-switch', '--plot', 'curves.svg');
    expect({ code, output }).toEqual({ code: 2, output: '' });
    expect(talk).toBe('exitscope: there are no curves to plot in mode-switch\n');
  });
});
