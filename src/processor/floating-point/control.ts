/** x87 control instructions: FNINIT, FNCLEX, control and status word, FWAIT (SDM Vol. 2). */

import { CR0 } from '../../architecture/control-registers.js';
import { FSW } from '../../architecture/floating-point.js';
import { OUTCOME, type SystemInstruction } from '../core.js';
import { raiseDeviceNotAvailable } from '../events/faults.js';
import { checkPendingException, requireX87 } from './availability.js';
import { initializeX87 } from './fxsave-image.js';
import { X87State } from './x87-state.js';

/** #NM only when both MP and TS are set; EM does not count. */
export const fwait: SystemInstruction = (core) => {
  const both = CR0.MP | CR0.TS;
  if ((core.state.cr0 & both) === both) raiseDeviceNotAvailable();
  checkPendingException(core);
  return OUTCOME.NEXT;
};

export const fninit: SystemInstruction = (core) => {
  requireX87(core);
  initializeX87(core.state);
  return OUTCOME.NEXT;
};

export const fnclex: SystemInstruction = (core) => {
  requireX87(core);
  const x87 = new X87State(core.state);
  x87.statusWord &= ~(FSW.EXCEPTIONS | FSW.SF | FSW.ES | FSW.B);
  return OUTCOME.NEXT;
};

export const fldcw: SystemInstruction = (core, instruction) => {
  requireX87(core);
  checkPendingException(core);
  const value = core.linear.read(core.operandAddress(instruction, 'read', 2), 2);
  new X87State(core.state).controlWord = Number(value);
  return OUTCOME.NEXT;
};

export const fnstcw: SystemInstruction = (core, instruction) => {
  requireX87(core);
  const { controlWord } = new X87State(core.state);
  core.linear.write(core.operandAddress(instruction, 'write', 2), 2, BigInt(controlWord));
  return OUTCOME.NEXT;
};

export const fnstsw: SystemInstruction = (core, instruction) => {
  requireX87(core);
  const { statusWord } = new X87State(core.state);
  if (instruction.memoryOperand === 0)
    core.linear.write(core.operandAddress(instruction, 'write', 2), 2, BigInt(statusWord));
  else core.state.writeGprLow(0, 16, statusWord);
  return OUTCOME.NEXT;
};

/** FNENI, FNDISI and FNSETPM do nothing since the 387. */
export const fnnop: SystemInstruction = (core) => {
  requireX87(core);
  return OUTCOME.NEXT;
};
