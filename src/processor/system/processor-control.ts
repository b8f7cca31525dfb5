/** HLT, CPUID, PAUSE, INVD, WBINVD, INVLPG, MONITOR, MWAIT, XGETBV, XSETBV (SDM Vol. 2; exits: Vol. 3C, 25.1). */

import { CR4 } from '../../architecture/control-registers.js';
import { CPUID_1_ECX, CPUID_1_EDX } from '../../architecture/cpuid-features.js';
import { GPR, SEGMENT } from '../../architecture/registers.js';
import { NO_REGISTER } from '../../instruction-set/instruction.js';
import { OUTCOME, type ProcessorCore, type SystemInstruction } from '../core.js';
import { raiseGeneralProtection, raiseInvalidOpcode } from '../events/faults.js';
import {
  checkedLinearAddress,
  effectiveAddress,
  uncheckedLinearAddress,
} from '../segmentation/segment-address.js';
import { STATE } from '../state/layout.js';
import { readEdxEax, readRegister, requireSupervisor, writeEdxEax } from './operands.js';

export const hlt: SystemInstruction = (core, instruction) => {
  requireSupervisor(core);
  if (core.intercepts?.hlt(instruction)) return OUTCOME.EXITED;
  core.halted = true;
  return OUTCOME.HALTED;
};

/** OSXSAVE and APIC follow the present state of CR4 and IA32_APIC_BASE. */
export const cpuid: SystemInstruction = (core, instruction) => {
  if (core.intercepts?.cpuid(instruction)) return OUTCOME.EXITED;
  const { state } = core;
  const leaf = state.readGpr32(GPR.RAX);
  const result = core.cpuid(leaf, state.readGpr32(GPR.RCX));
  let { ecx, edx } = result;
  if (leaf === 1) {
    if ((state.cr4 & CR4.OSXSAVE) !== 0) ecx |= CPUID_1_ECX.OSXSAVE;
    if ((state.read32(STATE.APIC_BASE) & 0x800) === 0) edx &= ~CPUID_1_EDX.APIC;
  }
  state.writeGpr32(GPR.RAX, result.eax);
  state.writeGpr32(GPR.RBX, result.ebx);
  state.writeGpr32(GPR.RCX, ecx);
  state.writeGpr32(GPR.RDX, edx);
  return OUTCOME.NEXT;
};

export const pause: SystemInstruction = (core, instruction) =>
  core.intercepts?.pause(instruction) ? OUTCOME.EXITED : OUTCOME.NEXT;

/** Caches hold no data of their own here, so writing them back and dropping them has no effect. */
export const invd: SystemInstruction = (core, instruction) => {
  requireSupervisor(core);
  return core.intercepts?.invd(instruction) ? OUTCOME.EXITED : OUTCOME.NEXT;
};

export const wbinvd: SystemInstruction = (core, instruction) => {
  requireSupervisor(core);
  return core.intercepts?.wbinvd(instruction) ? OUTCOME.EXITED : OUTCOME.NEXT;
};

/** The operand is not accessed: no segment or paging check, an address that is not canonical does nothing. */
export const invlpg: SystemInstruction = (core, instruction) => {
  requireSupervisor(core);
  const address = uncheckedLinearAddress(
    core.state,
    instruction.segment,
    effectiveAddress(core, instruction),
  );
  if (core.intercepts?.invlpg(instruction, address)) return OUTCOME.EXITED;
  core.caches.flushPage(address);
  return OUTCOME.NEXT;
};

function requireMonitor(core: ProcessorCore): void {
  if ((core.cpuid(1, 0).ecx & CPUID_1_ECX.MONITOR) === 0 || core.state.cpl !== 0) raiseInvalidOpcode();
}

export const monitor: SystemInstruction = (core, instruction) => {
  requireMonitor(core);
  if (core.intercepts?.monitor(instruction)) return OUTCOME.EXITED;
  if (core.state.readGpr32(GPR.RCX) !== 0) raiseGeneralProtection();
  const segment = instruction.segmentOverride === NO_REGISTER ? SEGMENT.DS : instruction.segmentOverride;
  const offset = readRegister(core, GPR.RAX, instruction.addressSize);
  core.linear.probe(checkedLinearAddress(core, segment, offset, 1, 'read'), 1, 'read');
  return OUTCOME.NEXT;
};

/** The manual lets an implementation treat MWAIT as a no-operation (SDM Vol. 2B, MWAIT). */
export const mwait: SystemInstruction = (core, instruction) => {
  requireMonitor(core);
  if (core.intercepts?.mwait(instruction)) return OUTCOME.EXITED;
  if (core.state.readGpr32(GPR.RCX) > 1) raiseGeneralProtection();
  return OUTCOME.NEXT;
};

function requireExtendedState(core: ProcessorCore): void {
  if ((core.state.cr4 & CR4.OSXSAVE) === 0) raiseInvalidOpcode();
}

export const xgetbv: SystemInstruction = (core) => {
  requireExtendedState(core);
  if (core.state.readGpr32(GPR.RCX) !== 0) raiseGeneralProtection();
  writeEdxEax(core, core.state.read64(STATE.XCR0));
  return OUTCOME.NEXT;
};

/** XCR0 has the x87 bit, which must be set, and the SSE bit. */
export const xsetbv: SystemInstruction = (core, instruction) => {
  requireExtendedState(core);
  requireSupervisor(core);
  if (core.intercepts?.xsetbv(instruction)) return OUTCOME.EXITED;
  const value = readEdxEax(core);
  if (core.state.readGpr32(GPR.RCX) !== 0 || (value & 1n) === 0n || (value & ~3n) !== 0n)
    raiseGeneralProtection();
  core.state.write64(STATE.XCR0, value);
  core.caches.modeChanged();
  return OUTCOME.NEXT;
};
