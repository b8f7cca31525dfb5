/** The clock behind a vCPU's timers: virtual time of the CPU that the vCPU is on, with which its timers move. */

import { operation } from '../host/cost/operations.js';
import type { TimedEvent } from '../host/event-queue.js';
import type { PhysicalCpu } from '../host/physical-cpu.js';

const TIMER_PROGRAMMING = operation('timer programming');

/** A timer that was started and has neither expired nor been cancelled. */
class VcpuTimer {
  private readonly callback: () => void;
  private readonly timers: Set<VcpuTimer>;
  private readonly at: number;
  private event: TimedEvent | undefined;

  constructor(at: number, callback: () => void, timers: Set<VcpuTimer>) {
    this.at = at;
    this.callback = callback;
    this.timers = timers;
    timers.add(this);
  }

  startOn(cpu: PhysicalCpu): void {
    this.event?.cancel();
    this.event = cpu.events.schedule(this.at, () => {
      this.timers.delete(this);
      // hrtimer_interrupt programs the next event.
      cpu.charge(TIMER_PROGRAMMING);
      this.callback();
    });
  }

  cancel(): void {
    this.event?.cancel();
    this.timers.delete(this);
  }
}

export class VcpuClock {
  readonly ticksPerSecond: number;
  private readonly vcpu: { readonly cpu: PhysicalCpu };
  private readonly timers = new Set<VcpuTimer>();

  constructor(vcpu: { readonly cpu: PhysicalCpu }, clockInHertz: number) {
    this.vcpu = vcpu;
    this.ticksPerSecond = clockInHertz;
  }

  now(): number {
    return this.vcpu.cpu.now;
  }

  /** Calls `callback` in interrupt context of the CPU that the vCPU is on. */
  schedule(at: number, callback: () => void): { cancel(): void } {
    const timer = new VcpuTimer(at, callback, this.timers);
    timer.startOn(this.vcpu.cpu);
    return timer;
  }

  /** Moves all timers to the CPU that the vCPU is on now (__kvm_migrate_apic_timer). Returns how many there are. */
  migrate(): number {
    for (const timer of this.timers) timer.startOn(this.vcpu.cpu);
    return this.timers.size;
  }
}
