/**
 * Locks of devices in the kernel, to which all virtual CPUs of a VM come. Taking and releasing one is part of what an
 * access costs; charged here is what others add to that: waiting for them, and the way of the lock's cache line.
 *
 * CPUs are kept in order of virtual time at the beginning of an exit's handling, and handlers take their locks at
 * different times after that. Who comes first in virtual time may thus be simulated second; it gets the lock in the gap
 * that others left.
 */

import { operation } from '../host/cost/operations.js';
import type { HostCpu } from '../host/host-cpu.js';
import { transferBetween } from '../host/memory-system.js';

const WAIT_FOR_LOCK = operation('wait for a lock');

/** Cycles for which the lock is held where nothing is charged meanwhile; the code is part of the access. */
const CRITICAL_SECTION = 20;

/** What devices know of their locks. May be taken again by who has it. */
export interface Lock {
  acquire(): void;
  release(): void;
}

interface Section {
  readonly host: HostCpu;
  /** Virtual time in cycles, from when the cache line is on its way. */
  readonly start: number;
  end: number;
}

export class DeviceLock implements Lock {
  private readonly executing: () => HostCpu;
  /** In order of time: those before which somebody may still come, and one more, which tells where the line is then. */
  private readonly sections: Section[] = [];
  private current: Section | undefined;
  private depth = 0;
  /** Cycles that the last section took: as much room is looked for. */
  private usualLength = CRITICAL_SECTION;

  /** @param executing the CPU whose code runs */
  constructor(executing: () => HostCpu) {
    this.executing = executing;
  }

  acquire(): void {
    if (this.depth++ > 0) return;
    const host = this.executing();
    const { cpu } = host;
    const place = this.placeFor(host);
    const previous = this.sections[place - 1];
    const comesFromOther = previous !== undefined && previous.host !== host;
    if (comesFromOther) cpu.waitUntil(previous.end, WAIT_FOR_LOCK);
    const start = cpu.now;
    if (comesFromOther) cpu.charge(transferBetween(previous.host, host));
    this.current = { host, start, end: cpu.now + CRITICAL_SECTION };
    this.sections.splice(place, 0, this.current);
  }

  release(): void {
    if (--this.depth > 0) return;
    const { current } = this;
    if (current === undefined) throw new Error('a lock was released that nobody had');
    const { cpu } = current.host;
    current.end = Math.max(current.end, cpu.now);
    this.usualLength = current.end - current.start;
    this.current = undefined;
    // Others may come at the time of the slowest, this CPU from now on.
    this.forgetBefore(Math.min(cpu.orderLimit, cpu.now));
  }

  /** Index among the sections of the first gap, from now on, in which a section of this CPU has room. */
  private placeFor(host: HostCpu): number {
    const { sections } = this;
    const { cpu } = host;
    const { now } = cpu;
    let place = sections.length;
    while (place > 0 && sections[place - 1]!.start > now) place--;
    for (; place < sections.length; place++) {
      const previous = sections[place - 1];
      let from = now;
      if (previous !== undefined && previous.host !== host)
        from = Math.max(now, previous.end) + cpu.costOf(transferBetween(previous.host, host));
      if (from + this.usualLength <= sections[place]!.start) break;
    }
    return place;
  }

  private forgetBefore(time: number): void {
    const { sections } = this;
    let past = 0;
    while (past + 1 < sections.length && sections[past + 1]!.start <= time) past++;
    if (past > 0) sections.splice(0, past);
  }
}
