/**
 * What runs the TSC-deadline mode of a vCPU's local-APIC timer: a timer of the host, or the VMX-preemption timer while
 * the guest runs (start_hv_timer, start_sw_tscdeadline, kvm_lapic_switch_to_sw_timer).
 */

import type { Alarm, AlarmClock } from '../../devices/device.js';
import { type CostSink, operation } from '../../host/cost/operations.js';

const TIMER_PROGRAMMING = operation('timer programming');

/** The VMX-preemption timer has 32 bits, of 32 cycles each (vmx_set_hv_timer). */
const HARDWARE_RANGE = 2 ** 37;
const NOTHING_TO_CANCEL: Alarm = { cancel: () => {} };

class Deadline implements Alarm {
  readonly at: number;
  readonly callback: () => void;
  hostTimer: Alarm | undefined;
  private readonly owner: DeadlineTimer;

  constructor(at: number, callback: () => void, owner: DeadlineTimer) {
    this.at = at;
    this.callback = callback;
    this.owner = owner;
  }

  cancel(): void {
    this.hostTimer?.cancel();
    this.owner.forget(this);
  }
}

export class DeadlineTimer implements AlarmClock {
  readonly ticksPerSecond: number;
  /** The VMX-preemption timer may be used. */
  readonly inHardware: boolean;
  private readonly clock: AlarmClock;
  private readonly costs: CostSink;
  private armed: Deadline | undefined;

  /** @param clock time of the CPU that the vCPU is on; timers on it take interrupts there */
  constructor(clock: AlarmClock, costs: CostSink, inHardware: boolean) {
    this.clock = clock;
    this.costs = costs;
    this.inHardware = inHardware;
    this.ticksPerSecond = clock.ticksPerSecond;
  }

  now(): number {
    return this.clock.now();
  }

  /** A deadline that is past has expired at once. There is one deadline at a time. */
  schedule(at: number, callback: () => void): Alarm {
    if (at <= this.now()) {
      callback();
      return NOTHING_TO_CANCEL;
    }
    const deadline = new Deadline(at, callback, this);
    this.armed = deadline;
    if (!this.inHardware || at - this.now() >= HARDWARE_RANGE) this.startHostTimer(deadline);
    return deadline;
  }

  forget(deadline: Deadline): void {
    if (this.armed === deadline) this.armed = undefined;
  }

  /** Time at which the VMX-preemption timer has to end guest code; infinite while it is not used. */
  get hardwareDeadline(): number {
    const { armed } = this;
    return armed === undefined || armed.hostTimer !== undefined ? Number.POSITIVE_INFINITY : armed.at;
  }

  /** The VMX-preemption timer has expired (kvm_lapic_expired_hv_timer). */
  expire(): void {
    const { armed } = this;
    if (armed === undefined || armed.hostTimer !== undefined) return;
    this.armed = undefined;
    armed.callback();
  }

  /** The vCPU is about to sleep: only a timer of the host can wake it (kvm_lapic_switch_to_sw_timer). */
  switchToHostTimer(): void {
    const { armed } = this;
    if (armed === undefined || armed.hostTimer !== undefined) return;
    if (armed.at > this.now()) this.startHostTimer(armed);
    else this.expire();
  }

  /** The vCPU goes on (kvm_lapic_switch_to_hv_timer). */
  switchToHardware(): void {
    const { armed } = this;
    if (!this.inHardware || armed?.hostTimer === undefined || armed.at - this.now() >= HARDWARE_RANGE) return;
    this.costs.charge(TIMER_PROGRAMMING);
    armed.hostTimer.cancel();
    armed.hostTimer = undefined;
  }

  private startHostTimer(deadline: Deadline): void {
    this.costs.charge(TIMER_PROGRAMMING);
    deadline.hostTimer = this.clock.schedule(deadline.at, () => {
      this.forget(deadline);
      deadline.callback();
    });
  }
}
