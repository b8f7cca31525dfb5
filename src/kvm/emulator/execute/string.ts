/**
 * String instructions. With a repeat prefix one emulation does one iteration and leaves RIP where it is; the guest
 * starts the instruction again, and exits again if need be (x86_emulate_insn of the 2.6 kernels).
 */

import { GPR, SEGMENT } from '../../../architecture/registers.js';
import { ARITHMETIC_FLAGS, RFLAGS } from '../../../architecture/rflags.js';
import { PREFIX } from '../../../instruction-set/index.js';
import type { Emulation } from '../emulation.js';
import { subtract, withFlags } from '../flags.js';
import type { Handler, HandlerTable } from '../handler.js';

/** Signed size of an iteration's step, by DF. */
export const stepOf = (e: Emulation, sizeInBytes: number): bigint =>
  BigInt(e.flags & RFLAGS.DF ? -sizeInBytes : sizeInBytes);

export const sourceAddress = (e: Emulation): bigint =>
  e.linear(e.dataSegment, e.readGpr(GPR.RSI, e.instruction.addressSize));
export const destinationAddress = (e: Emulation): bigint =>
  e.linear(SEGMENT.ES, e.readGpr(GPR.RDI, e.instruction.addressSize));

export const isRepeated = (e: Emulation): boolean =>
  (e.instruction.prefixes & (PREFIX.REP | PREFIX.REPNE)) !== 0;

/** Runs one iteration under the repeat prefix, if any. `compares` makes ZF a condition for going on. */
const repeated =
  (iterate: Handler, compares: boolean): Handler =>
  (e) => {
    if (!isRepeated(e)) {
      iterate(e);
      return;
    }
    const size = e.instruction.addressSize;
    if (e.readGpr(GPR.RCX, size) === 0n) {
      e.writeGpr(GPR.RCX, size, 0n);
      return;
    }
    iterate(e);
    e.advance(GPR.RCX, -1n);
    const wanted = (e.instruction.prefixes & PREFIX.REP) !== 0;
    const goesOn = !compares || ((e.flags & RFLAGS.ZF) !== 0) === wanted;
    if (goesOn && e.readGpr(GPR.RCX, size) !== 0n) e.rip = e.instructionRip;
  };

const moveString: Handler = (e) => {
  const size = e.width(0) >> 3;
  const from = sourceAddress(e);
  const to = destinationAddress(e);
  e.memory.probeWrite(to, size);
  e.memory.write(to, size, e.memory.read(from, size));
  e.advance(GPR.RSI, stepOf(e, size));
  e.advance(GPR.RDI, stepOf(e, size));
};

const storeString: Handler = (e) => {
  const size = e.width(0) >> 3;
  e.memory.write(destinationAddress(e), size, e.readGpr(GPR.RAX, 8 * size));
  e.advance(GPR.RDI, stepOf(e, size));
};

const loadString: Handler = (e) => {
  const size = e.width(0) >> 3;
  e.writeGpr(GPR.RAX, 8 * size, e.memory.read(sourceAddress(e), size));
  e.advance(GPR.RSI, stepOf(e, size));
};

const compare = (e: Emulation, first: bigint, second: bigint, width: number): void => {
  e.flags = withFlags(e.flags, ARITHMETIC_FLAGS, subtract(first, second, 0n, width).flags);
};

const compareStrings: Handler = (e) => {
  const size = e.width(0) >> 3;
  const first = e.memory.read(sourceAddress(e), size);
  compare(e, first, e.memory.read(destinationAddress(e), size), 8 * size);
  e.advance(GPR.RSI, stepOf(e, size));
  e.advance(GPR.RDI, stepOf(e, size));
};

const scanString: Handler = (e) => {
  const size = e.width(0) >> 3;
  compare(e, e.readGpr(GPR.RAX, 8 * size), e.memory.read(destinationAddress(e), size), 8 * size);
  e.advance(GPR.RDI, stepOf(e, size));
};

const sizes = (stem: string, handler: Handler): HandlerTable =>
  Object.fromEntries(['B', 'W', 'D', 'Q'].map((letter) => [stem + letter, handler]));

export const STRING: HandlerTable = {
  ...sizes('MOVS', repeated(moveString, false)),
  ...sizes('STOS', repeated(storeString, false)),
  ...sizes('LODS', repeated(loadString, false)),
  ...sizes('CMPS', repeated(compareStrings, true)),
  ...sizes('SCAS', repeated(scanString, true)),
};
