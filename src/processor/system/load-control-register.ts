/** Loading CR0, CR3 and CR4 with every consistency check (SDM Vol. 3A, 2.5 Control Registers; Vol. 2, MOV—Move to/from CR). */

import { CR0, CR4, EFER } from '../../architecture/control-registers.js';
import { CPUID_1_ECX, CPUID_7_EBX } from '../../architecture/cpuid-features.js';
import { ACCESS_RIGHTS } from '../../architecture/descriptors.js';
import { MSR } from '../../architecture/msrs.js';
import { SEGMENT } from '../../architecture/registers.js';
import type { ProcessorCore } from '../core.js';
import { raiseGeneralProtection } from '../events/faults.js';
import { isLongMode } from '../segmentation/mode.js';
import { physicalAddressBits } from './cpuid-model.js';

const CR0_DEFINED =
  CR0.PE | CR0.MP | CR0.EM | CR0.TS | CR0.ET | CR0.NE | CR0.WP | CR0.AM | CR0.NW | CR0.CD | CR0.PG;
/** Changes of these bits change how addresses are translated. */
const CR0_PAGING = CR0.PG | CR0.WP | CR0.PE;
const CR4_PAGING = CR4.PSE | CR4.PAE | CR4.PGE | CR4.PCIDE | CR4.SMEP | CR4.SMAP;

const CR4_BASE =
  CR4.TSD | CR4.DE | CR4.PSE | CR4.PAE | CR4.MCE | CR4.PGE | CR4.PCE | CR4.OSFXSR | CR4.OSXMMEXCPT;

/** CR4 bits that this processor has: those of features that CPUID does not report are reserved. */
export function supportedCr4(core: ProcessorCore): number {
  const { ecx } = core.cpuid(1, 0);
  const { ebx, ecx: ecx7 } = core.cpuid(7, 0);
  let bits: number = CR4_BASE;
  if (core.vmx !== null) bits |= CR4.VMXE;
  if ((ecx & CPUID_1_ECX.PCID) !== 0) bits |= CR4.PCIDE;
  if ((ecx & CPUID_1_ECX.XSAVE) !== 0) bits |= CR4.OSXSAVE;
  if ((ebx & CPUID_7_EBX.FSGSBASE) !== 0) bits |= CR4.FSGSBASE;
  if ((ebx & CPUID_7_EBX.SMEP) !== 0) bits |= CR4.SMEP;
  if ((ebx & CPUID_7_EBX.SMAP) !== 0) bits |= CR4.SMAP;
  if ((ecx7 & 4) !== 0) bits |= CR4.UMIP;
  return bits;
}

/**
 * #GP(0) when VMX operation does not allow the value (SDM Vol. 3D, A.7 and A.8). In non-root operation PE and PG are
 * left to the guest/host mask.
 */
function checkFixedBits(
  core: ProcessorCore,
  value: number,
  fixed0: number,
  fixed1: number,
  exempt: number,
): void {
  const { vmx } = core;
  if (vmx === null || !vmx.active) return;
  const ones = Number((vmx.capability(fixed0) ?? 0n) & 0xffffffffn) & ~exempt;
  const zeros = ~Number((vmx.capability(fixed1) ?? 0xffffffffn) & 0xffffffffn);
  if ((value & ones) !== ones || (value & zeros) !== 0) raiseGeneralProtection();
}

/** Turning paging on with EFER.LME enters IA-32e mode (SDM Vol. 3A, 9.8.5 Initializing IA-32e Mode). */
function checkPagingChange(core: ProcessorCore, value: number): void {
  const { state } = core;
  const long = (state.segment(SEGMENT.CS).accessRights & ACCESS_RIGHTS.LONG) !== 0;
  const wasOn = (state.cr0 & CR0.PG) !== 0;
  const isOn = (value & CR0.PG) !== 0;
  if (isOn && !wasOn && (state.efer & EFER.LME) !== 0) {
    if ((state.cr4 & CR4.PAE) === 0 || long) raiseGeneralProtection();
  }
  if (!isOn && wasOn) {
    if (isLongMode(state) && long) raiseGeneralProtection();
    if ((state.cr4 & CR4.PCIDE) !== 0) raiseGeneralProtection();
  }
}

/** @param value 64 bits; #GP(0) when it is not allowed */
export function loadCr0(core: ProcessorCore, value: bigint): void {
  const { state } = core;
  if (value >> 32n !== 0n) raiseGeneralProtection();
  const next = ((Number(value) & CR0_DEFINED) | CR0.ET) >>> 0;
  if ((next & CR0.PG) !== 0 && (next & CR0.PE) === 0) raiseGeneralProtection();
  if ((next & CR0.NW) !== 0 && (next & CR0.CD) === 0) raiseGeneralProtection();
  const exempt = core.intercepts === null ? 0 : CR0.PE | CR0.PG;
  checkFixedBits(core, next, MSR.VMX_CR0_FIXED0, MSR.VMX_CR0_FIXED1, exempt);
  checkPagingChange(core, next);

  const changed = state.cr0 ^ next;
  state.cr0 = next;
  if ((changed & CR0.PG) !== 0 && (state.efer & EFER.LME) !== 0)
    state.efer = (next & CR0.PG) !== 0 ? state.efer | EFER.LMA : state.efer & ~EFER.LMA;
  if ((changed & CR0_PAGING) !== 0) core.caches.flushAll();
  core.caches.modeChanged();
}

/** @param value 64 bits; #GP(0) for reserved bits of IA-32e mode */
export function loadCr3(core: ProcessorCore, value: bigint): void {
  const { state } = core;
  let next = value;
  if ((state.cr4 & CR4.PCIDE) !== 0) next &= ~(1n << 63n);
  if (isLongMode(state)) {
    if (next >> BigInt(physicalAddressBits(core)) !== 0n) raiseGeneralProtection();
  }
  state.cr3 = next;
  core.caches.flushAll();
}

/** @param value 64 bits; #GP(0) when it is not allowed */
export function loadCr4(core: ProcessorCore, value: bigint): void {
  const { state } = core;
  if ((value & ~BigInt(supportedCr4(core))) !== 0n) raiseGeneralProtection();
  const next = Number(value);
  if (isLongMode(state) && (next & CR4.PAE) === 0) raiseGeneralProtection();
  if ((next & CR4.PCIDE) !== 0 && (state.cr4 & CR4.PCIDE) === 0)
    if (!isLongMode(state) || (state.cr3 & 0xfffn) !== 0n) raiseGeneralProtection();
  checkFixedBits(core, next, MSR.VMX_CR4_FIXED0, MSR.VMX_CR4_FIXED1, 0);
  const changed = state.cr4 ^ next;
  state.cr4 = next;
  if ((changed & CR4_PAGING) !== 0) core.caches.flushAll();
  core.caches.modeChanged();
}
