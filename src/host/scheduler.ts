/**
 * The host's scheduler: runs the threads of all CPUs in virtual time, always the CPU whose clock is behind the others
 * next, and does context switches as the host kernel does them.
 *
 * What one CPU does to another takes the flight of an inter-processor interrupt to arrive, so no CPU needs to stop
 * sooner than that time ahead of the slowest. Only operations on shared memory (locks, cache lines) act at once: before
 * them a thread looks at `PhysicalCpu.orderLimit` and yields while it is ahead of the others (`inOrder`).
 */

import { MSR } from '../architecture/msrs.js';
import { operation } from './cost/operations.js';
import type { TimedEvent } from './event-queue.js';
import type { HostCpu } from './host-cpu.js';
import { type HostThread, TIF } from './host-thread.js';
import { STAGE } from './stages.js';

const CONTEXT_SWITCH = operation('context switch');
const WAKE_UP = operation('wake-up');
const SEND_INTERRUPT = operation('send inter-processor interrupt');
const INTERRUPT_FLIGHT = operation('inter-processor interrupt flight');

export interface SimulationLimits {
  /** Virtual time at which to stop, in cycles: when the first CPU comes there. Others may be behind it by one flight. */
  readonly untilCycles?: number;
  /** Guest instructions per CPU after which to stop. */
  readonly instructions?: number;
  /** Asked between steps: true stops the simulation. */
  readonly stopRequested?: () => boolean;
}

/** Why a simulation stopped: `idle` means that no thread can run and no event will ever come. */
export type SimulationStop = 'finished' | 'idle' | 'limit' | 'stopped';

export class Scheduler {
  readonly cpus: readonly HostCpu[];
  /** Called at each context switch, after the outgoing thread has left its CPU (rcu_sched_qs). */
  onContextSwitch: (host: HostCpu) => void = () => {};
  private readonly threads: HostThread[] = [];
  /** Threads that are not done; those that serve others (`daemon`) do not count. */
  private unfinished = 0;
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
    if (!thread.daemon) this.unfinished++;
    this.home.set(thread, cpu);
    cpu.runQueue.push(thread);
  }

  /** Makes a thread known that sleeps until it is woken for the first time. */
  adopt(thread: HostThread, cpu: HostCpu): void {
    this.threads.push(thread);
    this.home.set(thread, cpu);
  }

  /** The CPU that a thread runs on, or will run on. */
  cpuOf(thread: HostThread): HostCpu {
    const cpu = this.home.get(thread);
    if (cpu === undefined) throw new Error(`thread ${thread.name} was never started`);
    return cpu;
  }

  /** The CPU whose code runs now (smp_processor_id). */
  get executingCpu(): HostCpu {
    return this.executing;
  }

  /**
   * try_to_wake_up, executed on the CPU that runs now. Without effect on a thread that runs: nothing comes between its last
   * look at what it waits for and its blocking. A thread of another CPU is enqueued there when the interrupt arrives.
   */
  wake(thread: HostThread): void {
    if (thread.state !== 'blocked') return;
    const waker = this.executing;
    waker.cpu.charge(WAKE_UP);
    const target = this.cpuOf(thread);
    thread.state = 'runnable';
    if (target === waker) this.enqueue(target, thread);
    else this.sendInterrupt(target, () => this.enqueue(target, thread));
  }

  /** Makes `action` run in interrupt context on another CPU; a guest that runs there leaves with a VM exit. */
  sendInterrupt(target: HostCpu, action: () => void): void {
    const sender = this.executing.cpu;
    sender.charge(SEND_INTERRUPT);
    this.interruptAt(target, sender.now + sender.costOf(INTERRUPT_FLIGHT), action);
  }

  /** Makes `action` run in interrupt context on another CPU at a point of virtual time: a timer there. */
  interruptAt(target: HostCpu, time: number, action: () => void): TimedEvent {
    const { cpu } = this.executing;
    const event = target.cpu.events.schedule(time, action);
    // A CPU that slept has something to do now: the one that runs must not run on as if it were alone.
    cpu.orderLimit = Math.min(cpu.orderLimit, target.nextTime);
    cpu.horizon = Math.min(cpu.horizon, target.nextTime + cpu.costOf(INTERRUPT_FLIGHT));
    return event;
  }

  /** The posted-interrupt notification: a guest that runs on the CPU does not leave for it. */
  sendNotification(target: HostCpu): void {
    const sender = this.executing.cpu;
    sender.charge(SEND_INTERRUPT);
    target.cpu.events.schedule(sender.now + sender.costOf(INTERRUPT_FLIGHT), () => {}, true);
  }

  /** smp_send_reschedule: the CPU leaves the guest and looks at its flags. */
  sendReschedule(target: HostCpu): void {
    this.sendInterrupt(target, () => {});
  }

  /** Wakes a thread that blocks on the executing CPU at a point of virtual time (schedule_timeout). */
  wakeAt(thread: HostThread, time: number): { cancel(): void } {
    return this.cpuOf(thread).cpu.events.schedule(time, () => this.wake(thread));
  }

  /**
   * Moves a thread to another CPU, as the load balancer does: at once when it waits, when it gives up its CPU if it
   * runs, and it is made to.
   */
  migrate(thread: HostThread, destination: HostCpu): void {
    const source = this.cpuOf(thread);
    if (source === destination || thread.state === 'done') return;
    if (source.current === thread) {
      thread.destination = destination.cpu.number;
      thread.flags |= TIF.NEED_RESCHED;
      if (source !== this.executing) this.sendReschedule(source);
      return;
    }
    const queued = source.runQueue.indexOf(thread);
    // One that is on its way to a queue stays on it.
    if (queued < 0 && thread.state !== 'blocked') return;
    this.home.set(thread, destination);
    if (queued < 0) return;
    source.runQueue.splice(queued, 1);
    this.arrive(destination, thread);
  }

  /**
   * Runs threads until nothing is left to do or a limit is reached. A CPU that is stopped by a limit goes on first the
   * next time, as far as it would have gone: where a run is interrupted changes nothing about it as a whole.
   */
  run(limits: SimulationLimits = {}): SimulationStop {
    const until = limits.untilCycles ?? Number.POSITIVE_INFINITY;
    for (const { cpu } of this.cpus) {
      cpu.instructionBudget = limits.instructions ?? Number.POSITIVE_INFINITY;
      cpu.stopTime = until;
    }
    for (;;) {
      const goesOn = this.executing.cpu.cutShort;
      if (!goesOn && limits.stopRequested?.() === true) return 'stopped';
      if (this.unfinished === 0) return 'finished';
      const host = goesOn ? this.executing : this.next();
      if (host === undefined) return 'idle';
      if (host.cpu.now >= until || host.cpu.instructionBudget <= 0) return 'limit';
      if (!goesOn) this.setLimits(host);
      host.cpu.cutShort = false;
      this.step(host);
    }
  }

  /** Of the CPUs that have something to do, the one whose time is least. */
  private next(): HostCpu | undefined {
    let best: HostCpu | undefined;
    let bestTime = Number.POSITIVE_INFINITY;
    for (const host of this.cpus) {
      const time = host.nextTime;
      if (time < bestTime) {
        best = host;
        bestTime = time;
      }
    }
    return best;
  }

  private setLimits(host: HostCpu): void {
    let others = Number.POSITIVE_INFINITY;
    for (const other of this.cpus) if (other !== host) others = Math.min(others, other.nextTime);
    host.cpu.orderLimit = others;
    host.cpu.horizon = others + host.cpu.costOf(INTERRUPT_FLIGHT);
  }

  private step(host: HostCpu): void {
    this.executing = host;
    if (host.current === host.idle && host.runQueue.length === 0) {
      const { cpu } = host;
      const end = Math.min(cpu.events.nextTime, cpu.horizon);
      host.idleUntil(Math.min(end, cpu.stopTime));
      if (cpu.now < end) cpu.cutShort = true;
      else cpu.takeInterrupts();
      return;
    }
    if (host.current === host.idle) this.switchTo(host, this.pick(host));
    const thread = host.current;
    const { done, value } = thread.body.next();
    if (done === true) {
      thread.state = 'done';
      if (!thread.daemon) this.unfinished--;
      this.switchTo(host, this.pick(host));
      return;
    }
    switch (value) {
      case 'pause':
        return;
      case 'reschedule':
        this.reschedule(host, thread);
        return;
      case 'block':
        thread.state = 'blocked';
        this.switchTo(host, this.pick(host));
        return;
    }
  }

  private reschedule(host: HostCpu, thread: HostThread): void {
    thread.flags &= ~TIF.NEED_RESCHED;
    // schedule() reports a quiescent state even when it finds nobody else to run.
    host.cpu.quiescentStates++;
    const { destination } = thread;
    thread.destination = undefined;
    if (destination !== undefined && destination !== host.cpu.number) {
      this.switchTo(host, this.pick(host));
      const target = this.cpus[destination]!;
      this.home.set(thread, target);
      this.sendInterrupt(target, () => this.enqueue(target, thread));
    } else if (host.runQueue.length > 0) {
      host.runQueue.push(thread);
      this.switchTo(host, this.pick(host));
    }
  }

  /** The thread that runs next: the first in the queue, those of the highest scheduling class before others. */
  private pick({ runQueue, idle }: HostCpu): HostThread {
    if (runQueue.length === 0) return idle;
    const urgent = runQueue.findIndex((thread) => thread.isStopper);
    return urgent < 0 ? runQueue.shift()! : runQueue.splice(urgent, 1)[0]!;
  }

  /** A thread that was migrated while it waited to run. */
  private arrive(target: HostCpu, thread: HostThread): void {
    if (target === this.executing) this.enqueue(target, thread);
    else this.sendInterrupt(target, () => this.enqueue(target, thread));
  }

  /**
   * Puts a thread into the queue of the CPU that executes this. A thread that slept is behind in its share of the CPU
   * and preempts the one that runs (check_preempt_wakeup).
   */
  private enqueue(target: HostCpu, thread: HostThread): void {
    target.runQueue.push(thread);
    if (target.current !== target.idle && !target.current.isStopper) target.current.flags |= TIF.NEED_RESCHED;
    this.expectPreemption(target);
  }

  /** schedule() and __switch_to: notifiers, FPU, user segment bases, thread flags that follow the CPU. */
  private switchTo(host: HostCpu, next: HostThread): void {
    const { cpu, current: previous } = host;
    for (const notifier of previous.preemptNotifiers) notifier.schedOut();
    cpu.setStage(STAGE.BLOCKED);
    cpu.charge(CONTEXT_SWITCH);
    host.fpu.switch(previous, next);
    host.current = next;
    cpu.quiescentStates++;
    cpu.account = next.account;
    if (previous.hasFlag(TIF.USER_RETURN_NOTIFY)) {
      // propagate_user_return_notify: whoever goes to user mode next on this CPU pays.
      previous.flags &= ~TIF.USER_RETURN_NOTIFY;
      next.flags |= TIF.USER_RETURN_NOTIFY;
    }
    if (!next.isKernelThread)
      cpu.withoutCharge(() => {
        cpu.wrmsrWords(MSR.FS_BASE, next.userFsBase);
        cpu.wrmsrWords(MSR.KERNEL_GS_BASE, next.userGsBase);
      });
    next.flags &= ~TIF.NEED_RESCHED;
    this.onContextSwitch(host);
    for (const notifier of next.preemptNotifiers) notifier.schedIn(cpu);
    host.sliceEnd?.cancel();
    host.sliceEnd = undefined;
    this.expectPreemption(host);
  }

  /** When others wait, the running thread's slice ends by a timer interrupt. A slice that has begun goes on. */
  private expectPreemption(host: HostCpu): void {
    const { current } = host;
    if (host.runQueue.length === 0 || current === host.idle || host.sliceEnd !== undefined) return;
    host.sliceEnd = host.cpu.events.schedule(host.cpu.now + this.timeSlice, () => {
      host.sliceEnd = undefined;
      if (host.runQueue.length > 0) current.flags |= TIF.NEED_RESCHED;
    });
  }
}
