/** Virtual time as a clock that can call back, for devices in the kernel and in user space: one tick per cycle. */

import type { PhysicalCpu } from './physical-cpu.js';

export class HostClock {
  readonly ticksPerSecond: number;
  private readonly cpu: PhysicalCpu;

  /** @param cpu the CPU whose time counts, and which takes the timer interrupts */
  constructor(cpu: PhysicalCpu, clockInHertz: number) {
    this.cpu = cpu;
    this.ticksPerSecond = clockInHertz;
  }

  now(): number {
    return this.cpu.now;
  }

  /** Calls `callback` in interrupt context, at the first moment after `at` when the host takes interrupts. */
  schedule(at: number, callback: () => void): { cancel(): void } {
    return this.cpu.events.schedule(at, callback);
  }
}
