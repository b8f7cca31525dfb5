/**
 * Threads that share the host with virtual machines: kernel threads that are woken, work and sleep (vhost), ordinary
 * processes with and without use of the FPU.
 */

import { operation } from './cost/operations.js';
import type { HostThread, ThreadBody, ThreadRequest } from './host-thread.js';
import { TIF } from './host-thread.js';
import { passTime } from './pass-time.js';
import type { Scheduler } from './scheduler.js';
import { STAGE } from './stages.js';
import { enterKernelMode, returnToUserMode, useFpuInUserMode } from './user-mode.js';

const KERNEL_WORK = operation('kernel thread work');
const USER_WORK = operation('user code');
const TIMER_PROGRAMMING = operation('timer programming');

/** Work that begins every `period` cycles and takes `duration`. Without a period it never sleeps. */
export interface PeriodicWork {
  readonly period?: number;
  readonly duration: number;
  /** Virtual time of the first beginning, in cycles; default 0. */
  readonly start?: number;
}

/** Kernel code that takes `cycles`. Interrupts come in between; others get the CPU when it is their turn (cond_resched). */
export function* compute(
  scheduler: Scheduler,
  thread: HostThread,
  cycles: number,
): Generator<ThreadRequest, undefined, void> {
  let left = cycles;
  while (left > 0) {
    left -= yield* advance(scheduler, thread, left, KERNEL_WORK);
    if (thread.hasFlag(TIF.NEED_RESCHED)) yield 'reschedule';
    else if (left > 0) yield 'pause';
  }
  return undefined;
}

/** The same in user mode: a switch to another thread goes through the kernel, and finds user state as it was. */
function* computeInUserMode(
  scheduler: Scheduler,
  thread: HostThread,
  cycles: number,
): Generator<ThreadRequest, undefined, void> {
  let left = cycles;
  while (left > 0) {
    left -= yield* advance(scheduler, thread, left, USER_WORK);
    if (thread.hasFlag(TIF.NEED_RESCHED)) {
      enterKernelMode(scheduler.cpuOf(thread));
      yield 'reschedule';
      returnToUserMode(scheduler.cpuOf(thread), thread);
    } else if (left > 0) yield 'pause';
  }
  return undefined;
}

/** Works until an interrupt is due or the simulation has to look elsewhere. Returns the cycles that were worked. */
function* advance(
  scheduler: Scheduler,
  thread: HostThread,
  left: number,
  operationNumber: number,
): Generator<ThreadRequest, number, void> {
  const { cpu } = scheduler.cpuOf(thread);
  const cycles = Math.min(left, Math.max(1, Math.min(cpu.events.nextTime, cpu.horizon) - cpu.now));
  yield* passTime(cpu, cpu.now + cycles, operationNumber);
  cpu.takeInterrupts();
  return cycles;
}

/** Sleeps until a point of virtual time (schedule_hrtimeout); returns at once when it has passed. */
export function* sleepUntil(
  scheduler: Scheduler,
  thread: HostThread,
  time: number,
): Generator<ThreadRequest, undefined, void> {
  const { cpu } = scheduler.cpuOf(thread);
  if (time <= cpu.now) return undefined;
  cpu.charge(TIMER_PROGRAMMING);
  scheduler.wakeAt(thread, time);
  yield 'block';
  return undefined;
}

export function* kernelThread(scheduler: Scheduler, thread: HostThread, work: PeriodicWork): ThreadBody {
  thread.account.setStage(STAGE.BLOCKED);
  let next = work.start ?? 0;
  for (;;) {
    yield* sleepUntil(scheduler, thread, next);
    yield* compute(scheduler, thread, work.duration);
    next = work.period === undefined ? next : next + work.period;
  }
}

/** A process whose FPU registers, if it uses them, hold a pattern of its own that each turn changes. */
export function* userProcess(
  scheduler: Scheduler,
  thread: HostThread,
  work: PeriodicWork & { readonly usesFpu: boolean; readonly pattern: number },
): ThreadBody {
  thread.account.setStage(STAGE.BLOCKED);
  const image = thread.userFpu.slice();
  let next = work.start ?? 0;
  for (let turn = 0; ; turn++) {
    yield* sleepUntil(scheduler, thread, next);
    const host = scheduler.cpuOf(thread);
    returnToUserMode(host, thread);
    if (work.usesFpu) {
      image.fill((work.pattern + turn) & 0xff, FIRST_XMM_BYTE, XMM_END);
      useFpuInUserMode(host, thread, image);
    }
    yield* computeInUserMode(scheduler, thread, work.duration);
    enterKernelMode(scheduler.cpuOf(thread));
    next = work.period === undefined ? next : next + work.period;
  }
}

/** XMM0 … XMM15 in an FXSAVE image (SDM Vol. 1, Table 10-2). */
const FIRST_XMM_BYTE = 160;
const XMM_END = 416;
