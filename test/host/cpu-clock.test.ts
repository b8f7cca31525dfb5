import { describe, expect, it } from 'vitest';
import { operation } from '../../src/host/cost/operations.js';
import { createHost } from './host-machine.js';

const VMREAD = operation('VMREAD');
const IDLE = operation('idle');

describe('Set-up work', () => {
  it('takes no virtual time, whatever it does, and costs afterwards what it costs', () => {
    const { host, cpu: hostCpu } = createHost();
    const { cpu } = hostCpu;
    const before = cpu.now;
    cpu.withoutCharge(() => {
      cpu.charge(VMREAD, 3);
      cpu.chargeCycles(IDLE, 1, 1000);
      cpu.waitUntil(before + 500, IDLE);
      expect(cpu.costOf(VMREAD)).toBeGreaterThan(0);
    });
    expect(cpu.now).toBe(before);
    host.verifyLedger();
    cpu.charge(VMREAD, 3);
    expect(cpu.now).toBe(before + 3 * cpu.costOf(VMREAD));
    host.verifyLedger();
  });
});
