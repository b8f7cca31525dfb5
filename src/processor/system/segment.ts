/** Segment registers as operands (SDM Vol. 2: MOV, PUSH, POP, LDS/LES/LFS/LGS/LSS, RDFSBASE … WRGSBASE). */

import { isCanonical } from '../../architecture/canonical-address.js';
import { CR4 } from '../../architecture/control-registers.js';
import { SEGMENT } from '../../architecture/registers.js';
import { OUTCOME, type SystemInstruction } from '../core.js';
import { raiseGeneralProtection, raiseInvalidOpcode } from '../events/faults.js';
import { loadDataSegment } from '../segmentation/data-segment.js';
import { is64BitMode } from '../segmentation/mode.js';
import { Stack } from '../segmentation/stack.js';
import { readFarPointer } from './control-transfer.js';
import { readOperand, writeOperand, writeRegister } from './operands.js';

export const movFromSegment: SystemInstruction = (core, instruction) => {
  const number = instruction.register(1);
  if (number > SEGMENT.GS) raiseInvalidOpcode();
  writeOperand(core, instruction, 0, BigInt(core.state.segment(number).selector));
  return OUTCOME.NEXT;
};

export const movToSegment: SystemInstruction = (core, instruction) => {
  const number = instruction.register(0);
  if (number > SEGMENT.GS || number === SEGMENT.CS) raiseInvalidOpcode();
  loadDataSegment(core, number, Number(readOperand(core, instruction, 1) & 0xffffn));
  if (number === SEGMENT.SS) core.interruptShadow = 'mov-ss';
  return OUTCOME.NEXT;
};

export const pushSegment: SystemInstruction = (core, instruction) => {
  const stack = Stack.current(core);
  stack.push(instruction.operandSize / 8, BigInt(core.state.segment(instruction.register(0)).selector));
  stack.commit();
  return OUTCOME.NEXT;
};

export const popSegment: SystemInstruction = (core, instruction) => {
  const number = instruction.register(0);
  const stack = Stack.current(core);
  const selector = Number(stack.pop(instruction.operandSize / 8) & 0xffffn);
  loadDataSegment(core, number, selector);
  stack.commit();
  if (number === SEGMENT.SS) core.interruptShadow = 'mov-ss';
  return OUTCOME.NEXT;
};

/** LES, LDS, LSS, LFS, LGS: a far pointer from memory into a segment register and a general-purpose register. */
export const loadFarPointer =
  (segment: number): SystemInstruction =>
  (core, instruction) => {
    const { selector, offset } = readFarPointer(core, instruction);
    loadDataSegment(core, segment, selector);
    writeRegister(core, instruction.register(0), instruction.operandSize, offset);
    return OUTCOME.NEXT;
  };

export const readBase =
  (segment: number): SystemInstruction =>
  (core, instruction) => {
    if ((core.state.cr4 & CR4.FSGSBASE) === 0 || !is64BitMode(core.state)) raiseInvalidOpcode();
    writeOperand(core, instruction, 0, core.state.segment(segment).base);
    return OUTCOME.NEXT;
  };

export const writeBase =
  (segment: number): SystemInstruction =>
  (core, instruction) => {
    if ((core.state.cr4 & CR4.FSGSBASE) === 0 || !is64BitMode(core.state)) raiseInvalidOpcode();
    const base = readOperand(core, instruction, 0);
    if (!isCanonical(base)) raiseGeneralProtection();
    core.state.segment(segment).base = base;
    return OUTCOME.NEXT;
  };
