/** What a device sees of the outside: register accesses by offset, interrupt lines, and a clock. */

/**
 * A device behind a port range or an MMIO range. It knows offsets into its own range, never its address.
 * Sizes are 1, 2 or 4 bytes; values are unsigned integers below 2^(8 * size).
 */
export interface Device {
  /** Reads a register; may change the device (clear a flag, take a byte from a queue). */
  read(offset: number, size: number): number;
  /** Writes a register. */
  write(offset: number, size: number, value: number): void;
  /** What `read` would return, without changing anything: for tracers and debuggers. */
  peek(offset: number, size: number): number;
}

/** An interrupt output: asserted (true) or not. Setting the level that it has already is allowed. */
export interface InterruptLine {
  set(level: boolean): void;
}

/** An output that nothing is connected to. */
export const UNCONNECTED_LINE: InterruptLine = { set: () => {} };

/** A pending alarm. */
export interface Alarm {
  /** Takes the alarm back; without effect once it has gone off. */
  cancel(): void;
}

/** Virtual time, in ticks of a fixed rate, and the possibility to be called at a later time. */
export interface AlarmClock {
  readonly ticksPerSecond: number;
  /** Ticks since the start: an integer that never decreases. */
  now(): number;
  /** Calls `callback` once, when `now()` has reached `at`; at the next opportunity if that time is past. */
  schedule(at: number, callback: () => void): Alarm;
}
