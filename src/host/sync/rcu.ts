/**
 * Grace periods of the scheduler's flavour of RCU (synchronize_sched, kernel/rcutree.c of 2.6.32): every CPU must pass
 * through a context switch, user mode, the guest or idleness. CPUs look at their part in it at timer ticks only, which
 * makes a grace period last about three of them.
 *
 * Ticks of a CPU are simulated while a grace period or a callback waits for it; without one they would change nothing.
 */

import { operation } from '../cost/operations.js';
import type { HostCpu } from '../host-cpu.js';
import { type HostThread, type ThreadRequest, TIF } from '../host-thread.js';
import type { Scheduler } from '../scheduler.js';
import type { Stoppers } from './stopper.js';

const TICK = operation('scheduler tick');
/** RCU_JIFFIES_TILL_FORCE_QS: then a CPU that stays in the kernel is sent through the scheduler. */
const TICKS_UNTIL_FORCED = 3;

/** What a CPU knows of grace periods (struct rcu_data). */
interface CpuState {
  /** Last grace period that the CPU has taken note of, and the last one that it passed a quiescent state for. */
  noticed: number;
  reported: number;
  /** `PhysicalCpu.quiescentStates` when it took note, and ticks since then. */
  statesAtNotice: number;
  ticksSinceNotice: number;
  /** Threads that wait on this CPU, with the grace period that has to be over. */
  readonly callbacks: { readonly period: number; readonly invoke: () => void }[];
  tickPending: boolean;
}

export class Rcu {
  private readonly scheduler: Scheduler;
  private readonly stoppers: Stoppers;
  /** Cycles between two ticks. */
  readonly jiffy: number;
  /** Number of the grace period that began last, and of the one that ended last. */
  private begun = 0;
  private completed = 0;
  private readonly states: readonly CpuState[];

  constructor(scheduler: Scheduler, stoppers: Stoppers, cyclesPerJiffy: number) {
    this.scheduler = scheduler;
    this.stoppers = stoppers;
    this.jiffy = cyclesPerJiffy;
    this.states = scheduler.cpus.map(() => ({
      noticed: 0,
      reported: 0,
      statesAtNotice: 0,
      ticksSinceNotice: 0,
      callbacks: [],
      tickPending: false,
    }));
    scheduler.onContextSwitch = (host) => {
      if (this.inProgress) this.expectTick(host);
    };
  }

  /** Virtual time of the tick after `time`. */
  nextTick(time: number): number {
    return (Math.floor(time / this.jiffy) + 1) * this.jiffy;
  }

  /** Sleeps until every CPU has passed a quiescent state since the call. */
  *synchronizeSched(thread: HostThread): Generator<ThreadRequest, undefined, void> {
    let done = false;
    const host = this.scheduler.cpuOf(thread);
    // A period that is under way does not count: it may have begun before what the caller waits for.
    const period = this.begun + 1;
    this.states[host.cpu.number]!.callbacks.push({
      period,
      invoke: () => {
        done = true;
        this.scheduler.wake(thread);
      },
    });
    if (!this.inProgress) this.begin(host);
    this.expectTick(host);
    while (!done) yield 'block';
    return undefined;
  }

  /**
   * synchronize_sched_expedited of 2.6.37: switches every CPU to its stopper thread and back. With one CPU nothing has to
   * be waited for: the caller runs, so no section is open.
   */
  *synchronizeSchedExpedited(thread: HostThread): Generator<ThreadRequest, undefined, void> {
    if (this.scheduler.cpus.length > 1) yield* this.stoppers.stopAll(thread);
    return undefined;
  }

  private get inProgress(): boolean {
    return this.begun !== this.completed;
  }

  /** rcu_start_gp: the CPU that begins it takes note at once, the others at their next tick. */
  private begin(host: HostCpu): void {
    this.begun++;
    this.notice(host);
    for (const other of this.scheduler.cpus) if (!other.isIdle) this.expectTick(other);
  }

  private notice(host: HostCpu): void {
    const state = this.states[host.cpu.number]!;
    state.noticed = this.begun;
    state.statesAtNotice = host.cpu.quiescentStates;
    state.ticksSinceNotice = 0;
  }

  private expectTick(host: HostCpu): void {
    const state = this.states[host.cpu.number]!;
    if (state.tickPending) return;
    state.tickPending = true;
    const now = Math.max(host.cpu.now, this.scheduler.executingCpu.cpu.now);
    host.cpu.events.schedule(this.nextTick(now), () => {
      state.tickPending = false;
      this.tick(host);
    });
  }

  /** rcu_check_callbacks and rcu_process_callbacks. */
  private tick(host: HostCpu): void {
    const state = this.states[host.cpu.number]!;
    host.cpu.charge(TICK);
    const ready = state.callbacks.filter(({ period }) => period <= this.completed);
    for (const callback of ready) {
      state.callbacks.splice(state.callbacks.indexOf(callback), 1);
      callback.invoke();
    }
    if (this.inProgress) {
      if (state.noticed !== this.begun) this.notice(host);
      else if (state.reported !== this.begun && this.passedQuiescentState(host)) {
        state.reported = this.begun;
        this.endIfAllReported(host);
      } else if (state.reported !== this.begun && ++state.ticksSinceNotice >= TICKS_UNTIL_FORCED)
        host.current.flags |= TIF.NEED_RESCHED;
    }
    if ((this.inProgress && !host.isIdle) || state.callbacks.length > 0) this.expectTick(host);
  }

  private passedQuiescentState(host: HostCpu): boolean {
    return host.isIdle || host.cpu.quiescentStates !== this.states[host.cpu.number]!.statesAtNotice;
  }

  /** CPUs that sleep are in a quiescent state for as long as they do. */
  private endIfAllReported(host: HostCpu): void {
    const waiting = this.scheduler.cpus.some(
      (other) => !other.isIdle && this.states[other.cpu.number]!.reported !== this.begun,
    );
    if (waiting) return;
    this.completed = this.begun;
    if (this.states.some(({ callbacks }) => callbacks.some(({ period }) => period > this.completed)))
      this.begin(host);
  }
}
