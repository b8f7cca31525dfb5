import { describe, expect, it } from 'vitest';
import type { Host } from '../../../src/host/host.js';
import type { HostThread, ThreadBody } from '../../../src/host/host-thread.js';
import { Srcu, type SrcuWait } from '../../../src/host/sync/srcu.js';
import { compute, kernelThread, sleepUntil, userProcess } from '../../../src/host/workload.js';
import { RandomSource } from '../../support/random-source.js';
import { createHost } from '../host-machine.js';

const SEEDS = Array.from({ length: 5 }, (_, seed) => seed + 1);
const MILLISECOND = 2_600_000;

interface Version {
  readonly number: number;
  freed: boolean;
}

function start(host: Host, cpu: number, body: (thread: HostThread) => ThreadBody): HostThread {
  return host.startThread({ name: `thread on ${cpu}`, cpu: host.cpus[cpu]!, isKernelThread: true, body });
}

/** Keeps a CPU in user mode nearly all the time. */
function keepBusy(host: Host, cpu: number): void {
  host.startThread({
    name: `busy ${cpu}`,
    cpu: host.cpus[cpu]!,
    daemon: true,
    body: (thread) =>
      userProcess(host.scheduler, thread, { duration: 20_000, usesFpu: cpu % 2 === 0, pattern: cpu }),
  });
}

describe('SRCU', () => {
  it.each(SEEDS.flatMap((seed) => (['sched', 'expedited'] as const).map((wait) => ({ seed, wait }))))(
    'frees nothing that a reader holds: $wait, seed $seed',
    ({ seed, wait }) => {
      const random = new RandomSource(seed);
      const cpus = 1 + random.below(4);
      const { host } = createHost({ cpus, timeSliceInCycles: 30_000 });
      const { scheduler } = host;
      const srcu = new Srcu(scheduler, host.rcu);
      let published: Version = { number: 0, freed: false };
      let grace = 0;
      let overlapped = 0;
      let writersLeft = 2;
      for (let number = 0; number < 5; number++)
        start(host, number % cpus, function* (thread) {
          while (writersLeft > 0) {
            yield* compute(scheduler, thread, 1 + random.below(20_000));
            const index = srcu.readLock(scheduler.cpuOf(thread));
            const held = published;
            for (let step = random.below(4); step >= 0; step--) {
              expect(held.freed).toBe(false);
              if (random.below(3) === 0)
                yield* sleepUntil(scheduler, thread, scheduler.cpuOf(thread).cpu.now + 200_000);
              else yield* compute(scheduler, thread, 1 + random.below(40_000));
              // Sections may end on another CPU than they began.
              if (random.below(8) === 0) scheduler.migrate(thread, host.cpus[random.below(cpus)]!);
              if (thread.destination !== undefined) yield 'reschedule';
            }
            expect(held.freed).toBe(false);
            if (held !== published) overlapped++;
            srcu.readUnlock(scheduler.cpuOf(thread), index);
          }
        });
      for (let writer = 0; writer < 2; writer++)
        start(host, writer % cpus, function* (thread) {
          for (let update = 0; update < 4; update++) {
            yield* compute(scheduler, thread, 1 + random.below(100_000));
            const old = published;
            published = { number: old.number + 1, freed: false };
            yield* srcu.synchronize(thread, wait);
            old.freed = true;
            grace++;
          }
          writersLeft--;
        });
      expect(scheduler.run()).toBe('finished');
      host.verifyLedger();
      expect(grace).toBe(8);
      expect(overlapped).toBeGreaterThan(0);
      expect(srcu.readersOf(0) + srcu.readersOf(1)).toBe(0);
    },
  );

  const duration = (wait: SrcuWait, cpus: number): number => {
    const { host } = createHost({ cpus });
    for (let cpu = 0; cpu < cpus; cpu++) keepBusy(host, cpu);
    const srcu = new Srcu(host.scheduler, host.rcu);
    let time = 0;
    start(host, 0, function* (thread) {
      yield* sleepUntil(host.scheduler, thread, 5 * MILLISECOND + 123_456);
      const before = host.cpus[0]!.cpu.now;
      yield* srcu.synchronize(thread, wait);
      time = host.cpus[0]!.cpu.now - before;
    });
    expect(host.scheduler.run({ untilCycles: 60 * MILLISECOND })).toBe('finished');
    host.verifyLedger();
    return time;
  };

  /** "10 ms grace periods" of the talk: three grace periods of the scheduler's RCU, each about three ticks. */
  it('takes some 10 ms at HZ = 1000, and microseconds when expedited', () => {
    const normal = duration('sched', 4) / MILLISECOND;
    expect(normal).toBeGreaterThan(6);
    expect(normal).toBeLessThan(13);
    const expedited = duration('expedited', 4) / MILLISECOND;
    expect(expedited).toBeGreaterThan(0.005);
    expect(expedited).toBeLessThan(0.2);
    expect(duration('expedited', 1)).toBeLessThan(1_000);
  });
});

describe('RCU', () => {
  it.each(SEEDS)('waits for sections that do not sleep (seed %i)', (seed) => {
    const random = new RandomSource(seed);
    const cpus = 2 + random.below(3);
    const { host } = createHost({ cpus });
    const { scheduler, rcu } = host;
    let published: Version = { number: 0, freed: false };
    let over = false;
    for (let cpu = 0; cpu < cpus; cpu++)
      start(host, cpu, function* (thread) {
        const { cpu: on } = host.cpus[cpu]!;
        while (!over) {
          const held = published;
          // With preemption off the section ends before anything else runs here.
          const end = on.now + 1 + random.below(4 * MILLISECOND);
          while (on.now < end) {
            expect(held.freed).toBe(false);
            on.chargeCycles(0, 1, 10_000);
            on.takeInterrupts();
            yield 'pause';
          }
          expect(held.freed).toBe(false);
          yield 'reschedule';
          yield* sleepUntil(scheduler, thread, on.now + 1 + random.below(MILLISECOND));
        }
      });
    start(host, 0, function* (thread) {
      for (let update = 0; update < 3; update++) {
        yield* compute(scheduler, thread, 1 + random.below(100_000));
        const old = published;
        published = { number: old.number + 1, freed: false };
        yield* rcu.synchronizeSched(thread);
        old.freed = true;
      }
      over = true;
    });
    expect(scheduler.run({ untilCycles: 400 * MILLISECOND })).toBe('finished');
    host.verifyLedger();
  });

  it('lets CPUs that sleep alone', () => {
    const { host } = createHost({ cpus: 8 });
    let time = 0;
    start(host, 0, function* (thread) {
      const before = host.cpus[0]!.cpu.now;
      yield* host.rcu.synchronizeSched(thread);
      time = host.cpus[0]!.cpu.now - before;
    });
    expect(host.scheduler.run()).toBe('finished');
    expect(time).toBeGreaterThan(0);
    expect(time).toBeLessThanOrEqual(4 * MILLISECOND);
    for (const { cpu } of host.cpus.slice(1)) expect(cpu.elapsed).toBe(0);
  });
});

describe('kernel threads', () => {
  it('are woken, work and sleep again', () => {
    const { host, cpu } = createHost();
    const thread = host.startThread({
      name: 'vhost',
      cpu,
      isKernelThread: true,
      body: (self) => kernelThread(host.scheduler, self, { period: 100_000, duration: 10_000 }),
    });
    host.scheduler.run({ untilCycles: 1_000_000 });
    host.verifyLedger();
    const share = thread.account.total / host.now;
    expect(share).toBeGreaterThan(0.1);
    expect(share).toBeLessThan(0.25);
  });
});
