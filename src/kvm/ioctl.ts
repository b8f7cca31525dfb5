/** A system call of one of the user process's threads on a VM's file descriptor, from user mode to user mode. */

import { type CostSink, operation } from '../host/cost/operations.js';
import { type HostThread, type ThreadRequest, TIF } from '../host/host-thread.js';
import type { Scheduler } from '../host/scheduler.js';
import { enterKernelMode, returnToUserMode } from '../host/user-mode.js';

const IOCTL_PATH = operation('ioctl path');

/** @param work what the call does; charges go to whatever CPU the thread is on */
export function* ioctl(
  scheduler: Scheduler,
  thread: HostThread,
  work: (costs: CostSink) => Generator<ThreadRequest, unknown, void>,
): Generator<ThreadRequest, undefined, void> {
  const costs: CostSink = {
    charge: (number, times) => scheduler.cpuOf(thread).cpu.charge(number, times),
  };
  enterKernelMode(scheduler.cpuOf(thread));
  costs.charge(IOCTL_PATH);
  yield* work(costs);
  costs.charge(IOCTL_PATH);
  while (thread.hasFlag(TIF.NEED_RESCHED)) yield 'reschedule';
  returnToUserMode(scheduler.cpuOf(thread), thread);
  return undefined;
}
