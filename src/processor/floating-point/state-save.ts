/** FXSAVE, FXRSTOR, LDMXCSR, STMXCSR (SDM Vol. 2). */

import { FXSAVE, MXCSR_MASK } from '../../architecture/floating-point.js';
import type { Instruction } from '../../instruction-set/instruction.js';
import type { LinearAddress } from '../../memory/addresses.js';
import { type Access, OUTCOME, type ProcessorCore, type SystemInstruction } from '../core.js';
import { raiseGeneralProtection } from '../events/faults.js';
import { STATE } from '../state/layout.js';
import { requireSse, requireX87 } from './availability.js';
import { loadFxsaveImage, storeFxsaveImage } from './fxsave-image.js';

/** Only 64-bit mode saves XMM8 … XMM15. */
const imageEnd = (instruction: Instruction): number =>
  instruction.codeSize === 64 ? FXSAVE.END : FXSAVE.END_LEGACY;

/** Linear address of the area: #GP(0) unless aligned to 16 bytes; all of it is probed. */
function areaAddress(core: ProcessorCore, instruction: Instruction, access: Access): LinearAddress {
  requireX87(core);
  const address = core.operandAddress(instruction, access, FXSAVE.SIZE);
  if ((address & 0xfn) !== 0n) raiseGeneralProtection();
  core.linear.probe(address, 8, access);
  core.linear.probe(address + BigInt(FXSAVE.SIZE - 8), 8, access);
  return address;
}

/**
 * FXSAVE and FXSAVE64. The layout without REX.W has 32-bit pointers with selectors behind them, which are written as
 * zero: as on processors that deprecate FCS and FDS.
 */
export const fxsave: SystemInstruction = (core, instruction) => {
  const address = areaAddress(core, instruction, 'write');
  const image = new Uint8Array(FXSAVE.SIZE);
  storeFxsaveImage(core.state, image);
  const view = new DataView(image.buffer);
  if (instruction.operandSize !== 64) {
    view.setUint32(FXSAVE.INSTRUCTION_POINTER + 4, 0, true);
    view.setUint32(FXSAVE.DATA_POINTER + 4, 0, true);
  }
  for (let offset = 0; offset < imageEnd(instruction); offset += 8)
    core.linear.write(address + BigInt(offset), 8, view.getBigUint64(offset, true));
  return OUTCOME.NEXT;
};

/** FXRSTOR and FXRSTOR64. */
export const fxrstor: SystemInstruction = (core, instruction) => {
  const address = areaAddress(core, instruction, 'read');
  const image = new Uint8Array(FXSAVE.SIZE);
  storeFxsaveImage(core.state, image);
  const view = new DataView(image.buffer);
  for (let offset = 0; offset < imageEnd(instruction); offset += 8)
    view.setBigUint64(offset, core.linear.read(address + BigInt(offset), 8), true);
  if (instruction.operandSize !== 64) {
    view.setUint32(FXSAVE.INSTRUCTION_POINTER + 4, 0, true);
    view.setUint32(FXSAVE.DATA_POINTER + 4, 0, true);
  }
  if (!loadFxsaveImage(core.state, image)) raiseGeneralProtection();
  return OUTCOME.NEXT;
};

export const ldmxcsr: SystemInstruction = (core, instruction) => {
  requireSse(core);
  const value = Number(core.linear.read(core.operandAddress(instruction, 'read', 4), 4));
  if ((value & ~MXCSR_MASK) !== 0) raiseGeneralProtection();
  core.state.write32(STATE.FXSAVE_IMAGE + FXSAVE.MXCSR, value);
  core.caches.modeChanged();
  return OUTCOME.NEXT;
};

export const stmxcsr: SystemInstruction = (core, instruction) => {
  requireSse(core);
  const value = core.state.read32(STATE.FXSAVE_IMAGE + FXSAVE.MXCSR);
  core.linear.write(core.operandAddress(instruction, 'write', 4), 4, BigInt(value));
  return OUTCOME.NEXT;
};
