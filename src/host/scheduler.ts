/**
 * The host's scheduler: runs the threads of all CPUs in virtual time, always the CPU whose clock is behind the others
 * next, and does context switches as the host kernel does them.
 */

import { MSR } from '../architecture/msrs.js';
import { operation } from './cost/operations.js';
import type { HostCpu } from './host-cpu.js';
import { unlazyFpu } from './host-kernel.js';
import { type HostThread, TIF } from './host-thread.js';
import { STAGE } from './stages.js';

const CONTEXT_SWITCH = operation('context switch');
const WAKE_UP = operation('wake-up');

export interface SimulationLimits {
  /** Virtual time at which to stop, in cycles. */
  readonly untilCycles?: number;
  /** Guest instructions per CPU after which to stop. */
  readonly instructions?: number;
  /** Asked between steps: true stops the simulation. */
  readonly stopRequested?: () => boolean;
}

/** Why a simulation stopped: `idle` means that no thread can run and no event will ever come. */
export type SimulationStop = 'finished' | 'idle' | 'limit' | 'stopped';

/** How far a CPU may run ahead of the others, in cycles. */
const INTERLEAVING = 10_000;

export class Scheduler {
  readonly cpus: readonly HostCpu[];
  private readonly threads: HostThread[] = [];
  /** The CPU whose code runs at this moment of the simulation. */
  private executing: HostCpu;
  private readonly home = new Map<HostThread, HostCpu>();
  /** Cycles after which a thread has to give way to others that wait. */
  private readonly timeSlice: number;

  constructor(cpus: readonly HostCpu[], timeSliceInCycles: number) {
    this.cpus = cpus;
    this.executing = cpus[0]!;
    this.timeSlice = timeSliceInCycles;
  }

  /** Adds a thread, ready to run on `cpu`. */
  start(thread: HostThread, cpu: HostCpu): void {
    this.threads.push(thread);
    this.home.set(thread, cpu);
    cpu.runQueue.push(thread);
  }

  /** The CPU that a thread runs on, or will run on. */
  cpuOf(thread: HostThread): HostCpu {
    const cpu = this.home.get(thread);
    if (cpu === undefined) throw new Error(`thread ${thread.name} was never started`);
    return cpu;
  }

  /**
   * try_to_wake_up, executed on the CPU that runs now. Without effect on a thread that runs: nothing comes between its last
   * look at what it waits for and its blocking.
   */
  wake(thread: HostThread): void {
    if (thread.state !== 'blocked') return;
    const waker = this.executing;
    waker.cpu.charge(WAKE_UP);
    const target = this.cpuOf(thread);
    thread.state = 'runnable';
    target.runQueue.push(thread);
    if (target !== waker && target.current === target.idle) target.idleUntil(waker.cpu.now);
    this.expectPreemption(target);
  }

  /** Runs threads until nothing is left to do or a limit is reached. */
  run(limits: SimulationLimits = {}): SimulationStop {
    const until = limits.untilCycles ?? Number.POSITIVE_INFINITY;
    for (const { cpu } of this.cpus) cpu.instructionBudget = limits.instructions ?? Number.POSITIVE_INFINITY;
    for (;;) {
      if (limits.stopRequested?.() === true) return 'stopped';
      if (this.threads.every((thread) => thread.state === 'done')) return 'finished';
      const host = this.next();
      if (host === undefined) return 'idle';
      if (host.cpu.now >= until || host.cpu.instructionBudget <= 0) return 'limit';
      host.cpu.horizon = Math.min(until, this.horizonOf(host));
      this.step(host);
    }
  }

  /** Of the CPUs that have something to do, the one whose time is least. */
  private next(): HostCpu | undefined {
    let best: HostCpu | undefined;
    let bestTime = Number.POSITIVE_INFINITY;
    for (const host of this.cpus) {
      const busy = host.current !== host.idle || host.runQueue.length > 0;
      const time = busy ? host.cpu.now : Math.max(host.cpu.now, host.cpu.events.nextTime);
      if (time < bestTime) {
        best = host;
        bestTime = time;
      }
    }
    return best;
  }

  private horizonOf(host: HostCpu): number {
    let horizon = Number.POSITIVE_INFINITY;
    for (const other of this.cpus)
      if (other !== host && (other.current !== other.idle || other.runQueue.length > 0))
        horizon = Math.min(horizon, other.cpu.now + INTERLEAVING);
    return horizon;
  }

  private step(host: HostCpu): void {
    this.executing = host;
    if (host.current === host.idle && host.runQueue.length === 0) {
      host.idleUntil(Math.min(host.cpu.events.nextTime, host.cpu.horizon));
      host.cpu.takeInterrupts();
      return;
    }
    if (host.current === host.idle) this.switchTo(host, host.runQueue.shift()!);
    const thread = host.current;
    const { done, value } = thread.body.next();
    if (done === true) {
      thread.state = 'done';
      this.switchTo(host, host.runQueue.shift() ?? host.idle);
      return;
    }
    switch (value) {
      case 'pause':
        return;
      case 'reschedule':
        thread.flags &= ~TIF.NEED_RESCHED;
        if (host.runQueue.length === 0) return;
        host.runQueue.push(thread);
        break;
      case 'block':
        thread.state = 'blocked';
        break;
    }
    this.switchTo(host, host.runQueue.shift() ?? host.idle);
  }

  /** schedule() and __switch_to: notifiers, FPU, user segment bases, thread flags that follow the CPU. */
  private switchTo(host: HostCpu, next: HostThread): void {
    const { cpu, current: previous } = host;
    for (const notifier of previous.preemptNotifiers) notifier.schedOut();
    cpu.setStage(STAGE.BLOCKED);
    cpu.charge(CONTEXT_SWITCH);
    unlazyFpu(cpu, previous);
    host.current = next;
    cpu.account = next.account;
    if (previous.hasFlag(TIF.USER_RETURN_NOTIFY)) {
      // propagate_user_return_notify: whoever goes to user mode next on this CPU pays.
      previous.flags &= ~TIF.USER_RETURN_NOTIFY;
      next.flags |= TIF.USER_RETURN_NOTIFY;
    }
    if (!next.isKernelThread)
      cpu.withoutCharge(() => {
        cpu.wrmsr(MSR.FS_BASE, next.user.fsBase);
        cpu.wrmsr(MSR.KERNEL_GS_BASE, next.user.gsBase);
      });
    for (const notifier of next.preemptNotifiers) notifier.schedIn(cpu);
    this.expectPreemption(host);
  }

  /** When others wait, the running thread's slice ends by a timer interrupt. */
  private expectPreemption(host: HostCpu): void {
    const { current } = host;
    if (host.runQueue.length === 0 || current === host.idle) return;
    host.cpu.events.schedule(host.cpu.now + this.timeSlice, () => {
      if (host.current === current && host.runQueue.length > 0) current.flags |= TIF.NEED_RESCHED;
    });
  }
}
