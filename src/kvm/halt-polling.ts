/**
 * Halt polling: after HLT the vCPU's thread looks for interrupts for a while before it gives its CPU away
 * (kvm_vcpu_halt, grow_halt_poll_ns, shrink_halt_poll_ns).
 */

import { operation } from '../host/cost/operations.js';
import { type HostThread, type ThreadRequest, TIF } from '../host/host-thread.js';
import type { Policies } from './policies.js';
import type { Vcpu } from './vcpu.js';

const HALT_POLLING = operation('halt polling');

/** Microseconds: first step of growth and limit (halt_poll_ns_grow_start, halt_poll_ns). */
const FIRST_WINDOW = 10;
const LIMIT = 200;
const GROWTH = 2;
/** Cycles between two looks while other CPUs are at the same point of virtual time. */
const LOOK = 100;

/** How long one vCPU polls; cycles. */
export class HaltPolling {
  window: number;
  private readonly dynamic: boolean;
  private readonly limit: number;
  private readonly firstWindow: number;

  constructor(policy: Policies['haltPolling'], clockInHertz: number) {
    const cyclesPerMicrosecond = clockInHertz / 1_000_000;
    this.limit = LIMIT * cyclesPerMicrosecond;
    this.firstWindow = FIRST_WINDOW * cyclesPerMicrosecond;
    this.dynamic = policy === 'dynamic';
    this.window = policy === 'always' ? this.limit : 0;
  }

  /** After a halt of this many cycles. */
  adjust(halted: number): void {
    if (!this.dynamic || halted <= this.window) return;
    // A long sleep can't be polled away; a short one could have been with a longer window.
    if (halted >= this.limit) this.window = 0;
    else this.window = Math.min(this.limit, Math.max(this.firstWindow, this.window * GROWTH));
  }
}

/**
 * Polls until the vCPU can run, the window is over, or the thread is wanted elsewhere.
 * @param isRunnable looks whether there is something to run for
 */
export function* pollBeforeSleep(
  vcpu: Vcpu,
  thread: HostThread,
  isRunnable: () => boolean,
): Generator<ThreadRequest, undefined, void> {
  const { statistics } = vcpu.vm;
  const { cpu } = vcpu;
  const end = cpu.now + vcpu.haltPolling.window;
  statistics.haltAttemptedPolls++;
  for (;;) {
    cpu.takeInterrupts();
    while (!cpu.isInOrder) yield 'pause';
    if (isRunnable()) {
      statistics.haltSuccessfulPolls++;
      return undefined;
    }
    if (cpu.now >= end || vcpu.hostCpu.runQueue.length > 0) return undefined;
    if (thread.hasFlag(TIF.SIGNAL_PENDING | TIF.NEED_RESCHED)) return undefined;
    // Nothing can happen before the next event of this CPU, or before the others have come so far.
    const others = Math.max(cpu.orderLimit, cpu.now + LOOK);
    const next = Math.min(end, cpu.events.nextTime, cpu.horizon, others);
    if (next > cpu.now) cpu.waitUntil(next, HALT_POLLING);
    if (cpu.now >= cpu.horizon) yield 'pause';
  }
}
