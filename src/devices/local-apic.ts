/**
 * The local APIC (SDM Vol. 3A, Chapter 11 Advanced Programmable Interrupt Controller): one register file, which the
 * xAPIC face (memory-mapped, `LocalApic` as a `Device`) and the x2APIC face (`x2apic-face.ts`) both show.
 */

import type { Device } from './device.js';
import {
  carriesVector,
  decodeInterruptCommand,
  ICR_WRITABLE,
  selfInterruptCommand,
} from './interrupt-command.js';
import { DELIVERY_MODE, type InterruptMessage, SHORTHAND } from './interrupt-message.js';
import { InterruptPriority } from './interrupt-priority.js';
import type { LocalApicMode, LocalApicOptions } from './local-apic-options.js';
import { APIC_ERROR, LVT, APIC_REGISTER as REGISTER, SPURIOUS } from './local-apic-registers.js';
import { LocalApicTimer } from './local-apic-timer.js';
import { LocalVectorTable } from './local-vector-table.js';

const MAXIMUM_LVT_ENTRY = 5;
/** Vectors that can't be sent or received through the APIC (11.5.2 Valid Interrupt Vectors). */
const FIRST_LEGAL_VECTOR = 16;
/** Registers that can be read through the xAPIC face without an error. */
const KNOWN_REGISTERS: ReadonlySet<number> = new Set([
  ...Object.values(REGISTER).filter((offset) => offset !== REGISTER.SELF_IPI),
  ...Array.from({ length: 24 }, (_, index) => REGISTER.IN_SERVICE + 0x10 * index),
]);

export class LocalApic implements Device {
  readonly options: LocalApicOptions;
  readonly timer: LocalApicTimer;
  readonly priority: InterruptPriority;
  private readonly vectors: LocalVectorTable;
  private modeValue: LocalApicMode = 'xAPIC';
  private xapicId: number;
  private logicalDestination = 0;
  private destinationFormat = 0xffffffff;
  private spurious = 0xff;
  private errorStatus = 0;
  private errorLatch = 0;
  private commandLow = 0;
  private commandHigh = 0;
  private divideConfiguration = 0;
  /** Levels of the pins LINT0 and LINT1. */
  private readonly pins = [false, false];

  constructor(options: LocalApicOptions) {
    this.options = options;
    this.xapicId = options.id & 0xff;
    this.priority = new InterruptPriority(options.taskPriorityStorage, options.vectors);
    this.vectors = new LocalVectorTable(options.tscDeadline ?? false);
    this.timer = new LocalApicTimer({
      clock: options.clock,
      ...(options.deadlineClock === undefined ? {} : { deadlineClock: options.deadlineClock }),
      timerFrequency: options.timerFrequency,
      timeOfTsc: options.timeOfTsc ?? Number,
      minimumPeriod: options.minimumTimerPeriod ?? 1,
      onExpiry: () => {
        if (options.connections.timerExpired) options.connections.timerExpired();
        else this.deliverTimer();
      },
    });
    this.reset();
  }

  /** State after power-up or INIT (11.4.7.1, 11.4.7.3); the mode and the x2APIC ID stay. */
  reset(): void {
    this.priority.reset();
    this.vectors.reset(this.options.virtualWire ?? false);
    this.logicalDestination = 0;
    this.destinationFormat = 0xffffffff;
    this.spurious = 0xff;
    this.errorStatus = 0;
    this.errorLatch = 0;
    this.commandLow = 0;
    this.commandHigh = 0;
    this.divideConfiguration = 0;
    this.timer.reset();
  }

  get mode(): LocalApicMode {
    return this.modeValue;
  }
  /** Which transitions are legal is the business of IA32_APIC_BASE (11.12.5 x2APIC State Transitions). */
  set mode(mode: LocalApicMode) {
    if (mode === this.modeValue) return;
    if (mode === 'disabled') this.reset();
    if (mode === 'x2APIC') this.commandHigh = 0;
    this.modeValue = mode;
  }

  get softwareEnabled(): boolean {
    return this.modeValue !== 'disabled' && (this.spurious & SPURIOUS.SOFTWARE_ENABLE) !== 0;
  }

  /** Identifier of this APIC in physical destinations. */
  get id(): number {
    return this.modeValue === 'x2APIC' ? this.options.id : this.xapicId;
  }

  get taskPriority(): number {
    return this.priority.taskPriority;
  }
  set taskPriority(value: number) {
    this.priority.taskPriority = value;
    this.options.connections.interruptArrived();
  }

  get processorPriority(): number {
    return this.priority.processorPriority;
  }

  /** Highest vector in the IRR whatever its priority, or -1. */
  get highestRequest(): number {
    return this.softwareEnabled ? this.priority.request.highest() : -1;
  }

  /** The vector to dispatch now: the highest request if its class is above the processor's priority, or -1. */
  get pendingVector(): number {
    return this.softwareEnabled ? this.priority.pendingVector : -1;
  }

  /** Dispatches `pendingVector`: moves it from IRR to ISR. The spurious vector when there is none any more (11.9). */
  acknowledge(): number {
    const vector = this.pendingVector;
    if (vector < 0) return this.spurious & 0xff;
    this.priority.dispatch(vector);
    return vector;
  }

  /** Takes a fixed interrupt in. @returns false when it was merged with one that waits already, or not taken. */
  accept(vector: number, levelTriggered: boolean): boolean {
    if (!this.softwareEnabled) return false;
    if (vector < FIRST_LEGAL_VECTOR) {
      this.raiseError(APIC_ERROR.RECEIVED_ILLEGAL_VECTOR);
      return false;
    }
    if (this.options.post !== undefined) {
      this.priority.setTriggerMode(vector, levelTriggered);
      return this.options.post(vector);
    }
    const isNew = this.priority.add(vector, levelTriggered);
    this.options.connections.interruptArrived();
    return isNew;
  }

  /**
   * Takes in a message that is addressed to this APIC. Lowest priority has been arbitrated by then.
   * @returns false when a fixed interrupt was not taken or merged
   */
  receive(message: InterruptMessage): boolean {
    const { connections } = this.options;
    switch (message.deliveryMode) {
      case DELIVERY_MODE.FIXED:
      case DELIVERY_MODE.LOWEST_PRIORITY:
        return this.accept(message.vector, message.levelTriggered);
      case DELIVERY_MODE.NMI:
        connections.nonMaskableInterrupt();
        return true;
      case DELIVERY_MODE.INIT:
        // INIT level de-assert only synchronised arbitration IDs on old processors (11.6.1).
        if (message.assert || !message.levelTriggered) connections.init();
        return true;
      case DELIVERY_MODE.STARTUP:
        connections.startup(message.vector);
        return true;
      case DELIVERY_MODE.EXTINT:
        connections.interruptArrived();
        return true;
      default:
        return false;
    }
  }

  /** True when a destination (shorthands aside) names this APIC (11.6.2 Determining IPI Destination). */
  matches(destination: number, logical: boolean): boolean {
    if (this.modeValue === 'disabled') return false;
    if (this.modeValue === 'x2APIC') {
      if (destination === 0xffffffff || destination === 0xff) return true;
      if (!logical) return destination === this.options.id;
      const own = this.logicalId;
      return destination >>> 16 === own >>> 16 && (destination & own & 0xffff) !== 0;
    }
    if ((destination & 0xff) === 0xff) return true;
    if (!logical) return (destination & 0xff) === this.xapicId;
    const own = this.logicalDestination >>> 24;
    // Flat model: one bit per APIC; cluster model: cluster in the high nibble, one bit per APIC in the low one.
    if (this.destinationFormat >>> 28 === 0xf) return (destination & own & 0xff) !== 0;
    return destination >> 4 === own >> 4 && (destination & own & 0x0f) !== 0;
  }

  /** Logical x2APIC ID (11.12.10.2), in xAPIC mode the LDR. */
  get logicalId(): number {
    if (this.modeValue !== 'x2APIC') return this.logicalDestination;
    const id = this.options.id;
    return (((id >>> 4) << 16) | (1 << (id & 15))) >>> 0;
  }

  /** 11.8.5 Signaling Interrupt Servicing Completion. */
  endOfInterrupt(): void {
    const vector = this.priority.end();
    if (vector >= 0) this.announceEnd(vector);
  }

  /** What follows the end of an interrupt that is no longer in service. */
  announceEnd(vector: number): void {
    const { connections } = this.options;
    connections.endOfInterrupt?.(vector);
    if (this.priority.triggerMode.has(vector) && !(this.spurious & SPURIOUS.SUPPRESS_EOI_BROADCAST))
      connections.broadcastEndOfInterrupt(vector);
    connections.interruptArrived();
  }

  /** Delivers the interrupt of the timer's LVT entry. @returns false when it is masked or was merged. */
  deliverTimer(): boolean {
    return this.signal(REGISTER.LVT_TIMER);
  }
  get timerMasked(): boolean {
    return this.vectors.isMasked(REGISTER.LVT_TIMER);
  }

  /** @param pin 0: LINT0 (the 8259s on a PC), 1: LINT1 (NMI on a PC) */
  setLint(pin: 0 | 1, level: boolean): void {
    const before = this.pins[pin];
    this.pins[pin] = level;
    if (pin === 0 && this.acceptsExternalInterrupts) {
      if (level) this.options.connections.interruptArrived();
      return;
    }
    const register = pin === 0 ? REGISTER.LVT_LINT0 : REGISTER.LVT_LINT1;
    const entry = this.vectors.read(register)!;
    const mode = this.vectors.deliveryMode(register);
    if (
      mode !== DELIVERY_MODE.EXTINT &&
      level &&
      (!before || (entry & LVT.LEVEL && mode === DELIVERY_MODE.FIXED))
    )
      this.signal(register);
  }

  /** True while the 8259s' interrupts come through: LINT0 unmasked as ExtINT, or the APIC disabled in hardware. */
  get acceptsExternalInterrupts(): boolean {
    if (this.modeValue === 'disabled') return true;
    const register = REGISTER.LVT_LINT0;
    return !this.vectors.isMasked(register) && this.vectors.deliveryMode(register) === DELIVERY_MODE.EXTINT;
  }

  read(offset: number, size: number): number {
    if (!KNOWN_REGISTERS.has(offset & 0xff0)) this.raiseError(APIC_ERROR.ILLEGAL_REGISTER);
    return this.peek(offset, size);
  }

  /** Registers are read as 32 bits; narrower reads return the bytes asked for (11.4.1 The Local APIC Block Diagram). */
  peek(offset: number, size: number): number {
    const value = this.readRegister(offset & 0xff0) >>> (8 * (offset & 3));
    return size >= 4 ? value : value & (2 ** (8 * size) - 1);
  }

  /** Only aligned 32-bit writes reach a register; others have no effect here. */
  write(offset: number, size: number, value: number): void {
    if (size === 4 && (offset & 0xf) === 0) this.writeRegister(offset & 0xff0, value >>> 0);
  }

  /** Reads a register by its xAPIC offset, in either mode. Changes nothing. */
  readRegister(offset: number): number {
    if (offset >= REGISTER.IN_SERVICE && offset < REGISTER.ERROR_STATUS) {
      const { inService, triggerMode, request } = this.priority;
      const bitmap =
        offset < REGISTER.TRIGGER_MODE ? inService : offset < REGISTER.REQUEST ? triggerMode : request;
      return bitmap.word((offset >> 4) & 7);
    }
    switch (offset) {
      case REGISTER.ID:
        return this.modeValue === 'x2APIC' ? this.options.id : (this.xapicId << 24) >>> 0;
      case REGISTER.VERSION:
        return 0x14 | (MAXIMUM_LVT_ENTRY << 16) | (this.options.directedEndOfInterrupt ? 1 << 24 : 0);
      case REGISTER.TASK_PRIORITY:
        return this.taskPriority;
      case REGISTER.ARBITRATION_PRIORITY:
      case REGISTER.PROCESSOR_PRIORITY:
        return this.processorPriority;
      case REGISTER.LOGICAL_DESTINATION:
        return this.logicalId;
      case REGISTER.DESTINATION_FORMAT:
        return this.destinationFormat;
      case REGISTER.SPURIOUS_VECTOR:
        return this.spurious;
      case REGISTER.ERROR_STATUS:
        return this.errorStatus;
      case REGISTER.INTERRUPT_COMMAND_LOW:
        return this.commandLow;
      case REGISTER.INTERRUPT_COMMAND_HIGH:
        return this.commandHigh;
      case REGISTER.INITIAL_COUNT:
        return this.timer.initialCount;
      case REGISTER.CURRENT_COUNT:
        return this.timer.currentCount;
      case REGISTER.DIVIDE_CONFIGURATION:
        return this.divideConfiguration;
      default:
        return this.readOther(offset);
    }
  }

  /** Writes a register by its xAPIC offset, in either mode; read-only and unknown ones set an error bit. */
  writeRegister(offset: number, value: number): void {
    switch (offset) {
      case REGISTER.ID:
        this.xapicId = value >>> 24;
        return;
      case REGISTER.TASK_PRIORITY:
        this.taskPriority = value;
        return;
      case REGISTER.EOI:
        this.endOfInterrupt();
        return;
      case REGISTER.LOGICAL_DESTINATION:
        this.logicalDestination = (value & 0xff000000) >>> 0;
        return;
      case REGISTER.DESTINATION_FORMAT:
        this.destinationFormat = (value | 0x0fffffff) >>> 0;
        return;
      case REGISTER.SPURIOUS_VECTOR:
        this.setSpurious(value);
        return;
      case REGISTER.ERROR_STATUS:
        // A write brings the errors since the last write into view (11.5.3).
        this.errorStatus = this.errorLatch;
        this.errorLatch = 0;
        return;
      case REGISTER.INTERRUPT_COMMAND_LOW:
        this.sendCommand(value);
        return;
      case REGISTER.INTERRUPT_COMMAND_HIGH:
        this.commandHigh = this.modeValue === 'x2APIC' ? value : (value & 0xff000000) >>> 0;
        return;
      case REGISTER.INITIAL_COUNT:
        this.timer.initialCount = value;
        return;
      case REGISTER.DIVIDE_CONFIGURATION:
        this.divideConfiguration = value & 0x0b;
        this.timer.setDivideConfiguration(value);
        return;
      case REGISTER.SELF_IPI:
        if (this.modeValue === 'x2APIC') this.sendCommand(selfInterruptCommand(value & 0xff));
        else this.raiseError(APIC_ERROR.ILLEGAL_REGISTER);
        return;
      default:
        this.writeOther(offset, value);
    }
  }

  private readOther(offset: number): number {
    // EOI is write only and reads as zero; remote read was never implemented by current processors.
    const entry = this.vectors.read(offset) ?? 0;
    if (offset === REGISTER.LVT_LINT0 && entry & LVT.LEVEL && this.pins[0])
      return entry | LVT.DELIVERY_STATUS;
    return entry;
  }

  private writeOther(offset: number, value: number): void {
    // While the APIC is disabled by software, mask bits can't be cleared (11.4.7.2).
    if (!this.vectors.write(offset, value, !this.softwareEnabled)) {
      this.raiseError(APIC_ERROR.ILLEGAL_REGISTER);
      return;
    }
    if (offset === REGISTER.LVT_TIMER) this.timer.setMode(this.vectors.timerMode);
    if (offset === REGISTER.LVT_LINT0 && this.pins[0]) this.setLint(0, true);
  }

  private setSpurious(value: number): void {
    const suppress = this.options.directedEndOfInterrupt ? SPURIOUS.SUPPRESS_EOI_BROADCAST : 0;
    this.spurious = value & (0xff | SPURIOUS.SOFTWARE_ENABLE | SPURIOUS.FOCUS_DISABLED | suppress);
    if (value & SPURIOUS.SOFTWARE_ENABLE) this.options.connections.interruptArrived();
    // Clearing the enable bit masks all LVT entries (11.4.7.2 Local APIC State After It Has Been Software Disabled).
    else this.vectors.maskAll();
  }

  private sendCommand(low: number): void {
    this.commandLow = low & ICR_WRITABLE;
    const destination = this.modeValue === 'x2APIC' ? this.commandHigh : this.commandHigh >>> 24;
    const message = decodeInterruptCommand(this.commandLow, destination);
    if (carriesVector(message) && message.vector < FIRST_LEGAL_VECTOR)
      this.raiseError(APIC_ERROR.SEND_ILLEGAL_VECTOR);
    else this.options.connections.send(message);
  }

  /** A local interrupt source fires: its LVT entry says what becomes of it. */
  private signal(register: number): boolean {
    const entry = this.vectors.read(register)!;
    if (entry & LVT.MASK || this.modeValue === 'disabled') return false;
    const withDeliveryMode = register !== REGISTER.LVT_TIMER && register !== REGISTER.LVT_ERROR;
    return this.receive({
      vector: entry & LVT.VECTOR,
      deliveryMode: withDeliveryMode ? (entry >> 8) & 7 : DELIVERY_MODE.FIXED,
      destination: this.id,
      logicalDestination: false,
      shorthand: SHORTHAND.SELF,
      levelTriggered: register === REGISTER.LVT_LINT0 && (entry & LVT.LEVEL) !== 0,
      assert: true,
    });
  }

  private raiseError(bit: number): void {
    const isNew = (this.errorLatch & bit) === 0;
    this.errorLatch |= bit;
    if (isNew) this.signal(REGISTER.LVT_ERROR);
  }
}
