/** One thread per CPU of the highest scheduling class, which runs a function there at once (cpu_stop, migration threads). */

import { operation } from '../cost/operations.js';
import type { HostCpu } from '../host-cpu.js';
import { HostThread, type ThreadBody, type ThreadRequest } from '../host-thread.js';
import type { Ledger } from '../ledger.js';
import type { Scheduler } from '../scheduler.js';
import { STAGE } from '../stages.js';

const STOPPER_WORK = operation('stopper work');

export class Stoppers {
  private readonly scheduler: Scheduler;
  private readonly ledger: Ledger;
  private readonly threads = new Map<HostCpu, HostThread>();
  private readonly work = new Map<HostCpu, (() => void)[]>();

  constructor(scheduler: Scheduler, ledger: Ledger) {
    this.scheduler = scheduler;
    this.ledger = ledger;
  }

  /** try_stop_cpus with a function that does nothing: returns when each CPU has switched to its stopper. */
  *stopAll(thread: HostThread): Generator<ThreadRequest, undefined, void> {
    let left = this.scheduler.cpus.length;
    for (const host of this.scheduler.cpus) {
      this.queueOf(host).push(() => {
        left--;
        if (left === 0) this.scheduler.wake(thread);
      });
      this.scheduler.wake(this.threadOf(host));
    }
    while (left > 0) yield 'block';
    return undefined;
  }

  private queueOf(host: HostCpu): (() => void)[] {
    let queue = this.work.get(host);
    if (queue === undefined) {
      queue = [];
      this.work.set(host, queue);
    }
    return queue;
  }

  /** The CPU's stopper, asleep; it is made when it is first needed. */
  private threadOf(host: HostCpu): HostThread {
    let stopper = this.threads.get(host);
    if (stopper === undefined) {
      const name = `migration/${host.cpu.number}`;
      stopper = new HostThread({
        name,
        account: this.ledger.open(name),
        isKernelThread: true,
        daemon: true,
        isStopper: true,
        body: () => this.body(host),
      });
      stopper.account.setStage(STAGE.BLOCKED);
      stopper.state = 'blocked';
      this.threads.set(host, stopper);
      this.scheduler.adopt(stopper, host);
    }
    return stopper;
  }

  private *body(host: HostCpu): ThreadBody {
    const queue = this.queueOf(host);
    for (;;) {
      for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
        host.cpu.charge(STOPPER_WORK);
        next();
      }
      yield 'block';
    }
  }
}
