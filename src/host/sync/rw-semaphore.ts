/**
 * The reader-writer semaphore that x86-64 used until 2.6.34 (lib/rwsem-spinlock.c): a count and a queue under a
 * spinlock, all in one cache line. Strictly first come, first served: behind a writer that waits, readers wait too.
 */

import type { HostCpu } from '../host-cpu.js';
import type { HostThread, ThreadRequest } from '../host-thread.js';
import { CacheLine } from '../memory-system.js';
import type { Scheduler } from '../scheduler.js';

/** Cycles from taking the inner spinlock to releasing it; the code is part of the caller's path. */
const CRITICAL_SECTION = 20;

interface Waiter {
  readonly thread: HostThread;
  readonly writer: boolean;
  granted: boolean;
}

export class RwSemaphore {
  private readonly scheduler: Scheduler;
  private readonly line = new CacheLine();
  /** Readers inside, or -1 for a writer. */
  private activity = 0;
  private readonly waiters: Waiter[] = [];

  constructor(scheduler: Scheduler) {
    this.scheduler = scheduler;
  }

  /** Readers inside. */
  get readers(): number {
    return Math.max(0, this.activity);
  }
  /** Threads that wait, first the one that comes next. */
  get queue(): readonly { readonly thread: HostThread; readonly writer: boolean }[] {
    return this.waiters;
  }

  /** down_read as far as it does not sleep. False: somebody is before, go on with `waitToRead`. */
  tryReadLock(host: HostCpu): boolean {
    this.line.lockedOperation(host, CRITICAL_SECTION);
    if (this.activity < 0 || this.waiters.length > 0) return false;
    this.activity++;
    return true;
  }

  /** The rest of down_read, after `tryReadLock` failed: sleeps until it is this reader's turn. */
  waitToRead(thread: HostThread): Generator<ThreadRequest, undefined, void> {
    return this.sleep(thread, false);
  }

  /** up_read. */
  readUnlock(host: HostCpu): void {
    if (this.activity <= 0) throw new Error('a semaphore was released more often than it was taken');
    this.line.lockedOperation(host, CRITICAL_SECTION);
    this.activity--;
    if (this.activity === 0) this.wakeNext();
  }

  /** down_write. */
  *writeLock(thread: HostThread): Generator<ThreadRequest, undefined, void> {
    while (!this.scheduler.cpuOf(thread).cpu.isInOrder) yield 'pause';
    this.line.lockedOperation(this.scheduler.cpuOf(thread), CRITICAL_SECTION);
    if (this.activity === 0 && this.waiters.length === 0) this.activity = -1;
    else yield* this.sleep(thread, true);
    return undefined;
  }

  /** up_write. */
  writeUnlock(host: HostCpu): void {
    if (this.activity !== -1) throw new Error('a semaphore was released by who had not taken it');
    this.line.lockedOperation(host, CRITICAL_SECTION);
    this.activity = 0;
    this.wakeNext();
  }

  private *sleep(thread: HostThread, writer: boolean): Generator<ThreadRequest, undefined, void> {
    const waiter: Waiter = { thread, writer, granted: false };
    this.waiters.push(waiter);
    while (!waiter.granted) yield 'block';
    return undefined;
  }

  /** __rwsem_do_wake: the writer in front, or all readers up to the next writer. They own it before they run. */
  private wakeNext(): void {
    const { waiters } = this;
    if (waiters[0]?.writer === true) {
      this.activity = -1;
      this.grant(waiters.shift()!);
      return;
    }
    while (waiters.length > 0 && !waiters[0]!.writer) {
      this.activity++;
      this.grant(waiters.shift()!);
    }
  }

  private grant(waiter: Waiter): void {
    waiter.granted = true;
    this.scheduler.wake(waiter.thread);
  }
}
