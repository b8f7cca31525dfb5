/** A sleeping lock (struct mutex): who waits gets it in the order of coming. */

import { operation } from '../cost/operations.js';
import type { HostThread, ThreadRequest } from '../host-thread.js';
import { CacheLine } from '../memory-system.js';
import type { Scheduler } from '../scheduler.js';

const MUTEX = operation('mutex');

export class Mutex {
  private readonly scheduler: Scheduler;
  private readonly line = new CacheLine();
  private owner: HostThread | undefined;
  private readonly waiters: HostThread[] = [];

  constructor(scheduler: Scheduler) {
    this.scheduler = scheduler;
  }

  *lock(thread: HostThread): Generator<ThreadRequest, undefined, void> {
    while (!this.scheduler.cpuOf(thread).cpu.isInOrder) yield 'pause';
    const host = this.scheduler.cpuOf(thread);
    this.line.write(host);
    host.cpu.charge(MUTEX);
    if (this.owner === undefined) {
      this.owner = thread;
      return undefined;
    }
    this.waiters.push(thread);
    // `unlock` hands it over before it wakes.
    while (!this.isOwnedBy(thread)) yield 'block';
    return undefined;
  }

  unlock(thread: HostThread): void {
    if (this.owner !== thread) throw new Error(`${thread.name} released a mutex that it does not own`);
    const host = this.scheduler.cpuOf(thread);
    this.line.write(host);
    host.cpu.charge(MUTEX);
    this.owner = this.waiters.shift();
    if (this.owner !== undefined) this.scheduler.wake(this.owner);
  }

  isOwnedBy(thread: HostThread): boolean {
    return this.owner === thread;
  }
}
