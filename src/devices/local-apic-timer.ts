/** The timer of a local APIC (SDM Vol. 3A, 11.5.4 APIC Timer). */

import type { Alarm, AlarmClock } from './device.js';

export const TIMER_MODE = { ONE_SHOT: 0, PERIODIC: 1, TSC_DEADLINE: 2 } as const;

const greatestCommonDivisor = (a: number, b: number): number =>
  b === 0 ? a : greatestCommonDivisor(b, a % b);

export interface LocalApicTimerOptions {
  readonly clock: AlarmClock;
  /** Clock of the TSC-deadline mode; `clock` when left out. */
  readonly deadlineClock?: AlarmClock;
  /** Frequency of the bus or crystal clock that is divided, in Hz. */
  readonly timerFrequency: number;
  /** The clock's time at which the time-stamp counter of the processor reaches a value. */
  readonly timeOfTsc: (tsc: bigint) => number;
  /** Shortest period of the periodic mode in clock ticks; shorter ones are lengthened to it. */
  readonly minimumPeriod?: number;
  /** Called at each expiry. */
  readonly onExpiry: () => void;
}

export class LocalApicTimer {
  private mode: number = TIMER_MODE.ONE_SHOT;
  private initial = 0;
  private divider = 2;
  private startedAt = 0;
  private deadlineTsc = 0n;
  private alarm: Alarm | undefined;
  private readonly options: LocalApicTimerOptions;
  /** Clock ticks per undivided timer tick as a reduced fraction: keeps products of counts exact. */
  private readonly clockTicks: number;
  private readonly timerTicks: number;

  constructor(options: LocalApicTimerOptions) {
    this.options = options;
    const divisor = greatestCommonDivisor(options.clock.ticksPerSecond, options.timerFrequency);
    this.clockTicks = options.clock.ticksPerSecond / divisor;
    this.timerTicks = options.timerFrequency / divisor;
  }

  reset(): void {
    this.disarm();
    this.mode = TIMER_MODE.ONE_SHOT;
    this.initial = 0;
    this.divider = 2;
    this.deadlineTsc = 0n;
  }

  /** Follows bits 18:17 of the timer's LVT entry. Changing to or from TSC-deadline mode disarms (11.5.4.1). */
  setMode(mode: number): void {
    if (mode === this.mode) return;
    if (mode === TIMER_MODE.TSC_DEADLINE || this.mode === TIMER_MODE.TSC_DEADLINE) {
      this.disarm();
      this.initial = 0;
      this.deadlineTsc = 0n;
    }
    this.mode = mode;
  }

  /** Divide configuration register: bits 3, 1, 0 (Figure 11-10). Counting goes on from the current count. */
  setDivideConfiguration(value: number): void {
    const code = (value & 3) | ((value >> 1) & 4);
    const divider = code === 7 ? 1 : 2 << code;
    if (divider === this.divider) return;
    const remaining = this.currentCount;
    this.divider = divider;
    if (this.alarm === undefined || this.mode === TIMER_MODE.TSC_DEADLINE) return;
    this.startedAt = this.options.clock.now() - this.toClock(this.initial - remaining);
    this.arm(remaining);
  }

  get initialCount(): number {
    return this.initial;
  }
  /** Starts counting down, or stops when the value is 0. Ignored in TSC-deadline mode. */
  set initialCount(value: number) {
    if (this.mode === TIMER_MODE.TSC_DEADLINE) return;
    this.initial = value;
    this.disarm();
    if (value === 0) return;
    this.startedAt = this.options.clock.now();
    this.arm(value);
  }

  get currentCount(): number {
    if (this.alarm === undefined || this.mode === TIMER_MODE.TSC_DEADLINE) return 0;
    const elapsed = Math.floor(
      ((this.options.clock.now() - this.startedAt) * this.timerTicks) / (this.clockTicks * this.divider),
    );
    if (this.mode === TIMER_MODE.PERIODIC) return this.initial - (elapsed % this.initial);
    return Math.max(this.initial - elapsed, 0);
  }

  /** IA32_TSC_DEADLINE: 0 when disarmed or in another mode (11.5.4.1 TSC-Deadline Mode). */
  get deadline(): bigint {
    return this.deadlineTsc;
  }
  set deadline(tsc: bigint) {
    if (this.mode !== TIMER_MODE.TSC_DEADLINE) return;
    this.disarm();
    this.deadlineTsc = tsc;
    if (tsc === 0n) return;
    const clock = this.options.deadlineClock ?? this.options.clock;
    this.alarm = clock.schedule(this.options.timeOfTsc(tsc), () => {
      this.alarm = undefined;
      this.deadlineTsc = 0n;
      this.options.onExpiry();
    });
  }

  private arm(counts: number): void {
    this.alarm?.cancel();
    this.scheduleAt(this.options.clock.now() + this.toClock(counts));
  }

  private scheduleAt(time: number): void {
    this.alarm = this.options.clock.schedule(time, () => {
      this.alarm = undefined;
      // The mode that counts is the one at expiry: software may have changed the LVT entry meanwhile.
      if (this.mode === TIMER_MODE.PERIODIC) {
        this.startedAt = time;
        this.scheduleAt(time + Math.max(this.toClock(this.initial), this.options.minimumPeriod ?? 1));
      }
      this.options.onExpiry();
    });
  }

  private disarm(): void {
    this.alarm?.cancel();
    this.alarm = undefined;
  }

  private toClock(counts: number): number {
    return Math.ceil((counts * this.divider * this.clockTicks) / this.timerTicks);
  }
}
