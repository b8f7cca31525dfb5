/** The processor's model-specific registers: what may be read and written (SDM Vol. 4, Chapter 2). */

import { isCanonical } from '../../architecture/canonical-address.js';
import { CR0, EFER } from '../../architecture/control-registers.js';
import { CPUID_EXTENDED_EDX } from '../../architecture/cpuid-features.js';
import { MSR } from '../../architecture/msrs.js';
import { SEGMENT } from '../../architecture/registers.js';
import type { ProcessorCore } from '../core.js';
import { STATE } from '../state/layout.js';
import { physicalAddressBits } from './cpuid-model.js';

/** How a register that is a plain field of the state takes a value; undefined refuses it (#GP). */
interface PlainRegister {
  readonly offset: number;
  accept(value: bigint): bigint | undefined;
}

const canonical = (value: bigint): bigint | undefined => (isCanonical(value) ? value : undefined);
const low32 = (value: bigint): bigint | undefined => (value >> 32n === 0n ? value : undefined);
const anything = (value: bigint): bigint => value;
const without =
  (reserved: bigint) =>
  (value: bigint): bigint | undefined =>
    (value & reserved) === 0n ? value : undefined;

/** Each byte of IA32_PAT is 0, 1, 4, 5, 6 or 7 (SDM Vol. 3A, 11.12.2). */
function pageAttributes(value: bigint): bigint | undefined {
  for (let byte = 0n; byte < 8n; byte++) {
    const type = Number((value >> (byte * 8n)) & 0xffn);
    if (type > 7 || type === 2 || type === 3) return undefined;
  }
  return value;
}

const PLAIN: ReadonlyMap<number, PlainRegister> = new Map<number, PlainRegister>([
  [MSR.SYSENTER_CS, { offset: STATE.SYSENTER_CS, accept: anything }],
  [MSR.SYSENTER_ESP, { offset: STATE.SYSENTER_ESP, accept: canonical }],
  [MSR.SYSENTER_EIP, { offset: STATE.SYSENTER_EIP, accept: canonical }],
  [MSR.STAR, { offset: STATE.STAR, accept: anything }],
  [MSR.LSTAR, { offset: STATE.LSTAR, accept: canonical }],
  [MSR.CSTAR, { offset: STATE.CSTAR, accept: canonical }],
  [MSR.SYSCALL_MASK, { offset: STATE.SYSCALL_MASK, accept: low32 }],
  [MSR.KERNEL_GS_BASE, { offset: STATE.KERNEL_GS_BASE, accept: canonical }],
  [MSR.TSC_AUX, { offset: STATE.TSC_AUX, accept: low32 }],
  [MSR.PAT, { offset: STATE.PAT, accept: pageAttributes }],
  // LBR, BTF and the trace bits that Nehalem has.
  [MSR.DEBUGCTL, { offset: STATE.DEBUGCTL, accept: without(~0x7fc3n) }],
  [MSR.MISC_ENABLE, { offset: STATE.MISC_ENABLE, accept: anything }],
]);

/** IA32_APIC_BASE: BSP, EXTD, EN and the base (SDM Vol. 3A, 10.4.4 and 10.12.5). */
const APIC_BASE_ENABLE = 1n << 11n;
const APIC_BASE_EXTENDED = 1n << 10n;
const FEATURE_CONTROL_LOCK = 1n;

/** x2APIC mode is entered from xAPIC mode and left only by disabling the APIC (SDM Vol. 3A, Figure 10-26). */
function isApicBaseAllowed(current: bigint, value: bigint, physicalBits: number): boolean {
  const reserved =
    ~(((1n << BigInt(physicalBits)) - 1n) & ~0xfffn) & ~(APIC_BASE_ENABLE | APIC_BASE_EXTENDED | 0x100n);
  if ((value & reserved) !== 0n) return false;
  const enable = (value & APIC_BASE_ENABLE) !== 0n;
  const extended = (value & APIC_BASE_EXTENDED) !== 0n;
  if (extended && !enable) return false;
  const wasEnabled = (current & APIC_BASE_ENABLE) !== 0n;
  const wasExtended = (current & APIC_BASE_EXTENDED) !== 0n;
  if (wasExtended) return extended || !enable;
  return wasEnabled || !extended;
}

/** SCE, LME and NXE may be written; LMA is the processor's; LME is fixed while paging is on (SDM Vol. 3A, 2.2.1). */
function writeEfer(core: ProcessorCore, value: bigint): boolean {
  const { state } = core;
  const { edx } = core.cpuid(0x80000001, 0);
  let supported = EFER.LMA;
  if ((edx & CPUID_EXTENDED_EDX.SYSCALL) !== 0) supported |= EFER.SCE;
  if ((edx & CPUID_EXTENDED_EDX.NX) !== 0) supported |= EFER.NXE;
  if ((edx & CPUID_EXTENDED_EDX.LM) !== 0) supported |= EFER.LME;
  if ((value & ~BigInt(supported)) !== 0n) return false;
  const next = (Number(value) & ~EFER.LMA) | (state.efer & EFER.LMA);
  const changed = state.efer ^ next;
  if ((changed & EFER.LME) !== 0 && (state.cr0 & CR0.PG) !== 0) return false;
  state.efer = next;
  if ((changed & EFER.NXE) !== 0) core.caches.flushAll();
  core.caches.modeChanged();
  return true;
}

/** The time-stamp counter as the processor itself counts it, without any VMX offset. Unsigned 64 bits. */
export function readTimeStampCounter(core: ProcessorCore): bigint {
  return BigInt.asUintN(64, BigInt(Math.floor(core.timeStampCounter)) + core.state.read64(STATE.TSC_ADJUST));
}

/** Value of a register as RDMSR reads it, undefined when the processor does not have it. */
export function readMsr(core: ProcessorCore, index: number): bigint | undefined {
  const { state } = core;
  for (const device of core.msrDevices ?? []) {
    const value = device.read(index);
    if (value !== undefined) return value;
  }
  const plain = PLAIN.get(index);
  if (plain !== undefined) return state.read64(plain.offset);
  switch (index) {
    case MSR.TIME_STAMP_COUNTER:
      return BigInt.asUintN(64, readTimeStampCounter(core) + (core.intercepts?.tscOffset ?? 0n));
    case MSR.APIC_BASE:
      return state.read64(STATE.APIC_BASE);
    case MSR.FEATURE_CONTROL:
      return core.vmx === null ? undefined : state.read64(STATE.FEATURE_CONTROL);
    case MSR.EFER:
      return BigInt(state.efer);
    case MSR.FS_BASE:
      return state.segment(SEGMENT.FS).base;
    case MSR.GS_BASE:
      return state.segment(SEGMENT.GS).base;
    case MSR.MTRRCAP:
    case MSR.MTRR_DEF_TYPE:
      // No variable and no fixed ranges; everything is write-back.
      return index === MSR.MTRR_DEF_TYPE ? 0x806n : 0n;
    default:
      return core.vmx?.capability(index);
  }
}

/** Writes a register as WRMSR does; false stands for #GP(0): no such register, read-only, or a bad value. */
export function writeMsr(core: ProcessorCore, index: number, value: bigint): boolean {
  const { state } = core;
  for (const device of core.msrDevices ?? []) if (device.write(index, value)) return true;
  const plain = PLAIN.get(index);
  if (plain !== undefined) {
    const accepted = plain.accept(value);
    if (accepted === undefined) return false;
    state.write64(plain.offset, accepted);
    return true;
  }
  switch (index) {
    case MSR.TIME_STAMP_COUNTER:
      // In VMX non-root operation the offset is not subtracted (SDM Vol. 3C, 25.3: WRMSR).
      state.write64(STATE.TSC_ADJUST, BigInt.asUintN(64, value - BigInt(Math.floor(core.timeStampCounter))));
      return true;
    case MSR.APIC_BASE: {
      if (!isApicBaseAllowed(state.read64(STATE.APIC_BASE), value, physicalAddressBits(core))) return false;
      state.write64(STATE.APIC_BASE, value);
      core.caches.flushAll();
      return true;
    }
    case MSR.FEATURE_CONTROL: {
      const current = state.read64(STATE.FEATURE_CONTROL);
      if (core.vmx === null || (current & FEATURE_CONTROL_LOCK) !== 0n || (value & ~7n) !== 0n) return false;
      state.write64(STATE.FEATURE_CONTROL, value);
      return true;
    }
    case MSR.EFER:
      return writeEfer(core, value);
    case MSR.FS_BASE:
    case MSR.GS_BASE:
      if (!isCanonical(value)) return false;
      state.segment(index === MSR.FS_BASE ? SEGMENT.FS : SEGMENT.GS).base = value;
      return true;
    default:
      return false;
  }
}
