/** Halt polling: after HLT the vCPU's thread looks for interrupts for a while before it gives its CPU away (kvm_vcpu_halt). */

import { operation } from '../host/cost/operations.js';
import { type HostThread, type ThreadRequest, TIF } from '../host/host-thread.js';
import { passTime } from '../host/pass-time.js';
import type { Vcpu } from './vcpu.js';

const HALT_POLLING = operation('halt polling');
/** Cycles between two looks while other CPUs are at the same point of virtual time. */
const LOOK = 100;

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
    yield* passTime(cpu, next, HALT_POLLING);
    if (cpu.now >= cpu.horizon) yield 'pause';
  }
}
