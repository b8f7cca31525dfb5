/** Far transfers, software interrupts and IRET as instructions (SDM Vol. 2: JMP, CALL, RET, INT n/INTO/INT3/INT1, IRET). */

import { RFLAGS } from '../../architecture/rflags.js';
import { VECTOR } from '../../architecture/vectors.js';
import type { Instruction } from '../../instruction-set/instruction.js';
import {
  type EventType,
  OUTCOME,
  type Outcome,
  type ProcessorCore,
  type SystemInstruction,
} from '../core.js';
import { deliverEvent } from '../events/delivery.js';
import { farCall } from '../segmentation/far-call.js';
import { farJump } from '../segmentation/far-jump.js';
import { farReturn } from '../segmentation/far-return.js';
import { interruptReturn } from '../segmentation/interrupt-return.js';
import { nextRip } from '../segmentation/segment-address.js';

/** Selector and offset of a far operand, in the instruction or in memory. */
export function readFarPointer(
  core: ProcessorCore,
  instruction: Instruction,
): { selector: number; offset: bigint } {
  if (instruction.memoryOperand < 0)
    return {
      selector: instruction.secondImmediate & 0xffff,
      offset: BigInt.asUintN(instruction.operandSize, instruction.immediate),
    };
  const size = instruction.operandSize / 8;
  const address = core.operandAddress(instruction, 'read', size + 2);
  const offset = core.linear.read(address, size);
  return { offset, selector: Number(core.linear.read(address + BigInt(size), 2)) };
}

export const jmpFar: SystemInstruction = (core, instruction) => {
  const { selector, offset } = readFarPointer(core, instruction);
  return farJump(core, selector, offset);
};

export const callFar: SystemInstruction = (core, instruction) => {
  const { selector, offset } = readFarPointer(core, instruction);
  return farCall(core, selector, offset, instruction.operandSize / 8, nextRip(core, instruction));
};

export const retFar: SystemInstruction = (core, instruction) => {
  const released = instruction.encoding.operands.length > 0 ? instruction.immediateLow & 0xffff : 0;
  return farReturn(core, instruction.operandSize / 8, released);
};

export const iret: SystemInstruction = (core, instruction) =>
  interruptReturn(core, instruction.operandSize / 8);

function deliverSoftware(
  core: ProcessorCore,
  instruction: Instruction,
  type: EventType,
  vector: number,
): Outcome {
  return deliverEvent(core, {
    type,
    vector,
    errorCode: undefined,
    instructionLength: instruction.length,
    payload: undefined,
  });
}

export const int: SystemInstruction = (core, instruction) =>
  deliverSoftware(core, instruction, 'software-interrupt', instruction.immediateLow & 0xff);

export const int3: SystemInstruction = (core, instruction) =>
  deliverSoftware(core, instruction, 'software-exception', VECTOR.BP);

export const int1: SystemInstruction = (core, instruction) =>
  deliverSoftware(core, instruction, 'privileged-software-exception', VECTOR.DB);

export const into: SystemInstruction = (core, instruction) =>
  (core.state.rflags & RFLAGS.OF) === 0
    ? OUTCOME.NEXT
    : deliverSoftware(core, instruction, 'software-exception', VECTOR.OF);
