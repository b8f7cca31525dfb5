/** LAR, LSL, VERR, VERW, ARPL: questions about selectors, answered in ZF (SDM Vol. 2; Vol. 3A, 5.10 Pointer Validation). */

import {
  ACCESS_RIGHTS,
  type Descriptor,
  isCodeSegment,
  isConforming,
  isWritableData,
  privilegeOf,
  SELECTOR,
  SYSTEM_TYPE,
  systemTypeOf,
} from '../../architecture/descriptors.js';
import { RFLAGS } from '../../architecture/rflags.js';
import type { Instruction } from '../../instruction-set/instruction.js';
import { OUTCOME, type Outcome, type ProcessorCore, type SystemInstruction } from '../core.js';
import { descriptorAddress, isNullSelector, readDescriptor } from '../segmentation/descriptor-table.js';
import { mergeFlags } from '../segmentation/flags-image.js';
import { isLongMode } from '../segmentation/mode.js';
import { readOperand, requireProtectedMode, writeOperand, writeRegister } from './operands.js';

const LAR_TYPES: ReadonlySet<number> = new Set([
  SYSTEM_TYPE.TSS16_AVAILABLE,
  SYSTEM_TYPE.LDT,
  SYSTEM_TYPE.TSS16_BUSY,
  SYSTEM_TYPE.CALL_GATE16,
  SYSTEM_TYPE.TASK_GATE,
  SYSTEM_TYPE.TSS_AVAILABLE,
  SYSTEM_TYPE.TSS_BUSY,
  SYSTEM_TYPE.CALL_GATE,
]);
const LAR_LONG_TYPES: ReadonlySet<number> = new Set([
  SYSTEM_TYPE.LDT,
  SYSTEM_TYPE.TSS_AVAILABLE,
  SYSTEM_TYPE.TSS_BUSY,
  SYSTEM_TYPE.CALL_GATE,
]);
const GATES: ReadonlySet<number> = new Set([
  SYSTEM_TYPE.CALL_GATE16,
  SYSTEM_TYPE.TASK_GATE,
  SYSTEM_TYPE.CALL_GATE,
]);

function answer(core: ProcessorCore, yes: boolean): Outcome {
  mergeFlags(core.state, yes ? RFLAGS.ZF : 0, RFLAGS.ZF);
  return OUTCOME.NEXT;
}

/** The descriptor when it exists and is visible at the present CPL and the selector's RPL. */
function visibleDescriptor(core: ProcessorCore, selector: number): Descriptor | undefined {
  if (isNullSelector(selector)) return undefined;
  const descriptor = readDescriptor(core, selector);
  if (descriptor === undefined || isConforming(descriptor.accessRights)) return descriptor;
  const weakest = Math.max(core.state.cpl, selector & SELECTOR.RPL);
  return privilegeOf(descriptor.accessRights) < weakest ? undefined : descriptor;
}

const selectorOperand = (core: ProcessorCore, instruction: Instruction, index: number): number =>
  Number(readOperand(core, instruction, index) & 0xffffn);

export const lar: SystemInstruction = (core, instruction) => {
  requireProtectedMode(core);
  const selector = selectorOperand(core, instruction, 1);
  const descriptor = visibleDescriptor(core, selector);
  if (descriptor === undefined) return answer(core, false);
  const type = systemTypeOf(descriptor.accessRights);
  if (type >= 0 && !(isLongMode(core.state) ? LAR_LONG_TYPES : LAR_TYPES).has(type))
    return answer(core, false);
  const raw = core.linear.read(descriptorAddress(core, selector)!, 8, 'system');
  // Bits 19:16 are undefined; they come through as they are in the descriptor.
  writeRegister(core, instruction.register(0), instruction.operandSize, (raw >> 32n) & 0xffff00n);
  return answer(core, true);
};

export const lsl: SystemInstruction = (core, instruction) => {
  requireProtectedMode(core);
  const descriptor = visibleDescriptor(core, selectorOperand(core, instruction, 1));
  if (descriptor === undefined) return answer(core, false);
  const type = systemTypeOf(descriptor.accessRights);
  const types = isLongMode(core.state) ? LAR_LONG_TYPES : LAR_TYPES;
  if (type >= 0 && (!types.has(type) || GATES.has(type))) return answer(core, false);
  writeRegister(core, instruction.register(0), instruction.operandSize, BigInt(descriptor.limit));
  return answer(core, true);
};

export const verr: SystemInstruction = (core, instruction) => {
  requireProtectedMode(core);
  const descriptor = visibleDescriptor(core, selectorOperand(core, instruction, 0));
  if (descriptor === undefined || systemTypeOf(descriptor.accessRights) >= 0) return answer(core, false);
  const { accessRights } = descriptor;
  return answer(core, !isCodeSegment(accessRights) || (accessRights & ACCESS_RIGHTS.READABLE) !== 0);
};

export const verw: SystemInstruction = (core, instruction) => {
  requireProtectedMode(core);
  const descriptor = visibleDescriptor(core, selectorOperand(core, instruction, 0));
  return answer(core, descriptor !== undefined && isWritableData(descriptor.accessRights));
};

export const arpl: SystemInstruction = (core, instruction) => {
  requireProtectedMode(core);
  const target = selectorOperand(core, instruction, 0);
  const requested = selectorOperand(core, instruction, 1) & SELECTOR.RPL;
  if ((target & SELECTOR.RPL) >= requested) return answer(core, false);
  writeOperand(core, instruction, 0, BigInt((target & ~SELECTOR.RPL) | requested));
  return answer(core, true);
};
