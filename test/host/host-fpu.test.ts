import { describe, expect, it } from 'vitest';
import { CR0 } from '../../src/architecture/control-registers.js';
import { operation } from '../../src/host/cost/operations.js';
import type { HostCpu } from '../../src/host/host-cpu.js';
import { HostThread } from '../../src/host/host-thread.js';
import { Ledger } from '../../src/host/ledger.js';
import { useFpuInUserMode } from '../../src/host/user-mode.js';
import { createHost } from './host-machine.js';

const FXRSTOR = operation('FXRSTOR');
const FXSAVE = operation('FXSAVE');

const thread = (name: string, isKernelThread = false): HostThread =>
  new HostThread({ name, account: new Ledger().open(name), isKernelThread });

/** A context switch as far as the FPU goes. */
function switchTo(host: HostCpu, next: HostThread): void {
  host.fpu.switch(host.current, next);
  host.current = next;
}

const compute = (host: HostCpu, value: number): void =>
  useFpuInUserMode(host, host.current, new Uint8Array(512).fill(value));

const taskSwitched = ({ cpu }: HostCpu): boolean => (cpu.peekCr0() & CR0.TS) !== 0;

/** What user code of the running thread finds in its registers. */
function registers(host: HostCpu): number {
  if (taskSwitched(host)) host.fpu.restore(host.current);
  return host.cpu.fpuRegisters()[200]!;
}

describe.each([false, true])('FPU registers of host threads, eager: %s', (eager) => {
  const hosts = (): [HostCpu, HostCpu] => {
    const { host } = createHost({ cpus: 2 });
    if (eager) for (const { fpu } of host.cpus) fpu.useEagerSwitching();
    return [host.cpus[0]!, host.cpus[1]!];
  };

  it('are each thread’s own, with kernel threads in between', () => {
    const [cpu] = hosts();
    const [a, b, kernel] = [thread('a'), thread('b'), thread('kernel', true)];
    switchTo(cpu, a);
    compute(cpu, 1);
    switchTo(cpu, kernel);
    switchTo(cpu, b);
    compute(cpu, 2);
    switchTo(cpu, kernel);
    switchTo(cpu, a);
    expect(registers(cpu)).toBe(1);
    switchTo(cpu, b);
    expect(registers(cpu)).toBe(2);
  });

  it('follow a thread to another CPU and back', () => {
    const [first, second] = hosts();
    const [a, kernel] = [thread('a'), thread('kernel', true)];
    switchTo(first, a);
    compute(first, 1);
    switchTo(first, kernel);
    switchTo(second, a);
    expect(registers(second)).toBe(1);
    compute(second, 2);
    switchTo(second, kernel);
    switchTo(first, a);
    expect(registers(first)).toBe(2);
  });

  it('survive their use by the kernel', () => {
    const [cpu] = hosts();
    const [a, b] = [thread('a'), thread('b')];
    switchTo(cpu, a);
    compute(cpu, 1);
    cpu.fpu.beginKernelUse(a);
    cpu.cpu.fxrstor(new Uint8Array(512).fill(9));
    cpu.fpu.endKernelUse();
    expect(registers(cpu)).toBe(1);
    cpu.fpu.beginKernelUse(a);
    cpu.cpu.fxrstor(new Uint8Array(512).fill(9));
    cpu.fpu.endKernelUse();
    switchTo(cpu, b);
    expect(registers(cpu)).toBe(0);
    switchTo(cpu, a);
    expect(registers(cpu)).toBe(1);
  });
});

describe('lazy switching', () => {
  it('loads registers at the switch for a thread that used them in more than five slices in a row', () => {
    const { cpu } = createHost();
    const [a, b] = [thread('a'), thread('b')];
    for (let slice = 1; slice <= 8; slice++) {
      switchTo(cpu, a);
      expect(taskSwitched(cpu)).toBe(slice <= 6);
      compute(cpu, slice);
      switchTo(cpu, b);
      expect(taskSwitched(cpu)).toBe(true);
    }
    // A slice without use: preloaded for nothing once more, then given up.
    switchTo(cpu, a);
    switchTo(cpu, b);
    expect(a.fpuCounter).toBeGreaterThan(5);
    a.usesFpu = false;
    cpu.fpu.unlazy(a);
    switchTo(cpu, a);
    expect(taskSwitched(cpu)).toBe(true);
    expect(registers(cpu)).toBe(8);
  });
});

describe('eager switching', () => {
  it('loads nothing after kernel threads alone', () => {
    const { cpu } = createHost();
    cpu.fpu.useEagerSwitching();
    const [a, kernel] = [thread('a'), thread('kernel', true)];
    switchTo(cpu, a);
    compute(cpu, 1);
    const { account } = cpu.cpu;
    const [saves, loads] = [account.count(FXSAVE), account.count(FXRSTOR)];
    for (let turn = 0; turn < 3; turn++) {
      switchTo(cpu, kernel);
      switchTo(cpu, a);
    }
    expect([account.count(FXSAVE) - saves, account.count(FXRSTOR) - loads]).toEqual([3, 0]);
    expect(registers(cpu)).toBe(1);
  });
});
