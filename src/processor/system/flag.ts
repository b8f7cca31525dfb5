/** CLI, STI, POPF, POPFD, POPFQ (SDM Vol. 2). */

import { RFLAGS } from '../../architecture/rflags.js';
import { OUTCOME, type SystemInstruction } from '../core.js';
import { raiseGeneralProtection } from '../events/faults.js';
import { mergeFlags, writableFlags } from '../segmentation/flags-image.js';
import { ioPrivilegeLevel, isProtectedMode, isVirtual8086Mode } from '../segmentation/mode.js';
import { Stack } from '../segmentation/stack.js';

export const cli: SystemInstruction = (core) => {
  const { state } = core;
  if (isProtectedMode(state) && state.cpl > ioPrivilegeLevel(state)) raiseGeneralProtection();
  mergeFlags(state, 0, RFLAGS.IF);
  return OUTCOME.NEXT;
};

/** Interrupts stay blocked for one more instruction when IF was clear (SDM Vol. 3A, 6.8.3). */
export const sti: SystemInstruction = (core) => {
  const { state } = core;
  if (isProtectedMode(state) && state.cpl > ioPrivilegeLevel(state)) raiseGeneralProtection();
  if (!state.interruptsEnabled) core.interruptShadow = 'sti';
  mergeFlags(state, RFLAGS.IF, RFLAGS.IF);
  return OUTCOME.NEXT;
};

export const popf: SystemInstruction = (core, instruction) => {
  const { state } = core;
  const size = instruction.operandSize / 8;
  if (isVirtual8086Mode(state) && ioPrivilegeLevel(state) < 3) raiseGeneralProtection();
  const stack = Stack.current(core);
  const image = Number(stack.pop(size) & 0xffffffffn);
  const cleared = size > 2 && state.cpl === 0 ? RFLAGS.VIF | RFLAGS.VIP : 0;
  const mask = writableFlags(state, size);
  mergeFlags(state, image & mask, mask | RFLAGS.RF | cleared);
  stack.commit();
  return OUTCOME.NEXT;
};
