/** The test-exit port of QEMU's isa-debug-exit device: a write ends the machine with a code. */

import type { Device } from './device.js';

export class DebugExit implements Device {
  private readonly onExit: (code: number) => void;

  /** @param onExit called with the exit code (value << 1) | 1, as QEMU computes it: never 0 */
  constructor(onExit: (code: number) => void) {
    this.onExit = onExit;
  }

  read(): number {
    return 0;
  }
  peek(): number {
    return 0;
  }
  write(_offset: number, _size: number, value: number): void {
    this.onExit(((value << 1) | 1) & 0xff);
  }
}
