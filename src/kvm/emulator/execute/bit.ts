/** Bit test, bit scan and counts. */

import { ARITHMETIC_FLAGS, RFLAGS } from '../../../architecture/rflags.js';
import type { Emulation } from '../emulation.js';
import { withFlags } from '../flags.js';
import type { Handler, HandlerTable } from '../handler.js';

type Change = ((value: bigint, mask: bigint) => bigint) | undefined;

const setCarry = (e: Emulation, value: bigint, mask: bigint): void => {
  e.flags = withFlags(e.flags, RFLAGS.CF, value & mask ? RFLAGS.CF : 0);
};

/**
 * With a register as bit offset, a memory operand is a bit string: the offset is signed and reaches beyond the operand
 * (SDM Vol. 2A, BT, Table 3-2). An immediate offset is taken modulo the operand size.
 */
const testBit =
  (change: Change): Handler =>
  (e) => {
    const width = e.width(0);
    const offset = e.read(1);
    const isString =
      e.instruction.memoryOperand === 0 && e.instruction.encoding.operands[1]!.slot !== 'immediate';
    const mask = 1n << BigInt.asUintN(width === 64 ? 6 : width === 32 ? 5 : 4, offset);
    if (!isString) {
      const value = e.read(0);
      if (change) e.write(0, change(value, mask));
      setCarry(e, value, mask);
      return;
    }
    const size = width >> 3;
    const units = BigInt.asIntN(width, offset) >> BigInt(Math.log2(width));
    const address = e.linearAddress(units * BigInt(size));
    const value = e.memory.read(address, size);
    if (change) e.memory.write(address, size, BigInt.asUintN(width, change(value, mask)));
    setCarry(e, value, mask);
  };

const lowestBit = (value: bigint): number => {
  let position = 0;
  while (((value >> BigInt(position)) & 1n) === 0n) position++;
  return position;
};
const highestBit = (value: bigint): number => value.toString(2).length - 1;

/** BSF and BSR: a zero source sets ZF and leaves the destination alone, even its upper half. */
const scan =
  (find: (value: bigint) => number): Handler =>
  (e) => {
    const source = e.read(1);
    if (source !== 0n) e.write(0, BigInt(find(source)));
    e.flags = withFlags(e.flags, RFLAGS.ZF, source === 0n ? RFLAGS.ZF : 0);
  };

/** TZCNT and LZCNT: the operand's width for a zero source, which sets CF; ZF for a result of zero. */
const countZeros =
  (count: (value: bigint, width: number) => number): Handler =>
  (e) => {
    const width = e.width(0);
    const source = e.read(1);
    const result = source === 0n ? width : count(source, width);
    e.write(0, BigInt(result));
    const flags = (source === 0n ? RFLAGS.CF : 0) | (result === 0 ? RFLAGS.ZF : 0);
    e.flags = withFlags(e.flags, RFLAGS.CF | RFLAGS.ZF, flags);
  };

const countOnes: Handler = (e) => {
  const source = e.read(1);
  let count = 0n;
  for (let rest = source; rest !== 0n; rest &= rest - 1n) count++;
  e.write(0, count);
  e.flags = withFlags(e.flags, ARITHMETIC_FLAGS, source === 0n ? RFLAGS.ZF : 0);
};

export const BIT: HandlerTable = {
  BT: testBit(undefined),
  BTS: testBit((value, mask) => value | mask),
  BTR: testBit((value, mask) => value & ~mask),
  BTC: testBit((value, mask) => value ^ mask),
  BSF: scan(lowestBit),
  BSR: scan(highestBit),
  TZCNT: countZeros((value) => lowestBit(value)),
  LZCNT: countZeros((value, width) => width - 1 - highestBit(value)),
  POPCNT: countOnes,
};
