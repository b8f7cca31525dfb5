/** MOV to and from control registers, CLTS, LMSW, SMSW (SDM Vol. 2; exits: Vol. 3C, 25.1.3 and 25.3). */

import { CR0, CR4 } from '../../architecture/control-registers.js';
import { OUTCOME, type ProcessorCore, type SystemInstruction } from '../core.js';
import { raiseGeneralProtection, raiseInvalidOpcode } from '../events/faults.js';
import { STATE } from '../state/layout.js';
import { loadCr0, loadCr3, loadCr4 } from './load-control-register.js';
import { readOperand, readRegister, requireSupervisor, writeOperand, writeRegister } from './operands.js';

const visibleCr0 = (core: ProcessorCore): bigint => core.intercepts?.visibleCr0() ?? BigInt(core.state.cr0);
const visibleCr4 = (core: ProcessorCore): bigint => core.intercepts?.visibleCr4() ?? BigInt(core.state.cr4);

function readCr8(core: ProcessorCore): bigint {
  const shadow = core.intercepts?.tprShadow;
  if (shadow !== undefined) return shadow.read();
  const device = core.interrupts.taskPriority;
  return device === undefined ? core.state.read64(STATE.CR8) : BigInt(device.read());
}

/** True when the write caused a VM exit (TPR below threshold). */
function writeCr8(core: ProcessorCore, value: bigint): boolean {
  if (value >> 4n !== 0n) raiseGeneralProtection();
  const shadow = core.intercepts?.tprShadow;
  if (shadow !== undefined) return shadow.write(value);
  core.state.write64(STATE.CR8, value);
  core.interrupts.taskPriority?.write(Number(value));
  return false;
}

function requireControlRegister(number: number): void {
  if (number === 1 || (number > 4 && number !== 8)) raiseInvalidOpcode();
}

export const movFromControlRegister: SystemInstruction = (core, instruction) => {
  const gpr = instruction.register(0);
  const number = instruction.register(1);
  requireControlRegister(number);
  requireSupervisor(core);
  let value: bigint;
  switch (number) {
    case 0:
      value = visibleCr0(core);
      break;
    case 2:
      value = core.state.cr2;
      break;
    case 3:
      if (core.intercepts?.readCr3(instruction, gpr)) return OUTCOME.EXITED;
      value = core.state.cr3;
      break;
    case 4:
      value = visibleCr4(core);
      break;
    default:
      if (core.intercepts?.readCr8(instruction, gpr)) return OUTCOME.EXITED;
      value = readCr8(core);
  }
  writeRegister(core, gpr, instruction.encoding.operands[0]!.width, value);
  return OUTCOME.NEXT;
};

export const movToControlRegister: SystemInstruction = (core, instruction) => {
  const { intercepts } = core;
  const number = instruction.register(0);
  const gpr = instruction.register(1);
  requireControlRegister(number);
  requireSupervisor(core);
  const value = readRegister(core, gpr, instruction.encoding.operands[1]!.width);
  switch (number) {
    case 0: {
      const merged = intercepts === null ? value : intercepts.writeCr0(instruction, value, gpr);
      if (merged === undefined) return OUTCOME.EXITED;
      loadCr0(core, merged);
      return OUTCOME.NEXT;
    }
    case 2:
      core.state.cr2 = value;
      return OUTCOME.NEXT;
    case 3:
      if (intercepts?.writeCr3(instruction, value, gpr)) return OUTCOME.EXITED;
      loadCr3(core, value);
      return OUTCOME.NEXT;
    case 4: {
      const merged = intercepts === null ? value : intercepts.writeCr4(instruction, value, gpr);
      if (merged === undefined) return OUTCOME.EXITED;
      loadCr4(core, merged);
      return OUTCOME.NEXT;
    }
    default:
      if (intercepts?.writeCr8(instruction, value, gpr)) return OUTCOME.EXITED;
      return writeCr8(core, value) ? OUTCOME.EXITED : OUTCOME.NEXT;
  }
};

export const clts: SystemInstruction = (core, instruction) => {
  requireSupervisor(core);
  const decision = core.intercepts?.clts(instruction) ?? 'clear';
  if (decision === 'exited') return OUTCOME.EXITED;
  if (decision === 'clear') {
    core.state.cr0 &= ~CR0.TS;
    core.caches.modeChanged();
  }
  return OUTCOME.NEXT;
};

/** LMSW can set PE, not clear it. */
export const lmsw: SystemInstruction = (core, instruction) => {
  requireSupervisor(core);
  const { state, intercepts } = core;
  const fromMemory = instruction.memoryOperand === 0;
  const address = fromMemory ? core.operandAddress(instruction, 'read', 2) : undefined;
  const source = Number(readOperand(core, instruction, 0) & 0xffffn);
  const low =
    intercepts === null
      ? (source & 0xf) | (state.cr0 & CR0.PE)
      : intercepts.lmsw(instruction, source, address);
  if (low === undefined) return OUTCOME.EXITED;
  loadCr0(core, BigInt(((state.cr0 & ~0xf) | low) >>> 0));
  return OUTCOME.NEXT;
};

export const smsw: SystemInstruction = (core, instruction) => {
  if ((core.state.cr4 & CR4.UMIP) !== 0 && core.state.cpl > 0) raiseGeneralProtection();
  writeOperand(core, instruction, 0, visibleCr0(core));
  return OUTCOME.NEXT;
};
