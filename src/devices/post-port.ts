/** The power-on self-test code port of a PC (0x80): a latch, also written for short delays. */

import type { Device } from './device.js';

export class PostPort implements Device {
  /** The last code written. */
  code = 0;

  read(): number {
    return this.code;
  }
  peek(): number {
    return this.code;
  }
  write(_offset: number, _size: number, value: number): void {
    this.code = value & 0xff;
  }
}
