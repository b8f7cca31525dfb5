/** Stack instructions (SDM Vol. 1, 7.3.1.4 Stack Manipulation Instructions; 6.6 Procedure Calls for Block-Structured Languages). */

import { GPR, SEGMENT } from '../../architecture/registers.js';
import { RFLAGS } from '../../architecture/rflags.js';
import { type I64, i64 } from '../../wasm/expression.js';
import type { MemoryReference, Semantics, SemanticsContext } from './context.js';

/** Width in which the whole stack pointer is kept. */
const pointerWidth = (context: SemanticsContext): 32 | 64 => (context.codeSize === 64 ? 64 : 32);

const stackPointer = (context: SemanticsContext): I64 =>
  context.let(context.readRegister(GPR.RSP, pointerWidth(context)));

/** A register is pushed with the value that it had before the instruction, RSP included. */
export const push: Semantics = (context) => {
  const immediate = context.encoding.operands[0]?.slot === 'immediate';
  context.push(immediate ? context.readSigned(0) : context.read(0), context.operandSize);
};

/** POP. An address that uses RSP is computed with the incremented RSP; a fault leaves the old one. */
export const pop: Semantics = (context) => {
  const width = context.operandSize;
  const bytes = BigInt(width / 8);
  const value = context.peekStack(width);
  if (!context.isMemory(0)) {
    context.adjustStack(bytes);
    context.write(0, value);
    return;
  }
  const addressBefore = context.let(context.address(0));
  const stackPointerBefore = stackPointer(context);
  context.adjustStack(bytes);
  const addressAfter = context.let(context.address(0));
  context.writeRegister(GPR.RSP, pointerWidth(context), stackPointerBefore);
  const destination = context.referenceAt(0, addressAfter.subtract(addressBefore), width, 'w');
  context.adjustStack(bytes);
  destination.write(width, value);
};

/** PUSHF, PUSHFD, PUSHFQ: VM and RF are cleared in the image on the stack. */
export const pushf: Semantics = (context) => {
  const kept = ~BigInt(RFLAGS.VM | RFLAGS.RF);
  context.push(context.flags.image().and(kept), context.operandSize);
};

/** PUSHA order, first pushed first; the slot of SP holds the value before the instruction. */
const ALL_REGISTERS = [GPR.RAX, GPR.RCX, GPR.RDX, GPR.RBX, GPR.RSP, GPR.RBP, GPR.RSI, GPR.RDI];

export const pusha: Semantics = (context) => {
  const width = context.operandSize;
  const bytes = width / 8;
  const top = stackPointer(context);
  const slots = ALL_REGISTERS.map((register, index) => ({
    value: context.let(context.readRegister(register, width)),
    place: context.memory(SEGMENT.SS, top.subtract(BigInt((index + 1) * bytes)), width, 'w'),
  }));
  for (const { value, place } of slots) place.write(width, value);
  context.adjustStack(BigInt(-ALL_REGISTERS.length * bytes));
};

/** Read upwards, DI first; the stored SP is skipped. */
export const popa: Semantics = (context) => {
  const width = context.operandSize;
  const bytes = width / 8;
  const values = ALL_REGISTERS.toReversed().map((register, index) => ({
    register,
    value: context.peekStack(width, index * bytes),
  }));
  context.adjustStack(BigInt(ALL_REGISTERS.length * bytes));
  for (const { register, value } of values)
    if (register !== GPR.RSP) context.writeRegister(register, width, value);
};

const DEEPEST_NESTING = 31;

/**
 * Faults where a push at `offset` would, by its first and last byte: a reference to the whole word might be a copy of
 * it, written back over what the instruction stores there otherwise.
 */
function probeWrite(context: SemanticsContext, offset: I64): void {
  context.memory(SEGMENT.SS, offset, 8, 'rw');
  context.memory(SEGMENT.SS, offset.add(BigInt(context.operandSize / 8 - 1)), 8, 'rw');
}

/**
 * ENTER imm16, imm8. Everything that can fault is probed before the first push: the top of the new stack, which the
 * manual wants writable, the slots of the new display, and the old display that it is copied from. Words are copied
 * one by one, so that displays that overlap come out as pushes would have left them (but for slots that cross a page
 * or lie in a page with code: their writes complete with the instruction).
 */
export const enter: Semantics = (context) => {
  const width = context.operandSize;
  const bytes = BigInt(width / 8);
  const size = context.read(0);
  const level = context.let(context.read(1).and(BigInt(DEEPEST_NESTING)));
  const top = stackPointer(context);
  const frame = context.let(context.readRegister(GPR.RBP, pointerWidth(context)));
  const newFrame = context.let(top.subtract(bytes));
  const newTop = context.let(newFrame.subtract(level.multiply(bytes)).subtract(size));
  const slot = (number: number): MemoryReference =>
    context.memory(SEGMENT.SS, newFrame.subtract(bytes * BigInt(number)), width, 'w');
  const readDisplay = (number: number): I64 =>
    context.memory(SEGMENT.SS, frame.subtract(bytes * BigInt(number)), width, 'r').read(width);
  /** `copied` and `last` are told the numbers 1 … level; the last word is no copy but the new frame's address. */
  const forEachSlot = (copied: (number: number) => void, last: (number: number) => void, first = 1): void => {
    if (first > DEEPEST_NESTING) return;
    context.if(level.lessThanUnsigned(BigInt(first)).not(), () => {
      context.if(
        level.equals(BigInt(first)),
        () => last(first),
        () => copied(first),
      );
      forEachSlot(copied, last, first + 1);
    });
  };

  probeWrite(context, newFrame);
  probeWrite(context, newTop);
  const savedFrame = slot(0);
  const slots: MemoryReference[] = [];
  const lastSlots: MemoryReference[] = [];
  forEachSlot(
    (number) => {
      slots[number] = slot(number);
      readDisplay(number);
    },
    (number) => {
      lastSlots[number] = slot(number);
    },
  );

  savedFrame.write(width, frame);
  forEachSlot(
    (number) => slots[number]!.write(width, readDisplay(number)),
    (number) => lastSlots[number]!.write(width, newFrame),
  );
  context.adjustStack(newTop.subtract(top));
  context.writeRegister(GPR.RBP, width, newFrame);
};

/** LEAVE: RSP = RBP, then POP RBP. */
export const leave: Semantics = (context) => {
  const width = context.operandSize;
  const frame = context.let(context.readRegister(GPR.RBP, pointerWidth(context)));
  const savedFrame = context.memory(SEGMENT.SS, frame, width, 'r').read(width);
  context.adjustStack(frame.subtract(stackPointer(context)).add(i64(BigInt(width / 8))));
  context.writeRegister(GPR.RBP, width, savedFrame);
};
