/** Event counters of the host kernel (struct eventfd_ctx) and the kernel threads that serve them, as vhost does. */

import { type CostSink, operation } from '../host/cost/operations.js';
import type { Host } from '../host/host.js';
import type { HostCpu } from '../host/host-cpu.js';
import type { HostThread, ThreadBody } from '../host/host-thread.js';
import { STAGE } from '../host/stages.js';
import { compute } from '../host/workload.js';

const LOCKED_OPERATION = operation('locked operation');

/** A counter that one side signals and the other takes to zero. */
export class EventFd {
  /** Called after each signal: wakes whoever waits. Without effect until a thread serves the counter. */
  onSignal: () => void = () => {};
  private count = 0;
  private signalled = 0;

  /** All signals since the start. */
  get total(): number {
    return this.signalled;
  }

  /** eventfd_signal: charges the lock of the wait queue; waking a thread is charged by the scheduler. */
  signal(costs: CostSink): void {
    costs.charge(LOCKED_OPERATION);
    this.count++;
    this.signalled++;
    this.onSignal();
  }

  /** Signals since the last call. */
  take(): number {
    const { count } = this;
    this.count = 0;
    return count;
  }
}

export interface EventWorkerOptions {
  readonly name: string;
  readonly host: Host;
  readonly cpu: HostCpu;
  readonly event: EventFd;
  /** Work of the thread for each signal. */
  readonly cyclesPerSignal: number;
  /** Called when signals have been served. */
  readonly served?: (signals: number) => void;
}

/** Starts a kernel thread that sleeps until the event is signalled and then works (vhost_worker). */
export function startEventWorker(options: EventWorkerOptions): HostThread {
  const { host, event } = options;
  const thread = host.startThread({
    name: options.name,
    cpu: options.cpu,
    isKernelThread: true,
    daemon: true,
    body: (self) => serveEvents(self, options),
  });
  event.onSignal = () => host.scheduler.wake(thread);
  return thread;
}

function* serveEvents(
  thread: HostThread,
  { host, event, cyclesPerSignal, served }: EventWorkerOptions,
): ThreadBody {
  thread.account.setStage(STAGE.BLOCKED);
  for (;;) {
    const signals = event.take();
    if (signals === 0) {
      yield 'block';
      continue;
    }
    yield* compute(host.scheduler, thread, signals * cyclesPerSignal);
    served?.(signals);
  }
}
