/** Shifts and rotates. Flags that the manual leaves undefined get the value that current processors give them. */

import { ARITHMETIC_FLAGS, RFLAGS } from '../../../architecture/rflags.js';
import type { Emulation } from '../emulation.js';
import { resultFlags, signBit, withFlags } from '../flags.js';
import type { Handler, HandlerTable } from '../handler.js';

const bit = (value: bigint, position: number): boolean => ((value >> BigInt(position)) & 1n) !== 0n;
const flag = (condition: boolean, mask: number): number => (condition ? mask : 0);

/** Counts are taken modulo 32, for 64-bit operands modulo 64. */
const countOf = (e: Emulation, index: number, width: number): number =>
  Number(e.read(index)) & (width === 64 ? 63 : 31);

/** With a count of zero nothing changes, except that a 32-bit register is zero-extended. */
const counted =
  (operate: (e: Emulation, value: bigint, count: number, width: number) => void): Handler =>
  (e) => {
    const width = e.width(0);
    const count = countOf(e, e.instruction.encoding.operands.length - 1, width);
    const value = e.read(0);
    if (count === 0) e.write(0, value);
    else operate(e, value, count, width);
  };

function finishShift(e: Emulation, result: bigint, carry: boolean, overflow: boolean, width: number): void {
  e.write(0, result);
  const flags = resultFlags(result, width) | flag(carry, RFLAGS.CF) | flag(overflow, RFLAGS.OF);
  e.flags = withFlags(e.flags, ARITHMETIC_FLAGS, flags);
}

const shiftLeft = counted((e, value, count, width) => {
  const shifted = value << BigInt(count);
  const result = BigInt.asUintN(width, shifted);
  const carry = bit(shifted, width);
  finishShift(e, result, carry, signBit(result, width) !== carry, width);
});

const shiftRight = counted((e, value, count, width) => {
  finishShift(e, value >> BigInt(count), bit(value, count - 1), signBit(value, width), width);
});

const shiftArithmetic = counted((e, value, count, width) => {
  const signed = BigInt.asIntN(width, value);
  const result = BigInt.asUintN(width, signed >> BigInt(count));
  finishShift(e, result, bit(signed, count - 1), false, width);
});

function finishRotate(e: Emulation, result: bigint, carry: boolean, overflow: boolean): void {
  e.write(0, result);
  const flags = flag(carry, RFLAGS.CF) | flag(overflow, RFLAGS.OF);
  e.flags = withFlags(e.flags, RFLAGS.CF | RFLAGS.OF, flags);
}

const rotateLeft = counted((e, value, count, width) => {
  const by = BigInt(count % width);
  const result = BigInt.asUintN(width, (value << by) | (value >> (BigInt(width) - by)));
  const carry = bit(result, 0);
  finishRotate(e, result, carry, signBit(result, width) !== carry);
});

const rotateRight = counted((e, value, count, width) => {
  const by = BigInt(count % width);
  const result = BigInt.asUintN(width, (value >> by) | (value << (BigInt(width) - by)));
  finishRotate(e, result, signBit(result, width), bit(result, width - 1) !== bit(result, width - 2));
});

/** Rotates through CF: width + 1 bits. A count that is a multiple of that changes nothing. */
const rotateThroughCarry = (left: boolean): Handler =>
  counted((e, value, count, width) => {
    const total = width + 1;
    const by = BigInt(count % total);
    if (by === 0n) {
      e.write(0, value);
      return;
    }
    const whole = value | (e.flags & RFLAGS.CF ? 1n << BigInt(width) : 0n);
    const back = BigInt(total) - by;
    const rotated = BigInt.asUintN(
      total,
      left ? (whole << by) | (whole >> back) : (whole >> by) | (whole << back),
    );
    const result = BigInt.asUintN(width, rotated);
    const carry = bit(rotated, width);
    const overflow = left
      ? signBit(result, width) !== carry
      : bit(result, width - 1) !== bit(result, width - 2);
    finishRotate(e, result, carry, overflow);
  });

/** SHLD and SHRD. 16-bit operands with a count above 16 are undefined: computed as if the operand repeated. */
const shiftDouble = (left: boolean): Handler =>
  counted((e, value, count, width) => {
    const by = BigInt(count);
    const bits = BigInt(width);
    const filler = e.read(1);
    let result: bigint;
    let carry: boolean;
    if (left) {
      const wide = ((value << bits) | filler) << by;
      result = BigInt.asUintN(width, wide >> bits);
      carry = bit(wide >> bits, width);
    } else {
      const wide = (filler << bits) | value;
      result = BigInt.asUintN(width, wide >> by);
      carry = bit(wide, count - 1);
    }
    finishShift(e, result, carry, signBit(value, width) !== signBit(result, width), width);
  });

export const SHIFT_ROTATE: HandlerTable = {
  SHL: shiftLeft,
  SHR: shiftRight,
  SAR: shiftArithmetic,
  ROL: rotateLeft,
  ROR: rotateRight,
  RCL: rotateThroughCarry(true),
  RCR: rotateThroughCarry(false),
  SHLD: shiftDouble(true),
  SHRD: shiftDouble(false),
};
