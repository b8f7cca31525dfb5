import { describe, expect, it } from 'vitest';
import { operation } from '../../src/host/cost/operations.js';
import type { Host } from '../../src/host/host.js';
import type { HostThread, ThreadBody } from '../../src/host/host-thread.js';
import { compute } from '../../src/host/workload.js';
import { DeviceLock } from '../../src/kvm/device-lock.js';
import { createHost } from '../host/host-machine.js';
import { RandomSource } from '../support/random-source.js';

const WORK = operation('kernel thread work');
const SEEDS = Array.from({ length: 6 }, (_, seed) => seed + 1);
/** Cycles: an off-core and an off-socket compare-and-swap of perfbook, less the one in the CPU's own cache. */
const SAME_SOCKET = 86.6 - 33.8;
const OTHER_SOCKET = 266 - 33.8;

const lockOf = (host: Host): DeviceLock => new DeviceLock(() => host.scheduler.executingCpu);

function start(host: Host, cpu: number, body: (thread: HostThread) => ThreadBody): HostThread {
  return host.startThread({ name: `thread on ${cpu}`, cpu: host.cpus[cpu]!, isKernelThread: true, body });
}

interface Section {
  readonly from: number;
  readonly to: number;
}

/** Takes and releases; returns the section in virtual time. */
function use(host: Host, cpu: number, lock: DeviceLock, work = 0): Section {
  const clock = host.cpus[cpu]!.cpu;
  lock.acquire();
  const from = clock.now;
  if (work > 0) clock.chargeCycles(WORK, 1, work);
  lock.release();
  return { from, to: clock.now };
}

function expectApart(sections: Section[]): void {
  sections.sort((a, b) => a.from - b.from);
  for (let index = 1; index < sections.length; index++)
    expect(sections[index]!.from).toBeGreaterThanOrEqual(sections[index - 1]!.to);
}

describe('a device lock', () => {
  it('costs one CPU nothing, and another one the way of the cache line', () => {
    const { host } = createHost({ cpus: 4, cpusPerSocket: 2 });
    const lock = lockOf(host);
    const turns = [0, 0, 1, 1, 2, 0];
    const costs: number[] = [];
    for (const number of [0, 1, 2])
      start(host, number, function* (thread) {
        const { cpu } = host.cpus[number]!;
        for (const [turn, user] of turns.entries()) {
          if (user !== number) continue;
          yield* compute(host.scheduler, thread, (turn + 1) * 50_000 - cpu.elapsed);
          const before = cpu.now;
          costs[turn] = use(host, number, lock).to - before;
        }
      });
    expect(host.scheduler.run()).toBe('finished');
    expect(costs[0]).toBe(0);
    expect(costs[1]).toBe(0);
    expect(costs[2]).toBeCloseTo(SAME_SOCKET, -1);
    expect(costs[3]).toBe(0);
    expect(costs[4]).toBeCloseTo(OTHER_SOCKET, -1);
    expect(costs[5]).toBeCloseTo(OTHER_SOCKET, -1);
  });

  it('may be taken again by who has it', () => {
    const { host } = createHost({ cpus: 2 });
    const lock = lockOf(host);
    start(host, 0, function* () {
      lock.acquire();
      use(host, 0, lock);
      lock.release();
      yield 'pause';
    });
    expect(host.scheduler.run()).toBe('finished');
    expect(() => lock.release()).toThrow(/nobody had/);
  });

  it.each(SEEDS)('is held by one CPU at a time, in virtual time (seed %i)', (seed) => {
    const random = new RandomSource(seed);
    const { host } = createHost({ cpus: 4, cpusPerSocket: 2 });
    const lock = lockOf(host);
    const sections: Section[] = [];
    for (let number = 0; number < 4; number++)
      start(host, number, function* (thread) {
        for (let round = 0; round < 40; round++) {
          yield* compute(host.scheduler, thread, 1 + random.below(400));
          while (!host.cpus[number]!.cpu.isInOrder) yield 'pause';
          sections.push(use(host, number, lock, 1 + random.below(300)));
        }
      });
    expect(host.scheduler.run()).toBe('finished');
    host.verifyLedger();
    expectApart(sections);
  });

  it.each(SEEDS)('makes nobody wait for who comes later, simulated first or not (seed %i)', (seed) => {
    const random = new RandomSource(seed);
    const { host } = createHost({ cpus: 4 });
    const lock = lockOf(host);
    const sections: Section[] = [];
    const waits: number[] = [];
    for (let number = 0; number < 4; number++)
      start(host, number, function* (thread) {
        const { cpu } = host.cpus[number]!;
        for (let round = 0; round < 60; round++) {
          yield* compute(host.scheduler, thread, 2000 + random.below(2000));
          while (!cpu.isInOrder) yield 'pause';
          // A handler of unknown length before the lock is taken.
          cpu.chargeCycles(WORK, 1, random.below(3000));
          const before = cpu.now;
          const section = use(host, number, lock);
          waits.push(section.from - before);
          sections.push({ from: section.from, to: section.from + 20 });
        }
      });
    expect(host.scheduler.run()).toBe('finished');
    host.verifyLedger();
    expectApart(sections);
    // Three others at most are before, and the line has to come. Handlers are up to 3000 cycles apart.
    expect(Math.max(...waits)).toBeLessThan(5 * (SAME_SOCKET + 20));
  });
});
