import { describe, expect, it } from 'vitest';
import {
  ERAS,
  type Era,
  IMPLEMENTED,
  MECHANISMS,
  type Mechanism,
  PolicyError,
  selectPolicies,
} from '../../src/kvm/policies.js';
import { createKvmMachine } from './kvm-machine.js';

const names = (mechanism: Mechanism): string[] =>
  MECHANISMS.find(({ name }) => name === mechanism)!.alternatives.map(({ name }) => name);

describe.each(Object.keys(ERAS) as Era[])('era %s', (era) => {
  it('takes the same time whether or not somebody watches', () => {
    const elapsed = (watched: boolean): number => {
      const machine = createKvmMachine({ code: 'out 0x60, al\nout 0x20, al\nmov cr0, rax\nhlt', era });
      if (watched) machine.kvm.trace = { vmExit: () => {} };
      machine.run();
      return machine.host.elapsed;
    };
    expect(elapsed(true)).toBe(elapsed(false));
  });
});

describe('policies', () => {
  it('are explained in a table that names each mechanism and alternative once', () => {
    expect(new Set(MECHANISMS.map(({ name }) => name)).size).toBe(MECHANISMS.length);
    for (const { name, title, alternatives } of MECHANISMS) {
      expect(title).not.toBe('');
      expect(new Set(names(name)).size).toBe(alternatives.length);
      for (const { explanation, source } of alternatives) {
        expect(explanation).toMatch(/\.$/);
        // Two lines of a terminal, and what indents them.
        expect(explanation.length).toBeLessThanOrEqual(240);
        expect(source).not.toBe('');
      }
    }
  });

  it('run only where an explained alternative does', () => {
    for (const [mechanism, running] of Object.entries(IMPLEMENTED)) {
      expect(names(mechanism as Mechanism)).toEqual(expect.arrayContaining([...running]));
      expect(running.length).toBeGreaterThan(0);
    }
  });

  it('are bundled into eras that all run', () => {
    expect(Object.keys(ERAS)).toEqual(['2.6.32', '2.6.35', '2.6.37', '3.x', '6.x']);
    for (const era of Object.keys(ERAS) as Era[])
      expect(Object.keys(selectPolicies(era)).sort()).toEqual(MECHANISMS.map(({ name }) => name).sort());
  });

  it('differ from era to era, and can be replaced one by one', () => {
    expect(ERAS['2.6.32'].syscallMsrs).toBe('eager');
    expect(ERAS['2.6.35'].syscallMsrs).toBe('shared');
    expect(selectPolicies('2.6.35', { syscallMsrs: 'eager' }).syscallMsrs).toBe('eager');
  });

  it('are refused when nobody has heard of them', () => {
    expect(() => selectPolicies('2.6.38' as Era)).toThrow(PolicyError);
    expect(() => selectPolicies('2.6.32', { syscallMsrs: 'never' as 'eager' })).toThrow(
      /available: eager, shared/,
    );
    expect(() => selectPolicies('2.6.32', { weather: 'fair' } as object)).toThrow(
      'there is no policy "weather"',
    );
  });
});
