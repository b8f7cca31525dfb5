/** The debug console port of Bochs and QEMU (0xE9, or 0x402 for firmware): every byte written is printed. */

import type { Device } from './device.js';

export class DebugConsole implements Device {
  private readonly output: (byte: number) => void;
  private readonly readback: number;

  /**
   * @param output called with every byte written, in order
   * @param readback what reads return, the sign that the console is there: 0xE9
   */
  constructor(output: (byte: number) => void, readback = 0xe9) {
    this.output = output;
    this.readback = readback;
  }

  read(): number {
    return this.readback;
  }
  peek(): number {
    return this.readback;
  }
  write(_offset: number, size: number, value: number): void {
    for (let index = 0; index < size; index++) this.output((value >>> (8 * index)) & 0xff);
  }
}
