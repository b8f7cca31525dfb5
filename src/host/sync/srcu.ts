/**
 * Sleepable RCU of 2.6.33 to 2.6.37 (kernel/srcu.c): readers count themselves in a pair of counters per CPU, without
 * any shared line; a grace period flips the pair and waits until the old one sums to zero.
 */

import { operation } from '../cost/operations.js';
import type { HostCpu } from '../host-cpu.js';
import type { HostThread, ThreadRequest } from '../host-thread.js';
import type { Scheduler } from '../scheduler.js';
import { Mutex } from './mutex.js';
import type { Rcu } from './rcu.js';

const READ_LOCK = operation('SRCU read lock');
const READ_UNLOCK = operation('SRCU read unlock');

/** How a grace period makes sure that all CPUs have seen what came before. */
export type SrcuWait = 'sched' | 'expedited';

export class Srcu {
  private readonly scheduler: Scheduler;
  private readonly rcu: Rcu;
  private readonly mutex: Mutex;
  private completed = 0;
  /** Two counters per CPU. A section may end on another CPU than it began: only sums mean something. */
  private readonly counters: Int32Array;

  constructor(scheduler: Scheduler, rcu: Rcu) {
    this.scheduler = scheduler;
    this.rcu = rcu;
    this.mutex = new Mutex(scheduler);
    this.counters = new Int32Array(scheduler.cpus.length * 2);
  }

  /** srcu_read_lock. Returns what `readUnlock` needs. */
  readLock({ cpu }: HostCpu): number {
    cpu.charge(READ_LOCK);
    const index = this.completed & 1;
    this.counters[cpu.number * 2 + index]!++;
    return index;
  }

  readUnlock({ cpu }: HostCpu, index: number): void {
    this.counters[cpu.number * 2 + index]!--;
    cpu.charge(READ_UNLOCK);
  }

  /** Sections that began with this index and have not ended. */
  readersOf(index: number): number {
    let sum = 0;
    for (let at = index; at < this.counters.length; at += 2) sum += this.counters[at]!;
    return sum;
  }

  /** synchronize_srcu, synchronize_srcu_expedited: returns when every section that was open at the call has ended. */
  *synchronize(thread: HostThread, wait: SrcuWait): Generator<ThreadRequest, undefined, void> {
    const before = this.completed;
    yield* this.mutex.lock(thread);
    // Two grace periods that others waited for have begun and ended since the call.
    if (this.completed - before >= 2) {
      this.mutex.unlock(thread);
      return undefined;
    }
    yield* this.waitForCpus(thread, wait);
    const index = this.completed & 1;
    this.completed++;
    yield* this.waitForCpus(thread, wait);
    while (this.readersOf(index) !== 0) {
      const { cpu } = this.scheduler.cpuOf(thread);
      this.scheduler.wakeAt(thread, this.rcu.nextTick(cpu.now));
      yield 'block';
    }
    yield* this.waitForCpus(thread, wait);
    this.mutex.unlock(thread);
    return undefined;
  }

  private waitForCpus(thread: HostThread, wait: SrcuWait): Generator<ThreadRequest, undefined, void> {
    return wait === 'expedited'
      ? this.rcu.synchronizeSchedExpedited(thread)
      : this.rcu.synchronizeSched(thread);
  }
}
