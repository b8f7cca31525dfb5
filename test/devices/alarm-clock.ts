/** A clock that tests turn by hand. */

import type { Alarm, AlarmClock } from '../../src/devices/device.js';

export class TestClock implements AlarmClock {
  readonly ticksPerSecond: number;
  private time = 0;
  private alarms: { at: number; callback: () => void }[] = [];

  constructor(ticksPerSecond: number) {
    this.ticksPerSecond = ticksPerSecond;
  }

  now(): number {
    return this.time;
  }

  schedule(at: number, callback: () => void): Alarm {
    const alarm = { at, callback };
    this.alarms.push(alarm);
    return {
      cancel: () => {
        this.alarms = this.alarms.filter((other) => other !== alarm);
      },
    };
  }

  get pending(): number {
    return this.alarms.length;
  }

  /** Lets time pass; alarms go off at their time, in order. */
  advance(ticks: number): void {
    const end = this.time + ticks;
    for (;;) {
      const due = this.alarms.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
      if (due === undefined) break;
      this.alarms = this.alarms.filter((other) => other !== due);
      this.time = Math.max(this.time, due.at);
      due.callback();
    }
    this.time = end;
  }
}
