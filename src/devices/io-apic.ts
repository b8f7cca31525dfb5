/** The I/O APIC (Intel 82093AA data sheet, order number 290566). */

import type { Device } from './device.js';
import { type InterruptMessage, SHORTHAND } from './interrupt-message.js';

export const IO_APIC_PINS = 24;

/** Memory-mapped registers (3.1): the index, the window to the indexed register, and the later EOI register. */
const OFFSET = { REGISTER_SELECT: 0x00, WINDOW: 0x10, EOI: 0x40 } as const;
/** Indexed registers (3.2). */
const INDEX = { ID: 0x00, VERSION: 0x01, ARBITRATION: 0x02, REDIRECTION_TABLE: 0x10 } as const;
const VERSION = 0x11 | ((IO_APIC_PINS - 1) << 16);

/** Low half of a redirection entry (3.2.4). */
const ENTRY = {
  VECTOR: 0xff,
  LOGICAL: 1 << 11,
  DELIVERY_STATUS: 1 << 12,
  REMOTE_IRR: 1 << 14,
  LEVEL: 1 << 15,
  MASK: 1 << 16,
} as const;
const ENTRY_WRITABLE = 0x1ffff & ~(ENTRY.DELIVERY_STATUS | ENTRY.REMOTE_IRR);

/**
 * Pins take "asserted or not": the polarity bit is kept but not applied, as if it always fitted the wiring.
 * An edge on a masked pin is lost, as the data sheet says of edge-sensitive interrupts (3.2.4, Interrupt Mask).
 */
export class IoApic implements Device {
  private registerSelect = 0;
  private id = 0;
  private lines = 0;
  private readonly low = new Uint32Array(IO_APIC_PINS).fill(ENTRY.MASK);
  private readonly high = new Uint32Array(IO_APIC_PINS);
  private readonly deliver: (message: InterruptMessage) => boolean;

  /** @param deliver hands a message to the local APICs; false when none accepted it */
  constructor(deliver: (message: InterruptMessage) => boolean) {
    this.deliver = deliver;
  }

  /**
   * @param pin 0 … 23
   * @returns true when an interrupt was delivered, false when the pin is masked or the interrupt was merged with
   *   one that is still pending.
   */
  setPin(pin: number, level: boolean): boolean {
    const bit = 1 << pin;
    const before = this.lines;
    this.lines = level ? before | bit : before & ~bit;
    if (!level) return false;
    if (this.low[pin]! & ENTRY.LEVEL) return this.serviceLevel(pin);
    return (before & bit) === 0 && this.send(pin);
  }

  /** End of interrupt from a local APIC for a level-triggered vector: a line that is still asserted interrupts again. */
  endOfInterrupt(vector: number): void {
    for (let pin = 0; pin < IO_APIC_PINS; pin++) {
      const entry = this.low[pin]!;
      if (!(entry & ENTRY.LEVEL) || (entry & ENTRY.VECTOR) !== vector || !(entry & ENTRY.REMOTE_IRR))
        continue;
      this.low[pin] = entry & ~ENTRY.REMOTE_IRR;
      this.serviceLevel(pin);
    }
  }

  /** A pin is set to this vector. */
  handles(vector: number): boolean {
    return this.low.some((entry) => (entry & ENTRY.VECTOR) === vector);
  }

  read(offset: number, size: number): number {
    return this.peek(offset, size);
  }

  peek(offset: number, size: number): number {
    const value =
      offset === OFFSET.REGISTER_SELECT
        ? this.registerSelect
        : offset === OFFSET.WINDOW
          ? this.readIndexed(this.registerSelect)
          : 0;
    return size >= 4 ? value : value & (2 ** (8 * size) - 1);
  }

  write(offset: number, _size: number, value: number): void {
    if (offset === OFFSET.REGISTER_SELECT) this.registerSelect = value & 0xff;
    else if (offset === OFFSET.WINDOW) this.writeIndexed(this.registerSelect, value >>> 0);
    else if (offset === OFFSET.EOI) this.endOfInterrupt(value & 0xff);
  }

  private readIndexed(index: number): number {
    if (index === INDEX.ID || index === INDEX.ARBITRATION) return this.id << 24;
    if (index === INDEX.VERSION) return VERSION;
    const pin = (index - INDEX.REDIRECTION_TABLE) >> 1;
    if (pin < 0 || pin >= IO_APIC_PINS) return 0;
    return (index & 1 ? this.high[pin] : this.low[pin])!;
  }

  private writeIndexed(index: number, value: number): void {
    if (index === INDEX.ID) {
      this.id = (value >>> 24) & 0x0f;
      return;
    }
    const pin = (index - INDEX.REDIRECTION_TABLE) >> 1;
    if (pin < 0 || pin >= IO_APIC_PINS) return;
    if (index & 1) {
      this.high[pin] = value & 0xff000000;
      return;
    }
    const readOnly = this.low[pin]! & (ENTRY.DELIVERY_STATUS | ENTRY.REMOTE_IRR);
    this.low[pin] = (value & ENTRY_WRITABLE) | readOnly;
    // Switching a pin to edge clears remote IRR: the way in which software without an EOI register recovers.
    if (!(value & ENTRY.LEVEL)) this.low[pin] &= ~ENTRY.REMOTE_IRR;
    else this.serviceLevel(pin);
  }

  private serviceLevel(pin: number): boolean {
    const entry = this.low[pin]!;
    if (!(this.lines & (1 << pin)) || entry & (ENTRY.REMOTE_IRR | ENTRY.MASK)) return false;
    // Set before sending: the interrupt may be taken and ended while the message is on its way.
    this.low[pin] = entry | ENTRY.REMOTE_IRR;
    const accepted = this.send(pin);
    if (!accepted) this.low[pin] &= ~ENTRY.REMOTE_IRR;
    return accepted;
  }

  private send(pin: number): boolean {
    const entry = this.low[pin]!;
    if (entry & ENTRY.MASK) return false;
    return this.deliver({
      vector: entry & ENTRY.VECTOR,
      deliveryMode: (entry >> 8) & 7,
      destination: this.high[pin]! >>> 24,
      logicalDestination: (entry & ENTRY.LOGICAL) !== 0,
      shorthand: SHORTHAND.NONE,
      levelTriggered: (entry & ENTRY.LEVEL) !== 0,
      assert: true,
    });
  }
}
