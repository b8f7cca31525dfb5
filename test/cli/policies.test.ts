import { describe, expect, it } from 'vitest';
import { ERAS, IMPLEMENTED, MECHANISMS } from '../../src/kvm/policies.js';
import { exitscope } from '../support/command-line.js';

const GUEST = 'guest-programs/eoi-x2apic.asm';

describe('exitscope policies', () => {
  it('explains every alternative of every mechanism, with its source', () => {
    const { code, output, talk } = exitscope('policies');
    expect({ code, talk }).toEqual({ code: 0, talk: '' });
    const words = output.replace(/\s+/g, ' ');
    for (const { name, alternatives } of MECHANISMS) {
      expect(output).toContain(`${name}: `);
      for (const { explanation, source } of alternatives) {
        expect(words).toContain(explanation);
        expect(output).toContain(`Source: ${source}\n`);
      }
    }
    for (const line of output.split('\n')) expect(line.length).toBeLessThan(160);
  });

  it('explains one, and says which eras use what', () => {
    const { output } = exitscope('policies', 'syscallMsrs');
    expect(output).toMatch(/^syscallMsrs: /);
    expect(output).not.toContain('slotsProtection');
    const { mechanisms, schema } = JSON.parse(exitscope('policies', 'syscallMsrs', '--json').output);
    expect(schema).toBe('exitscope.policies/1');
    expect(mechanisms).toHaveLength(1);
    for (const { name, eras, available } of mechanisms[0].alternatives) {
      expect(available).toBe((IMPLEMENTED.syscallMsrs as readonly string[]).includes(name));
      for (const [era, { syscallMsrs }] of Object.entries(ERAS))
        expect(eras.includes(era)).toBe(syscallMsrs === name);
    }
  });

  it('names the mechanisms when it is asked for another', () => {
    const { code, output, talk } = exitscope('policies', 'speed');
    expect({ code, output }).toEqual({ code: 2, output: '' });
    expect(talk).toMatch(/^exitscope: there is no mechanism "speed": syscallMsrs, .*\n$/);
  });
});

describe('--cost-model', () => {
  it('counts the cycles of another processor', () => {
    const perEoi = (...options: string[]): number =>
      Number(/: (\d+)\n/.exec(exitscope('run', GUEST, ...options).output)![1]);
    // Hardware round trips of 1009, 761 and 784 cycles.
    expect(perEoi() - perEoi('--cost-model', 'westmere')).toBe(248);
    expect(perEoi() - perEoi('--cost-model', 'sandy-bridge')).toBe(225);
    expect(perEoi('--cost-model', 'talk-i7')).toBe(perEoi());
  });

  it('names the models when it is asked for another', () => {
    const { code, output, talk } = exitscope('run', GUEST, '--cost-model', '486');
    expect({ code, output }).toEqual({ code: 2, output: '' });
    expect(talk).toContain('Allowed choices are talk-i7, westmere, sandy-bridge.');
  });
});

describe('--processor', () => {
  it('has what a policy needs, or says so', () => {
    const policy = ['--policy', 'apicVirtualisation=register'];
    const { code, output, talk } = exitscope('run', GUEST, ...policy);
    expect({ code, output }).toEqual({ code: 2, output: '' });
    expect(talk).toMatch(/^exitscope: apicVirtualisation=register needs a processor that has it .*\n$/);
    expect(exitscope('run', GUEST, ...policy, '--processor', 'ivy-bridge-ep').code).toBe(0);
  });
});
