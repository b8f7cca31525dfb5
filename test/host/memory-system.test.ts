import { describe, expect, it } from 'vitest';
import type { HostCpu } from '../../src/host/host-cpu.js';
import { CacheLine } from '../../src/host/memory-system.js';
import { createHost } from './host-machine.js';

const cost = (host: HostCpu, work: () => void): number => {
  const before = host.cpu.now;
  work();
  return host.cpu.now - before;
};

/** All clocks at the same time, so that nobody waits for what happened later. */
function level(hosts: readonly HostCpu[]): void {
  const latest = Math.max(...hosts.map(({ cpu }) => cpu.now));
  for (const host of hosts) host.idleUntil(latest);
}

describe('a cache line', () => {
  /** Perfbook, Table E.1: 33.8, 86.6 and 266 cycles. */
  it('costs by the distance of the CPU that has it', () => {
    const { host } = createHost({ cpus: 4, cpusPerSocket: 2 });
    const [a, b, c] = host.cpus as [HostCpu, HostCpu, HostCpu];
    const line = new CacheLine();
    const locked = (on: HostCpu): number => {
      level(host.cpus);
      return cost(on, () => line.lockedOperation(on));
    };
    expect(locked(a)).toBe(34);
    expect(locked(a)).toBe(34);
    expect(locked(b)).toBe(87);
    expect(locked(b)).toBe(34);
    expect(locked(c)).toBe(266);
    expect(locked(a)).toBe(266);
  });

  it('is shared by readers and taken from all of them by a writer', () => {
    const { host } = createHost({ cpus: 4, cpusPerSocket: 2 });
    const [a, b, c] = host.cpus as [HostCpu, HostCpu, HostCpu];
    const line = new CacheLine();
    line.write(a);
    level(host.cpus);
    expect(cost(b, () => line.read(b))).toBe(53);
    expect(cost(b, () => line.read(b))).toBe(0);
    expect(cost(a, () => line.read(a))).toBe(0);
    level(host.cpus);
    expect(cost(c, () => line.read(c))).toBe(0);
    // Two sharers on the same socket, one on the other: as far as the farthest.
    expect(cost(a, () => line.write(a))).toBe(232);
    expect(cost(a, () => line.write(a))).toBe(0);
  });

  it('serves one operation after the other', () => {
    const { host } = createHost({ cpus: 3 });
    const line = new CacheLine();
    const ends = host.cpus.map((on) => {
      line.lockedOperation(on, 20);
      return on.cpu.now;
    });
    expect(ends).toEqual([34, 34 + 20 + 87, 34 + 20 + 87 + 20 + 87]);
    host.verifyLedger();
  });
});
