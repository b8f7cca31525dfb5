/** SYSCALL, SYSRET, SYSENTER, SYSEXIT, SWAPGS (SDM Vol. 2B; Vol. 3A, 5.8.7 and 5.8.8). */

import { isCanonical } from '../../architecture/canonical-address.js';
import { EFER } from '../../architecture/control-registers.js';
import { GPR, SEGMENT } from '../../architecture/registers.js';
import { RFLAGS } from '../../architecture/rflags.js';
import { OUTCOME, type ProcessorCore, type SystemInstruction } from '../core.js';
import { raiseGeneralProtection, raiseInvalidOpcode } from '../events/faults.js';
import { is64BitMode, isLongMode, isProtectedMode } from '../segmentation/mode.js';
import { nextRip } from '../segmentation/segment-address.js';
import { setSegment } from '../segmentation/segment-register.js';
import { STATE } from '../state/layout.js';
import { requireSupervisor } from './operands.js';

/** Fixed attributes: flat, present, accessed; the DPL is added. */
const CODE64 = 0xa09b;
const CODE32 = 0xc09b;
const DATA = 0xc093;
/** Flags that SYSRET takes from R11: all defined ones but RF and VM. */
const SYSRET_FLAGS = 0x3c7fd7n;

function setFlatSegments(
  core: ProcessorCore,
  privilege: number,
  code: number,
  codeSelector: number,
  stackSelector: number,
): void {
  const flat = { base: 0n, limit: 0xffffffff };
  const level = privilege << 5;
  setSegment(core, SEGMENT.SS, (stackSelector & 0xfffc) | privilege, { ...flat, accessRights: DATA | level });
  setSegment(core, SEGMENT.CS, (codeSelector & 0xfffc) | privilege, { ...flat, accessRights: code | level });
}

export const syscall: SystemInstruction = (core, instruction) => {
  const { state } = core;
  if (!is64BitMode(state) || (state.efer & EFER.SCE) === 0) raiseInvalidOpcode();
  const flags = state.rflags;
  state.writeGpr(GPR.RCX, nextRip(core, instruction));
  state.writeGpr(GPR.R11, BigInt(flags));
  state.rip = state.read64(STATE.LSTAR);
  state.rflags = (flags & ~state.read32(STATE.SYSCALL_MASK) & ~RFLAGS.RF) >>> 0;
  const selector = Number((state.read64(STATE.STAR) >> 32n) & 0xffffn);
  setFlatSegments(core, 0, CODE64, selector, selector + 8);
  return OUTCOME.JUMPED;
};

export const sysret: SystemInstruction = (core, instruction) => {
  const { state } = core;
  if (!is64BitMode(state) || (state.efer & EFER.SCE) === 0) raiseInvalidOpcode();
  requireSupervisor(core);
  const long = instruction.operandSize === 64;
  const target = state.readGpr(GPR.RCX);
  if (long && !isCanonical(target)) raiseGeneralProtection();
  state.rip = long ? target : BigInt.asUintN(32, target);
  state.rflags = Number(state.readGpr(GPR.R11) & SYSRET_FLAGS) | RFLAGS.FIXED;
  const selector = Number((state.read64(STATE.STAR) >> 48n) & 0xffffn);
  setFlatSegments(core, 3, long ? CODE64 : CODE32, long ? selector + 16 : selector, selector + 8);
  return OUTCOME.JUMPED;
};

export const sysenter: SystemInstruction = (core) => {
  const { state } = core;
  const selector = state.read32(STATE.SYSENTER_CS) & 0xffff;
  if (!isProtectedMode(state) || (selector & 0xfffc) === 0) raiseGeneralProtection();
  const long = isLongMode(state);
  const width = long ? 64 : 32;
  state.rflags &= ~(RFLAGS.VM | RFLAGS.IF);
  state.writeGpr(GPR.RSP, BigInt.asUintN(width, state.read64(STATE.SYSENTER_ESP)));
  state.rip = BigInt.asUintN(width, state.read64(STATE.SYSENTER_EIP));
  setFlatSegments(core, 0, long ? CODE64 : CODE32, selector, selector + 8);
  return OUTCOME.JUMPED;
};

export const sysexit: SystemInstruction = (core, instruction) => {
  const { state } = core;
  const selector = state.read32(STATE.SYSENTER_CS) & 0xffff;
  if (!isProtectedMode(state) || (selector & 0xfffc) === 0) raiseGeneralProtection();
  requireSupervisor(core);
  const long = instruction.operandSize === 64;
  const width = long ? 64 : 32;
  const stack = BigInt.asUintN(width, state.readGpr(GPR.RCX));
  const target = BigInt.asUintN(width, state.readGpr(GPR.RDX));
  if (long && (!isCanonical(stack) || !isCanonical(target))) raiseGeneralProtection();
  state.writeGpr(GPR.RSP, stack);
  state.rip = target;
  const code = long ? selector + 32 : selector + 16;
  setFlatSegments(core, 3, long ? CODE64 : CODE32, code, code + 8);
  return OUTCOME.JUMPED;
};

export const swapgs: SystemInstruction = (core) => {
  const { state } = core;
  if (!is64BitMode(state)) raiseInvalidOpcode();
  requireSupervisor(core);
  const register = state.segment(SEGMENT.GS);
  const base = register.base;
  register.base = state.read64(STATE.KERNEL_GS_BASE);
  state.write64(STATE.KERNEL_GS_BASE, base);
  return OUTCOME.NEXT;
};
