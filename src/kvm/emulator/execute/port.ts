/** IN, OUT, INS and OUTS (kvm_emulate_pio, kvm_emulate_pio_string). Permissions were checked before the VM exit. */

import { GPR } from '../../../architecture/registers.js';
import { PAGE_SIZE } from '../../../memory/addresses.js';
import type { Emulation } from '../emulation.js';
import type { Handler, HandlerTable } from '../handler.js';
import { destinationAddress, isRepeated, sourceAddress, stepOf } from './string.js';

/** Little-endian bytes of an unsigned value. */
function putValue(data: Uint8Array, offset: number, sizeInBytes: number, value: number): void {
  for (let index = 0; index < sizeInBytes; index++) data[offset + index] = (value >>> (8 * index)) & 0xff;
}

function valueAt(data: Uint8Array, offset: number, sizeInBytes: number): number {
  let value = 0;
  for (let index = sizeInBytes - 1; index >= 0; index--) value = ((value << 8) | data[offset + index]!) >>> 0;
  return value;
}

const portInput: Handler = (e) => {
  const sizeInBytes = e.width(0) >> 3;
  const port = Number(e.read(1));
  const value = e.ports.read(port, sizeInBytes, e.vcpu);
  if (value !== undefined) e.write(0, BigInt(value));
  else {
    e.portAccess = { port, sizeInBytes, count: 1, write: false, data: new Uint8Array(0) };
    e.finishPortRead = (data) => e.write(0, BigInt(valueAt(data, 0, sizeInBytes)));
  }
};

const portOutput: Handler = (e) => {
  const sizeInBytes = e.width(1) >> 3;
  const port = Number(e.read(0));
  const value = Number(e.read(1));
  if (e.ports.write(port, sizeInBytes, value, e.vcpu)) return;
  const data = new Uint8Array(sizeInBytes);
  putValue(data, 0, sizeInBytes, value);
  e.portAccess = { port, sizeInBytes, count: 1, write: true, data };
};

/** Iterations that this emulation does: those that stay within the page of the first one, at least one. */
function batchSize(e: Emulation, address: bigint, sizeInBytes: number): number {
  if (!isRepeated(e)) return 1;
  const remaining = e.readGpr(GPR.RCX, e.instruction.addressSize);
  const offset = Number(address & BigInt(PAGE_SIZE - 1));
  const inPage = stepOf(e, 1) > 0n ? PAGE_SIZE - offset : offset + sizeInBytes;
  const limit = Math.max(1, Math.floor(inPage / sizeInBytes));
  return remaining < BigInt(limit) ? Number(remaining) : limit;
}

/** Moves the index and the count on by `count` iterations; RIP stays while iterations are left. */
function finishIterations(e: Emulation, index: number, sizeInBytes: number, count: number): void {
  e.advance(index, stepOf(e, sizeInBytes) * BigInt(count));
  if (!isRepeated(e)) return;
  e.advance(GPR.RCX, BigInt(-count));
  if (e.readGpr(GPR.RCX, e.instruction.addressSize) !== 0n) e.rip = e.instructionRip;
}

const portOutputString: Handler = (e) => {
  const sizeInBytes = e.width(0) >> 3;
  const port = Number(e.readGpr(GPR.RDX, 16));
  const from = sourceAddress(e);
  const count = batchSize(e, from, sizeInBytes);
  if (count === 0) return;
  const data = new Uint8Array(count * sizeInBytes);
  const step = stepOf(e, sizeInBytes);
  for (let done = 0; done < count; done++)
    putValue(
      data,
      done * sizeInBytes,
      sizeInBytes,
      Number(e.memory.read(from + step * BigInt(done), sizeInBytes)),
    );
  finishIterations(e, GPR.RSI, sizeInBytes, count);
  for (let done = 0; done < count; done++)
    if (!e.ports.write(port, sizeInBytes, valueAt(data, done * sizeInBytes, sizeInBytes), e.vcpu)) {
      // No device: that shows at the first one, the whole batch goes to user space.
      e.portAccess = {
        port,
        sizeInBytes,
        count: count - done,
        write: true,
        data: data.subarray(done * sizeInBytes),
      };
      return;
    }
};

const portInputString: Handler = (e) => {
  const sizeInBytes = e.width(0) >> 3;
  const port = Number(e.readGpr(GPR.RDX, 16));
  const to = destinationAddress(e);
  const count = batchSize(e, to, sizeInBytes);
  if (count === 0) return;
  const step = stepOf(e, sizeInBytes);
  // All of the batch is in one page (a single misaligned element may be in two): faults come before the device.
  e.memory.probeWrite(to, sizeInBytes);
  const store = (index: number, value: number): void =>
    e.memory.write(to + step * BigInt(index), sizeInBytes, BigInt(value));
  for (let done = 0; done < count; done++) {
    const value = e.ports.read(port, sizeInBytes, e.vcpu);
    if (value === undefined) {
      const rest = count - done;
      e.portAccess = { port, sizeInBytes, count: rest, write: false, data: new Uint8Array(0) };
      e.finishPortRead = (data) => {
        for (let index = 0; index < rest; index++)
          store(done + index, valueAt(data, index * sizeInBytes, sizeInBytes));
        finishIterations(e, GPR.RDI, sizeInBytes, count);
      };
      return;
    }
    store(done, value);
  }
  finishIterations(e, GPR.RDI, sizeInBytes, count);
};

const sizes = (stem: string, handler: Handler): HandlerTable =>
  Object.fromEntries(['B', 'W', 'D'].map((letter) => [stem + letter, handler]));

export const PORT: HandlerTable = {
  IN: portInput,
  OUT: portOutput,
  ...sizes('INS', portInputString),
  ...sizes('OUTS', portOutputString),
};
