/** The 8254 programmable interval timer of a PC (Intel 8254 data sheet, order number 231164). */

import { type Alarm, type AlarmClock, type Device, type InterruptLine, UNCONNECTED_LINE } from './device.js';

/** Frequency of the CLK inputs on a PC, in Hz. */
export const PIT_FREQUENCY = 1193182;

/** Access of the RW bits of a control word: which bytes of the 16-bit counter are transferred. */
const LOW_BYTE = 1;
const HIGH_BYTE = 2;

const bcdToBinary = (value: number): number =>
  (value & 15) + ((value >> 4) & 15) * 10 + ((value >> 8) & 15) * 100 + ((value >> 12) & 15) * 1000;
const binaryToBcd = (value: number): number =>
  (value % 10) |
  ((Math.floor(value / 10) % 10) << 4) |
  ((Math.floor(value / 100) % 10) << 8) |
  ((Math.floor(value / 1000) % 10) << 12);

/** One counter: modes 0, 2, 3 and, for what they count, 4 (like 0); 1 and 5 wait for a gate edge. */
class Counter {
  gate = true;
  private mode = 0;
  private access = LOW_BYTE | HIGH_BYTE;
  private bcd = false;
  /** Initial count, 1 … 65536; 0 while none has been written since the control word. */
  private reload = 0;
  private startedAt = 0;
  /** Counter ticks elapsed when the gate went low; counting stands still there. */
  private heldAt = 0;
  private writeLow: number | undefined;
  private readHighNext = false;
  private latched: number | undefined;
  private latchedStatus: number | undefined;
  private alarm: Alarm | undefined;
  private readonly clock: AlarmClock;
  private readonly output: InterruptLine;

  constructor(clock: AlarmClock, output: InterruptLine) {
    this.clock = clock;
    this.output = output;
  }

  control(value: number): void {
    this.access = (value >> 4) & 3;
    const mode = (value >> 1) & 7;
    this.mode = mode > 5 ? mode - 4 : mode;
    this.bcd = (value & 1) !== 0;
    this.reload = 0;
    this.writeLow = undefined;
    this.readHighNext = false;
    this.latched = undefined;
    this.alarm?.cancel();
    this.alarm = undefined;
    this.lowerLine();
  }

  write(byte: number): void {
    if (this.access === LOW_BYTE) this.load(byte);
    else if (this.access === HIGH_BYTE) this.load(byte << 8);
    else if (this.writeLow === undefined) {
      this.writeLow = byte;
      // Mode 0: the first byte of a new count stops the counting (Mode 0: Interrupt on Terminal Count).
      if (this.mode === 0) {
        this.alarm?.cancel();
        this.reload = 0;
        this.output.set(false);
      }
    } else {
      const low = this.writeLow;
      this.writeLow = undefined;
      this.load(low | (byte << 8));
    }
  }

  latchCount(): void {
    this.latched ??= this.count();
  }

  /** Read-Back Command: OUT, null count, RW, mode, BCD. */
  latchStatus(): void {
    this.latchedStatus ??=
      (this.outputLevel() ? 0x80 : 0) |
      (this.reload === 0 ? 0x40 : 0) |
      (this.access << 4) |
      (this.mode << 1) |
      (this.bcd ? 1 : 0);
  }

  peek(): number {
    if (this.latchedStatus !== undefined) return this.latchedStatus;
    const value = this.latched ?? this.count();
    const high = this.access === HIGH_BYTE || (this.access === 3 && this.readHighNext);
    return (high ? value >> 8 : value) & 0xff;
  }

  read(): number {
    const value = this.peek();
    if (this.latchedStatus !== undefined) this.latchedStatus = undefined;
    else if (this.access === 3 && !this.readHighNext) this.readHighNext = true;
    else {
      this.readHighNext = false;
      this.latched = undefined;
    }
    return value;
  }

  setGate(level: boolean): void {
    if (level === this.gate) return;
    if (!level) this.heldAt = this.elapsed();
    this.gate = level;
    if (level) {
      // In modes 2 and 3 a rising gate reloads the counter; in 0 and 4 counting goes on where it stood.
      const standing = this.mode === 0 || this.mode === 4 ? this.heldAt : 0;
      this.startedAt = this.clock.now() - this.toClock(standing);
    }
    this.arm();
  }

  /** Level of OUT now (Mode Definitions). */
  outputLevel(): boolean {
    switch (this.mode) {
      case 0:
        return this.reload !== 0 && this.elapsed() >= this.reload;
      case 2:
        return !(this.gate && this.reload > 1 && this.elapsed() % this.reload === this.reload - 1);
      case 3:
        // High for the longer half of an odd count.
        return this.reload === 0 || !this.gate || this.elapsed() % this.reload < (this.reload + 1) >> 1;
      default:
        return true;
    }
  }

  private load(value: number): void {
    const binary = this.bcd ? bcdToBinary(value) : value;
    this.reload = binary === 0 ? (this.bcd ? 10000 : 0x10000) : binary;
    this.startedAt = this.clock.now();
    this.heldAt = 0;
    this.arm();
  }

  private count(): number {
    const limit = this.bcd ? 10000 : 0x10000;
    const elapsed = this.elapsed();
    let value: number;
    if (this.reload === 0) value = 0;
    else if (this.mode === 2) value = this.reload - (elapsed % this.reload);
    else if (this.mode === 3) {
      // Counts down by two, once for each half of the period.
      const half = (2 * elapsed) % (2 * this.reload);
      value = this.reload - (half >= this.reload ? half - this.reload : half);
      value -= value & 1;
    } else value = (this.reload - elapsed) % limit;
    if (value < 0) value += limit;
    value %= limit;
    return this.bcd ? binaryToBcd(value) : value;
  }

  private elapsed(): number {
    if (!this.gate) return this.heldAt;
    return Math.floor(((this.clock.now() - this.startedAt) * PIT_FREQUENCY) / this.clock.ticksPerSecond);
  }

  /** Clock ticks until `counterTicks` of the counter are complete, rounded up. */
  private toClock(counterTicks: number): number {
    return Math.ceil((counterTicks * this.clock.ticksPerSecond) / PIT_FREQUENCY);
  }

  /** Schedules the next rising edge of OUT, the one that asks for an interrupt. */
  private arm(): void {
    this.alarm?.cancel();
    this.alarm = undefined;
    this.lowerLine();
    if (this.reload === 0 || !this.gate) return;
    const elapsed = this.elapsed();
    if (this.mode === 0) {
      if (elapsed < this.reload) this.scheduleAt(this.reload, false);
    } else if (this.mode === 2 || this.mode === 3)
      this.scheduleAt((Math.floor(elapsed / this.reload) + 1) * this.reload, true);
  }

  /**
   * OUT going low through programming is seen by the line. OUT going high is not: firmware leaves it high, and the
   * edge of a power-up would be taken for an interrupt.
   */
  private lowerLine(): void {
    if (!this.outputLevel()) this.output.set(false);
  }

  private scheduleAt(counterTicks: number, repeat: boolean): void {
    this.alarm = this.clock.schedule(this.startedAt + this.toClock(counterTicks), () => {
      // The low phase lies between two edges: it is made visible here so that the line sees an edge each time.
      if (repeat) this.output.set(false);
      this.output.set(true);
      if (repeat) this.scheduleAt(counterTicks + this.reload, true);
    });
  }
}

export interface ProgrammableIntervalTimerOptions {
  readonly clock: AlarmClock;
  /** OUT of counter 0: IRQ0 on a PC. */
  readonly interruptLine?: InterruptLine;
}

/** Offsets 0 … 2: the counters; 3: control word (write only). */
export class ProgrammableIntervalTimer implements Device {
  private readonly counters: readonly [Counter, Counter, Counter];

  constructor(options: ProgrammableIntervalTimerOptions) {
    this.counters = [
      new Counter(options.clock, options.interruptLine ?? UNCONNECTED_LINE),
      new Counter(options.clock, UNCONNECTED_LINE),
      new Counter(options.clock, UNCONNECTED_LINE),
    ];
  }

  read(offset: number, _size: number): number {
    return offset < 3 ? this.counters[offset]!.read() : 0;
  }

  peek(offset: number, _size: number): number {
    return offset < 3 ? this.counters[offset]!.peek() : 0;
  }

  write(offset: number, _size: number, value: number): void {
    const byte = value & 0xff;
    if (offset < 3) this.counters[offset]!.write(byte);
    else if (byte >> 6 === 3) this.readBack(byte);
    else {
      const counter = this.counters[byte >> 6]!;
      if ((byte >> 4) & 3) counter.control(byte);
      else counter.latchCount();
    }
  }

  /** GATE of counter 2 and its OUT, as port 0x61 of a PC shows them. */
  get gate2(): boolean {
    return this.counters[2].gate;
  }
  set gate2(level: boolean) {
    this.counters[2].setGate(level);
  }
  get output2(): boolean {
    return this.counters[2].outputLevel();
  }

  private readBack(command: number): void {
    for (const [index, counter] of this.counters.entries()) {
      if (!(command & (2 << index))) continue;
      if (!(command & 0x20)) counter.latchCount();
      if (!(command & 0x10)) counter.latchStatus();
    }
  }
}

/** Port 0x61: speaker gate and data (bits 0, 1), refresh toggle (4) and OUT of counter 2 (5). */
export class SystemControlPort implements Device {
  private speakerData = 0;
  private refresh = 0;
  private readonly timer: ProgrammableIntervalTimer;

  constructor(timer: ProgrammableIntervalTimer) {
    this.timer = timer;
  }

  read(): number {
    // Each read sees the refresh clock toggled, as fast software delay loops expect.
    this.refresh ^= 0x10;
    return this.peek();
  }
  peek(): number {
    return this.speakerData | (this.timer.gate2 ? 1 : 0) | this.refresh | (this.timer.output2 ? 0x20 : 0);
  }
  write(_offset: number, _size: number, value: number): void {
    this.speakerData = value & 2;
    this.timer.gate2 = (value & 1) !== 0;
  }
}
