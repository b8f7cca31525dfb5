/** RDMSR, WRMSR, RDTSC, RDTSCP, RDPMC (SDM Vol. 2; exits: Vol. 3C, 25.1.3). */

import { CR4 } from '../../architecture/control-registers.js';
import { CPUID_EXTENDED_EDX } from '../../architecture/cpuid-features.js';
import { GPR } from '../../architecture/registers.js';
import { OUTCOME, type ProcessorCore, type SystemInstruction } from '../core.js';
import { raiseGeneralProtection, raiseInvalidOpcode } from '../events/faults.js';
import { isProtectedMode } from '../segmentation/mode.js';
import { STATE } from '../state/layout.js';
import { readMsr, readTimeStampCounter, writeMsr } from './msr-registers.js';
import { readEdxEax, requireSupervisor, writeEdxEax } from './operands.js';

export const rdmsr: SystemInstruction = (core, instruction) => {
  requireSupervisor(core);
  const index = core.state.readGpr32(GPR.RCX);
  if (core.intercepts?.readMsr(instruction, index)) return OUTCOME.EXITED;
  const value = core.intercepts?.readVirtualMsr?.(index) ?? readMsr(core, index);
  if (value === undefined) raiseGeneralProtection();
  writeEdxEax(core, value);
  return OUTCOME.NEXT;
};

export const wrmsr: SystemInstruction = (core, instruction) => {
  requireSupervisor(core);
  const index = core.state.readGpr32(GPR.RCX);
  if (core.intercepts?.writeMsr(instruction, index)) return OUTCOME.EXITED;
  const value = readEdxEax(core);
  const virtual = core.intercepts?.writeVirtualMsr?.(instruction, index, value) ?? 'no';
  if (virtual === 'exited') return OUTCOME.EXITED;
  if (virtual === 'no' && !writeMsr(core, index, value)) raiseGeneralProtection();
  return OUTCOME.NEXT;
};

function requireTimeStampAccess(core: ProcessorCore): void {
  const restricted = (core.state.cr4 & CR4.TSD) !== 0 && isProtectedMode(core.state);
  if (restricted && core.state.cpl !== 0) raiseGeneralProtection();
}

const visibleTimeStampCounter = (core: ProcessorCore): bigint =>
  BigInt.asUintN(64, readTimeStampCounter(core) + (core.intercepts?.tscOffset ?? 0n));

export const rdtsc: SystemInstruction = (core, instruction) => {
  requireTimeStampAccess(core);
  if (core.intercepts?.rdtsc(instruction)) return OUTCOME.EXITED;
  writeEdxEax(core, visibleTimeStampCounter(core));
  return OUTCOME.NEXT;
};

export const rdtscp: SystemInstruction = (core, instruction) => {
  const reported = (core.cpuid(0x80000001, 0).edx & CPUID_EXTENDED_EDX.RDTSCP) !== 0;
  if (!reported || core.intercepts?.rdtscpEnabled === false) raiseInvalidOpcode();
  requireTimeStampAccess(core);
  if (core.intercepts?.rdtscp(instruction)) return OUTCOME.EXITED;
  writeEdxEax(core, visibleTimeStampCounter(core));
  core.state.writeGpr32(GPR.RCX, core.state.read32(STATE.TSC_AUX));
  return OUTCOME.NEXT;
};

/** The processor has no performance counters (CPUID leaf 0xA reports none): every index is out of range. */
export const rdpmc: SystemInstruction = (core, instruction) => {
  const restricted = (core.state.cr4 & CR4.PCE) === 0 && isProtectedMode(core.state);
  if (restricted && core.state.cpl !== 0) raiseGeneralProtection();
  if (core.intercepts?.rdpmc(instruction)) return OUTCOME.EXITED;
  raiseGeneralProtection();
};
