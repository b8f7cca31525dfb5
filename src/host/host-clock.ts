/** Virtual time as a clock that can call back, for devices in the kernel and in user space: one tick per cycle. */

import type { PhysicalCpu } from './physical-cpu.js';

export class HostClock {
  readonly ticksPerSecond: number;
  private readonly currentCpu: () => PhysicalCpu;
  private latest = 0;

  /** @param currentCpu the CPU that runs the device's code, and takes the timer interrupts that it asks for */
  constructor(currentCpu: () => PhysicalCpu, clockInHertz: number) {
    this.currentCpu = currentCpu;
    this.ticksPerSecond = clockInHertz;
  }

  /** Never goes back, though CPUs that follow each other can be a little apart. */
  now(): number {
    this.latest = Math.max(this.latest, this.currentCpu().now);
    return this.latest;
  }

  /** Calls `callback` in interrupt context, at the first moment after `at` when the host takes interrupts. */
  schedule(at: number, callback: () => void): { cancel(): void } {
    return this.currentCpu().events.schedule(at, callback);
  }
}
