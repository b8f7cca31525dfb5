/** A 16550A serial port (National Semiconductor PC16550D data sheet, section 8.0 Registers). */

import { type Device, type InterruptLine, UNCONNECTED_LINE } from './device.js';

/** Interrupt enable register (8.6). */
const IER = { RECEIVED_DATA: 1, TRANSMITTER_EMPTY: 2, LINE_STATUS: 4, MODEM_STATUS: 8 } as const;
/** Interrupt identification (8.5, table IV), priority from high to low. */
const IIR = {
  NONE: 1,
  LINE_STATUS: 6,
  RECEIVED_DATA: 4,
  TIMEOUT: 12,
  TRANSMITTER_EMPTY: 2,
  MODEM_STATUS: 0,
} as const;
const IIR_FIFOS_ENABLED = 0xc0;
/** FIFO control register (8.4). */
const FCR = { ENABLE: 1, CLEAR_RECEIVER: 2, CLEAR_TRANSMITTER: 4 } as const;
const FCR_TRIGGER_LEVELS = [1, 4, 8, 14] as const;
const LCR_DIVISOR_LATCH_ACCESS = 0x80;
/** Modem control register (8.7). */
const MCR = { DTR: 1, RTS: 2, OUT1: 4, OUT2: 8, LOOPBACK: 16 } as const;
/** Line status register (8.3). */
const LSR = { DATA_READY: 1, OVERRUN: 2, TRANSMITTER_HOLDING_EMPTY: 0x20, TRANSMITTER_EMPTY: 0x40 } as const;
/** Line status bits that raise the line-status interrupt and are cleared by reading the register. */
const LSR_ERRORS = 0x1e;
/** Modem status register (8.8): clear to send, data set ready, carrier detect as a connected peer drives them. */
const MSR_CONNECTED = 0xb0;

const FIFO_SIZE = 16;

export interface Serial16550Options {
  /** Called with every byte sent, in order. */
  readonly output: (byte: number) => void;
  readonly interruptLine?: InterruptLine;
}

/**
 * Eight byte-wide registers. Sending takes no time: the transmitter is empty again when the write returns, so LSR
 * shows 0x60 whenever nothing was received. Accesses wider than a byte concern the register at the offset only.
 */
export class Serial16550 implements Device {
  private readonly output: (byte: number) => void;
  private readonly line: InterruptLine;
  private lineLevel = false;
  /** Bytes received; the holding register is a FIFO of length 1. */
  private readonly received: number[] = [];
  /** Bytes that wait outside for room in the receiver. */
  private readonly waiting: number[] = [];
  private interruptEnable = 0;
  private fifoControl = 0;
  private lineControl = 0;
  private modemControl = 0;
  private lineErrors = 0;
  private modemStatusDelta = 0;
  private scratch = 0;
  private divisor = 0x000c;
  private transmitterInterrupt = false;

  constructor(options: Serial16550Options) {
    this.output = options.output;
    this.line = options.interruptLine ?? UNCONNECTED_LINE;
  }

  /** Bytes arriving from outside; they enter the receiver as it has room, nothing is lost. */
  receive(bytes: Iterable<number>): void {
    for (const byte of bytes) this.waiting.push(byte & 0xff);
    this.refill();
    this.updateLine();
  }

  read(offset: number, _size: number): number {
    const value = this.peek(offset, 1);
    switch (offset) {
      case 0:
        if (!this.divisorLatchAccess) {
          this.received.shift();
          this.refill();
        }
        break;
      case 2:
        if ((value & 0x0f) === IIR.TRANSMITTER_EMPTY) this.transmitterInterrupt = false;
        break;
      case 5:
        this.lineErrors = 0;
        break;
      case 6:
        this.modemStatusDelta = 0;
        break;
    }
    this.updateLine();
    return value;
  }

  peek(offset: number, _size: number): number {
    switch (offset) {
      case 0:
        return this.divisorLatchAccess ? this.divisor & 0xff : (this.received[0] ?? 0);
      case 1:
        return this.divisorLatchAccess ? this.divisor >> 8 : this.interruptEnable;
      case 2:
        return this.interruptIdentification | (this.fifosEnabled ? IIR_FIFOS_ENABLED : 0);
      case 3:
        return this.lineControl;
      case 4:
        return this.modemControl;
      case 5:
        return this.lineStatus;
      case 6:
        return this.modemInputs | this.modemStatusDelta;
      default:
        return this.scratch;
    }
  }

  write(offset: number, _size: number, value: number): void {
    const byte = value & 0xff;
    switch (offset) {
      case 0:
        if (this.divisorLatchAccess) this.divisor = (this.divisor & 0xff00) | byte;
        else this.transmit(byte);
        break;
      case 1:
        if (this.divisorLatchAccess) this.divisor = (this.divisor & 0x00ff) | (byte << 8);
        else {
          // Enabling the transmitter interrupt while the holding register is empty raises it at once (8.6).
          if (byte & ~this.interruptEnable & IER.TRANSMITTER_EMPTY) this.transmitterInterrupt = true;
          this.interruptEnable = byte & 0x0f;
        }
        break;
      case 2:
        this.setFifoControl(byte);
        break;
      case 3:
        this.lineControl = byte;
        break;
      case 4:
        this.setModemControl(byte & 0x1f);
        break;
      case 7:
        this.scratch = byte;
        break;
      // 5 and 6 are read only: the data sheet reserves writes to them for factory testing.
    }
    this.updateLine();
  }

  private get divisorLatchAccess(): boolean {
    return (this.lineControl & LCR_DIVISOR_LATCH_ACCESS) !== 0;
  }
  private get fifosEnabled(): boolean {
    return (this.fifoControl & FCR.ENABLE) !== 0;
  }
  private get loopback(): boolean {
    return (this.modemControl & MCR.LOOPBACK) !== 0;
  }
  private get capacity(): number {
    return this.fifosEnabled ? FIFO_SIZE : 1;
  }

  private get lineStatus(): number {
    const ready = this.received.length > 0 ? LSR.DATA_READY : 0;
    return ready | this.lineErrors | LSR.TRANSMITTER_HOLDING_EMPTY | LSR.TRANSMITTER_EMPTY;
  }

  /** In loopback the modem control outputs feed the modem status inputs (8.7): RTS→CTS, DTR→DSR, OUT1→RI, OUT2→DCD. */
  private get modemInputs(): number {
    if (!this.loopback) return MSR_CONNECTED;
    const control = this.modemControl;
    return (
      (control & MCR.RTS ? 0x10 : 0) |
      (control & MCR.DTR ? 0x20 : 0) |
      (control & MCR.OUT1 ? 0x40 : 0) |
      (control & MCR.OUT2 ? 0x80 : 0)
    );
  }

  private get interruptIdentification(): number {
    const enabled = this.interruptEnable;
    if (enabled & IER.LINE_STATUS && this.lineErrors & LSR_ERRORS) return IIR.LINE_STATUS;
    if (enabled & IER.RECEIVED_DATA && this.received.length > 0) {
      const trigger = this.fifosEnabled ? FCR_TRIGGER_LEVELS[this.fifoControl >> 6]! : 1;
      // Below the trigger level the character timeout of 8.11 takes over; virtual characters arrive at once.
      return this.received.length >= trigger ? IIR.RECEIVED_DATA : IIR.TIMEOUT;
    }
    if (enabled & IER.TRANSMITTER_EMPTY && this.transmitterInterrupt) return IIR.TRANSMITTER_EMPTY;
    if (enabled & IER.MODEM_STATUS && this.modemStatusDelta) return IIR.MODEM_STATUS;
    return IIR.NONE;
  }

  private transmit(byte: number): void {
    if (this.loopback) {
      if (this.received.length < this.capacity) this.received.push(byte);
      else {
        // Without FIFOs the new character replaces the old one; with FIFOs it is the new one that is lost (8.3).
        if (!this.fifosEnabled) this.received[0] = byte;
        this.lineErrors |= LSR.OVERRUN;
      }
    } else this.output(byte);
    this.transmitterInterrupt = true;
  }

  private setFifoControl(byte: number): void {
    // Turning the FIFOs on or off empties them (8.4).
    const toggled = (byte ^ this.fifoControl) & FCR.ENABLE;
    this.fifoControl = byte & FCR.ENABLE ? byte & (0xc0 | FCR.ENABLE) : 0;
    if (toggled || byte & FCR.CLEAR_RECEIVER) this.received.length = 0;
    this.refill();
  }

  private setModemControl(control: number): void {
    const before = this.modemInputs;
    this.modemControl = control;
    const changed = before ^ this.modemInputs;
    // Delta bits: CTS, DSR and DCD on any change, ring indicator on its trailing edge only (8.8).
    this.modemStatusDelta |= (changed >> 4) & 0x0b;
    if (changed & before & 0x40) this.modemStatusDelta |= 0x04;
    this.refill();
  }

  private refill(): void {
    while (!this.loopback && this.waiting.length > 0 && this.received.length < this.capacity)
      this.received.push(this.waiting.shift()!);
  }

  /** On a PC the interrupt output is gated by OUT2; loopback forces the OUT2 pin inactive (8.7). */
  private updateLine(): void {
    const gated = (this.modemControl & MCR.OUT2) !== 0 && !this.loopback;
    const level = gated && this.interruptIdentification !== IIR.NONE;
    if (level === this.lineLevel) return;
    this.lineLevel = level;
    this.line.set(level);
  }
}
