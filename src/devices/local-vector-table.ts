/** The local vector table of a local APIC (SDM Vol. 3A, 11.5.1 Local Vector Table). */

import { DELIVERY_MODE } from './interrupt-message.js';
import { APIC_REGISTER, LVT, LVT_WRITABLE } from './local-apic-registers.js';
import { TIMER_MODE } from './local-apic-timer.js';

export class LocalVectorTable {
  private readonly entries = new Map<number, number>();
  private readonly tscDeadline: boolean;

  /** @param tscDeadline the timer has TSC-deadline mode */
  constructor(tscDeadline: boolean) {
    this.tscDeadline = tscDeadline;
  }

  /** @param virtualWire LINT0 passes the 8259s' interrupts on, as firmware sets it up on the boot processor */
  reset(virtualWire: boolean): void {
    for (const register of LVT_WRITABLE.keys()) this.entries.set(register, LVT.MASK);
    if (virtualWire) this.entries.set(APIC_REGISTER.LVT_LINT0, DELIVERY_MODE.EXTINT << 8);
  }

  /** Undefined when there is no entry at this offset. */
  read(register: number): number | undefined {
    return this.entries.get(register);
  }

  /** Writes the bits that can be written. @returns false when there is no entry at this offset */
  write(register: number, value: number, masked: boolean): boolean {
    const writable = LVT_WRITABLE.get(register);
    if (writable === undefined) return false;
    let entry = value & writable;
    if (masked) entry |= LVT.MASK;
    if (
      register === APIC_REGISTER.LVT_TIMER &&
      ((entry >> 17) & 3) === TIMER_MODE.TSC_DEADLINE &&
      !this.tscDeadline
    )
      entry &= ~(3 << 17);
    this.entries.set(register, entry);
    return true;
  }

  maskAll(): void {
    for (const [register, entry] of this.entries) this.entries.set(register, entry | LVT.MASK);
  }

  isMasked(register: number): boolean {
    return (this.entries.get(register)! & LVT.MASK) !== 0;
  }

  deliveryMode(register: number): number {
    return (this.entries.get(register)! >> 8) & 7;
  }

  /** One of `TIMER_MODE`. */
  get timerMode(): number {
    return (this.entries.get(APIC_REGISTER.LVT_TIMER)! >> 17) & 3;
  }
}
