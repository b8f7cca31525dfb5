/** The pair of 8259A interrupt controllers of a PC (Intel 8259A data sheet, order number 231468). */

import type { Device, InterruptLine } from './device.js';

/** Pin of the master that the slave's output is connected to. */
const CASCADE_PIN = 2;
/** Pins of each chip whose edge/level register (ELCR) bit is fixed to edge: timer, keyboard, cascade; RTC, FPU error. */
const ELCR_WRITABLE = [0xf8, 0xde] as const;

/** One 8259A. Pin numbers are 0 … 7. */
class Controller {
  request = 0;
  inService = 0;
  mask = 0;
  edgeLevel = 0;
  vectorBase = 0;
  private lines = 0;
  private lowestPriority = 7;
  private nextInitializationWord = 0;
  private needsInitializationWord4 = false;
  private single = false;
  private autoEndOfInterrupt = false;
  private rotateOnAutoEnd = false;
  private specialMask = false;
  private specialFullyNested = false;
  private readInService = false;
  private poll = false;
  private readonly isMaster: boolean;

  constructor(isMaster: boolean) {
    this.isMaster = isMaster;
  }

  setPin(pin: number, level: boolean): void {
    const bit = 1 << pin;
    if (this.edgeLevel & bit) this.request = level ? this.request | bit : this.request & ~bit;
    else if (!level) this.request &= ~bit;
    else if (!(this.lines & bit)) this.request |= bit;
    this.lines = level ? this.lines | bit : this.lines & ~bit;
  }

  /** Pin whose request is to be served now, or -1 (Priority Resolver; Fully Nested Mode; Special Mask Mode). */
  pendingPin(): number {
    const requested = this.highestPriority(this.request & ~this.mask);
    if (requested < 0) return -1;
    let blocking = this.specialMask ? this.inService & ~this.mask : this.inService;
    // Special fully nested mode: a further request from a slave that is being served comes through.
    if (this.specialFullyNested && this.isMaster) blocking &= ~(1 << CASCADE_PIN);
    const served = this.highestPriority(blocking);
    return served < 0 || this.priorityOf(requested) < this.priorityOf(served) ? requested : -1;
  }

  /** Interrupt acknowledge cycle: the pin that is being served now, or 7 when the request went away (spurious). */
  acknowledge(): number {
    const pin = this.pendingPin();
    if (pin < 0) return 7;
    const bit = 1 << pin;
    if (!(this.edgeLevel & bit)) this.request &= ~bit;
    if (!this.autoEndOfInterrupt) this.inService |= bit;
    else if (this.rotateOnAutoEnd) this.lowestPriority = pin;
    return pin;
  }

  writeCommand(value: number): void {
    if (value & 0x10) this.initialize(value);
    else if (value & 0x08) this.operationCommandWord3(value);
    else this.operationCommandWord2(value);
  }

  writeData(value: number): void {
    switch (this.nextInitializationWord) {
      case 2:
        this.vectorBase = value & 0xf8;
        this.nextInitializationWord = this.single ? (this.needsInitializationWord4 ? 4 : 0) : 3;
        return;
      case 3:
        // Which pins are cascaded is fixed by the board.
        this.nextInitializationWord = this.needsInitializationWord4 ? 4 : 0;
        return;
      case 4:
        this.autoEndOfInterrupt = (value & 0x02) !== 0;
        this.specialFullyNested = (value & 0x10) !== 0;
        this.nextInitializationWord = 0;
        return;
      default:
        this.mask = value;
    }
  }

  readCommand(): number {
    if (!this.poll) return this.peekCommand();
    const pending = this.pendingPin() >= 0;
    const pin = pending ? this.acknowledge() : 0;
    this.poll = false;
    return pending ? 0x80 | pin : 0;
  }

  peekCommand(): number {
    if (this.poll) {
      const pin = this.pendingPin();
      return pin >= 0 ? 0x80 | pin : 0;
    }
    return this.readInService ? this.inService : this.request;
  }

  private initialize(value: number): void {
    this.needsInitializationWord4 = (value & 0x01) !== 0;
    this.single = (value & 0x02) !== 0;
    this.nextInitializationWord = 2;
    // Initialization Command Word 1: edge sense circuit, mask register and mode flags are reset.
    this.request = 0;
    this.inService = 0;
    this.mask = 0;
    this.lowestPriority = 7;
    this.autoEndOfInterrupt = false;
    this.rotateOnAutoEnd = false;
    this.specialMask = false;
    this.specialFullyNested = false;
    this.readInService = false;
    this.poll = false;
    // A level-triggered pin asks again at once.
    this.request = this.lines & this.edgeLevel;
  }

  private operationCommandWord2(value: number): void {
    const level = value & 7;
    const command = value >> 5;
    switch (command) {
      case 0: // rotate in automatic EOI mode: clear
      case 4: // … set
        this.rotateOnAutoEnd = command === 4;
        return;
      case 1: // non-specific EOI
      case 5: {
        // rotate on non-specific EOI
        const pin = this.highestPriority(this.specialMask ? this.inService & ~this.mask : this.inService);
        if (pin < 0) return;
        this.inService &= ~(1 << pin);
        if (command === 5) this.lowestPriority = pin;
        return;
      }
      case 3: // specific EOI
        this.inService &= ~(1 << level);
        return;
      case 7: // rotate on specific EOI
        this.inService &= ~(1 << level);
        this.lowestPriority = level;
        return;
      case 6: // set priority
        this.lowestPriority = level;
    }
  }

  private operationCommandWord3(value: number): void {
    if (value & 0x40) this.specialMask = (value & 0x20) !== 0;
    if (value & 0x04) this.poll = true;
    else if (value & 0x02) this.readInService = (value & 0x01) !== 0;
  }

  /** 0 is the highest priority. */
  private priorityOf(pin: number): number {
    return (pin - this.lowestPriority - 1) & 7;
  }

  private highestPriority(pins: number): number {
    if (pins === 0) return -1;
    for (let step = 1; step <= 8; step++) {
      const pin = (this.lowestPriority + step) & 7;
      if (pins & (1 << pin)) return pin;
    }
    return -1;
  }
}

export class ProgrammableInterruptController {
  private readonly master = new Controller(true);
  private readonly slave = new Controller(false);
  private readonly output: InterruptLine;

  /** Command and data port of each chip (offsets 0 and 1), and its edge/level register (offset 0). */
  readonly masterPorts: Device = this.ports(this.master);
  readonly slavePorts: Device = this.ports(this.slave);
  readonly masterEdgeLevel: Device = this.edgeLevelPort(this.master, ELCR_WRITABLE[0]);
  readonly slaveEdgeLevel: Device = this.edgeLevelPort(this.slave, ELCR_WRITABLE[1]);

  /** @param output INTR of the master, towards the processor or a local APIC's LINT0 */
  constructor(output: InterruptLine) {
    this.output = output;
  }

  /** @param pin 0 … 15: IRQ0 … IRQ15; 2 is the cascade and can't be driven */
  setPin(pin: number, level: boolean): void {
    if (pin === CASCADE_PIN) return;
    if (pin < 8) this.master.setPin(pin, level);
    else this.slave.setPin(pin - 8, level);
    this.update();
  }

  /** True while INTR is asserted. */
  get interruptPending(): boolean {
    return this.master.pendingPin() >= 0;
  }

  /** Interrupt acknowledge: the vector; a spurious one (IR7 or IR15) when the request went away. */
  acknowledge(): number {
    const pin = this.master.acknowledge();
    const vector =
      pin === CASCADE_PIN ? this.slave.vectorBase + this.slave.acknowledge() : this.master.vectorBase + pin;
    this.update();
    return vector;
  }

  private update(): void {
    this.master.setPin(CASCADE_PIN, this.slave.pendingPin() >= 0);
    this.output.set(this.interruptPending);
  }

  private ports(controller: Controller): Device {
    return {
      read: (offset) => {
        if (offset !== 0) return controller.mask;
        const value = controller.readCommand();
        this.update();
        return value;
      },
      peek: (offset) => (offset === 0 ? controller.peekCommand() : controller.mask),
      write: (offset, _size, value) => {
        if (offset === 0) controller.writeCommand(value & 0xff);
        else controller.writeData(value & 0xff);
        this.update();
      },
    };
  }

  /** Edge/level control register (82371AB PIIX4 data sheet, 4.2.7 ELCR1, ELCR2): 1 = level triggered. */
  private edgeLevelPort(controller: Controller, writable: number): Device {
    const read = () => controller.edgeLevel;
    return {
      read,
      peek: read,
      write: (_offset, _size, value) => {
        controller.edgeLevel = value & writable;
        this.update();
      },
    };
  }
}
