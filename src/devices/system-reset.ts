/** The two ways in which software resets a PC: the reset control register and the keyboard controller. */

import type { Device } from './device.js';

/** Reset control register, port 0xCF9 (82371SB PIIX3 data sheet, 2.5.7): a rising bit 2 resets. */
export class ResetControl implements Device {
  private value = 0;
  private readonly onReset: () => void;

  constructor(onReset: () => void) {
    this.onReset = onReset;
  }

  read(): number {
    return this.value;
  }
  peek(): number {
    return this.value;
  }
  write(_offset: number, _size: number, value: number): void {
    const rising = value & ~this.value & 4;
    this.value = value & 0x0e;
    if (rising) this.onReset();
  }
}

/** Status (read) and command (write) port 0x64 of a keyboard controller without a keyboard. */
export class KeyboardControllerCommand implements Device {
  private readonly onReset: () => void;

  constructor(onReset: () => void) {
    this.onReset = onReset;
  }

  /** Both buffers are empty: commands are accepted at once, there is no data. */
  read(): number {
    return 0;
  }
  peek(): number {
    return 0;
  }
  write(_offset: number, _size: number, value: number): void {
    // Commands F0 … FF pulse output lines; a clear bit 0 pulses the processor's reset line.
    if ((value & 0xf1) === 0xf0) this.onReset();
  }
}
