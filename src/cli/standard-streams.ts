/**
 * The process's own streams, written synchronously: a machine that runs for minutes must notice at once that the reader
 * of its output has gone.
 */

import { writeSync } from 'node:fs';
import { CommandError } from './command-error.js';
import { EXIT } from './exit-codes.js';
import { systemReason } from './system-reason.js';

const FLUSH_AT_BYTES = 64 * 1024;
const STANDARD_OUTPUT = 1;
const STANDARD_ERROR = 2;

class OutputStream {
  private readonly descriptor: number;
  private pending: Uint8Array[] = [];
  private pendingBytes = 0;
  private readonly encoder = new TextEncoder();
  /** Write every line at once: somebody is watching. */
  private readonly interactive: boolean;

  constructor(descriptor: number, interactive: boolean) {
    this.descriptor = descriptor;
    this.interactive = interactive;
  }

  readonly line = (text: string): void => {
    this.bytes(this.encoder.encode(`${text}\n`));
  };

  bytes(data: Uint8Array): void {
    this.pending.push(data);
    this.pendingBytes += data.length;
    const complete = this.interactive && data[data.length - 1] === 10;
    if (complete || this.pendingBytes >= FLUSH_AT_BYTES) this.flush();
  }

  /** @throws CommandError when the reader has gone, or the device is full */
  flush(): void {
    const data = Buffer.concat(this.pending);
    this.pending = [];
    this.pendingBytes = 0;
    let written = 0;
    while (written < data.length) {
      try {
        written += writeSync(this.descriptor, data, written);
      } catch (error) {
        waitOrFail(error);
      }
    }
  }
}

/** A pipe that is full for the moment is waited for; everything else ends the command. */
function waitOrFail(error: unknown): void {
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'EAGAIN') {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    return;
  }
  if (code === 'EPIPE') throw new CommandError(EXIT.BROKEN_PIPE, '');
  throw new CommandError(EXIT.FAILURE, `standard output can't be written: ${systemReason(error)}`);
}

/** Data. */
export const output = new OutputStream(STANDARD_OUTPUT, process.stdout.isTTY === true);
/** Talk. */
export const talk = new OutputStream(STANDARD_ERROR, true);
