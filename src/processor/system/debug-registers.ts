/** MOV to and from debug registers (SDM Vol. 2B, MOV—Move to/from Debug Registers; Vol. 3B, 17.2). */

import { CR4 } from '../../architecture/control-registers.js';
import { VECTOR } from '../../architecture/vectors.js';
import { OUTCOME, type Outcome, type ProcessorCore, type SystemInstruction } from '../core.js';
import { deliverEvent } from '../events/delivery.js';
import { DR6, exceptionEvent } from '../events/event.js';
import { raiseGeneralProtection, raiseInvalidOpcode } from '../events/faults.js';
import { STATE } from '../state/layout.js';
import { readRegister, requireSupervisor, writeRegister } from './operands.js';

const DR7_GENERAL_DETECT = 1n << 13n;
const DR6_ONES = 0xffff0ff0n;
const DR6_WRITABLE = 0xe00fn;
const DR7_ONES = 0x400n;
const DR7_WRITABLE = 0xffff23ffn;

/** DR4 and DR5 stand for DR6 and DR7 unless CR4.DE is set. */
function resolve(core: ProcessorCore, number: number): number {
  if (number > 7) raiseInvalidOpcode();
  if (number !== 4 && number !== 5) return number;
  if ((core.state.cr4 & CR4.DE) !== 0) raiseInvalidOpcode();
  return number + 2;
}

/** The #DB of a debug register access under DR7.GD, undefined when it is allowed. */
function generalDetect(core: ProcessorCore): Outcome | undefined {
  if ((core.state.read64(STATE.DEBUG + 7 * 8) & DR7_GENERAL_DETECT) === 0n) return undefined;
  return deliverEvent(core, exceptionEvent(VECTOR.DB, undefined, BigInt(DR6.BD)));
}

export const movFromDebugRegister: SystemInstruction = (core, instruction) => {
  const gpr = instruction.register(0);
  const encoded = instruction.register(1);
  const number = resolve(core, encoded);
  requireSupervisor(core);
  if (core.intercepts?.readDebugRegister(instruction, encoded, gpr)) return OUTCOME.EXITED;
  const detected = generalDetect(core);
  if (detected !== undefined) return detected;
  writeRegister(
    core,
    gpr,
    instruction.encoding.operands[0]!.width,
    core.state.read64(STATE.DEBUG + number * 8),
  );
  return OUTCOME.NEXT;
};

export const movToDebugRegister: SystemInstruction = (core, instruction) => {
  const encoded = instruction.register(0);
  const gpr = instruction.register(1);
  const number = resolve(core, encoded);
  requireSupervisor(core);
  if (core.intercepts?.writeDebugRegister(instruction, encoded, gpr)) return OUTCOME.EXITED;
  const detected = generalDetect(core);
  if (detected !== undefined) return detected;
  let value = readRegister(core, gpr, instruction.encoding.operands[1]!.width);
  if (number >= 6) {
    if (value >> 32n !== 0n) raiseGeneralProtection();
    value = number === 6 ? (value & DR6_WRITABLE) | DR6_ONES : (value & DR7_WRITABLE) | DR7_ONES;
  }
  core.state.write64(STATE.DEBUG + number * 8, value);
  core.caches.modeChanged();
  return OUTCOME.NEXT;
};
