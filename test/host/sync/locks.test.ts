import { describe, expect, it } from 'vitest';
import type { Host } from '../../../src/host/host.js';
import type { HostThread, ThreadBody, ThreadRequest } from '../../../src/host/host-thread.js';
import { Mutex } from '../../../src/host/sync/mutex.js';
import { RwSemaphore } from '../../../src/host/sync/rw-semaphore.js';
import { compute } from '../../../src/host/workload.js';
import { RandomSource } from '../../support/random-source.js';
import { createHost } from '../host-machine.js';

const SEEDS = Array.from({ length: 6 }, (_, seed) => seed + 1);

function start(host: Host, cpu: number, body: (thread: HostThread) => ThreadBody): HostThread {
  return host.startThread({ name: `thread on ${cpu}`, cpu: host.cpus[cpu]!, isKernelThread: true, body });
}

function* inOrder(host: Host, thread: HostThread): Generator<ThreadRequest, undefined, void> {
  while (!host.scheduler.cpuOf(thread).cpu.isInOrder) yield 'pause';
  return undefined;
}

describe('the reader-writer semaphore', () => {
  it.each(SEEDS)('lets in readers, or one writer, and loses nobody (seed %i)', (seed) => {
    const random = new RandomSource(seed);
    const { host } = createHost({ cpus: 3, timeSliceInCycles: 20_000 });
    const semaphore = new RwSemaphore(host.scheduler);
    let readers = 0;
    let writers = 0;
    let together = 0;
    const check = (): void => {
      expect(writers).toBeLessThanOrEqual(1);
      if (writers > 0) expect(readers).toBe(0);
      together = Math.max(together, readers);
    };
    for (let number = 0; number < 9; number++)
      start(host, number % 3, function* (thread) {
        const writes = number % 4 === 0;
        const on = host.cpus[number % 3]!;
        for (let round = 0; round < 25; round++) {
          yield* compute(host.scheduler, thread, 1 + random.below(10_000));
          yield* inOrder(host, thread);
          if (writes) yield* semaphore.writeLock(thread);
          else if (!semaphore.tryReadLock(on)) yield* semaphore.waitToRead(thread);
          if (writes) writers++;
          else readers++;
          check();
          yield* compute(host.scheduler, thread, 1 + random.below(6_000));
          check();
          yield* inOrder(host, thread);
          if (writes) writers--;
          else readers--;
          if (writes) semaphore.writeUnlock(on);
          else semaphore.readUnlock(on);
        }
      });
    expect(host.scheduler.run()).toBe('finished');
    host.verifyLedger();
    expect(together).toBeGreaterThan(1);
    expect(semaphore.queue).toEqual([]);
  });

  it('serves in the order of coming: a reader waits behind a writer that waits', () => {
    const { host } = createHost({ cpus: 4 });
    const semaphore = new RwSemaphore(host.scheduler);
    const order: string[] = [];
    const take = (cpu: number, at: number, name: string, writes: boolean): void => {
      start(host, cpu, function* (thread) {
        const on = host.cpus[cpu]!;
        yield* compute(host.scheduler, thread, at);
        yield* inOrder(host, thread);
        if (writes) yield* semaphore.writeLock(thread);
        else if (!semaphore.tryReadLock(on)) yield* semaphore.waitToRead(thread);
        order.push(name);
        yield* compute(host.scheduler, thread, 50_000);
        yield* inOrder(host, thread);
        if (writes) semaphore.writeUnlock(on);
        else semaphore.readUnlock(on);
      });
    };
    take(0, 1_000, 'first reader', false);
    take(1, 10_000, 'writer', true);
    take(2, 20_000, 'second reader', false);
    take(3, 30_000, 'third reader', false);
    expect(host.scheduler.run()).toBe('finished');
    expect(order).toEqual(['first reader', 'writer', 'second reader', 'third reader']);
  });

  it('notices who releases what it has not taken', () => {
    const { host, cpu } = createHost();
    const semaphore = new RwSemaphore(host.scheduler);
    expect(() => semaphore.readUnlock(cpu)).toThrow(/released more often/);
    expect(() => semaphore.writeUnlock(cpu)).toThrow(/had not taken/);
  });
});

describe('a mutex', () => {
  it.each(SEEDS)('has one owner, and goes to the one that waited longest (seed %i)', (seed) => {
    const random = new RandomSource(seed);
    const { host } = createHost({ cpus: 2, timeSliceInCycles: 20_000 });
    const mutex = new Mutex(host.scheduler);
    const asked: HostThread[] = [];
    const got: HostThread[] = [];
    let owners = 0;
    for (let number = 0; number < 6; number++)
      start(host, number % 2, function* (thread) {
        for (let round = 0; round < 20; round++) {
          yield* compute(host.scheduler, thread, 1 + random.below(10_000));
          yield* inOrder(host, thread);
          asked.push(thread);
          yield* mutex.lock(thread);
          got.push(thread);
          owners++;
          expect(owners).toBe(1);
          yield* compute(host.scheduler, thread, 1 + random.below(3_000));
          owners--;
          mutex.unlock(thread);
        }
      });
    expect(host.scheduler.run()).toBe('finished');
    host.verifyLedger();
    expect(got).toEqual(asked);
  });
});
