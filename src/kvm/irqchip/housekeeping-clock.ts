/** Timers of guests on a CPU of the host that is kept for such work (housekeeping_cpumask of HK_FLAG_TIMER). */

import type { Alarm, AlarmClock } from '../../devices/device.js';
import { operation } from '../../host/cost/operations.js';
import type { Host } from '../../host/host.js';
import type { HostCpu } from '../../host/host-cpu.js';

const TIMER_PROGRAMMING = operation('timer programming');

export class HousekeepingClock implements AlarmClock {
  readonly ticksPerSecond: number;
  private readonly host: Host;
  private readonly cpu: HostCpu;

  /** The last CPU of the host. */
  constructor(host: Host) {
    this.host = host;
    this.cpu = host.cpus.at(-1)!;
    this.ticksPerSecond = host.costModel.clockInHertz;
  }

  now(): number {
    return this.host.scheduler.executingCpu.cpu.now;
  }

  schedule(at: number, callback: () => void): Alarm {
    const { cpu } = this.cpu;
    return this.host.scheduler.interruptAt(this.cpu, at, () => {
      // hrtimer_interrupt programs the next event.
      cpu.charge(TIMER_PROGRAMMING);
      callback();
    });
  }
}
