/** The guest's model-specific registers (vmx_get_msr, vmx_set_msr, kvm_get_msr_common, kvm_set_msr_common). */

import { MSR } from '../architecture/msrs.js';
import { SEGMENT } from '../architecture/registers.js';
import { VMCS } from '../architecture/vmx/vmcs-fields.js';
import { operation } from '../host/cost/operations.js';
import { apicModeChanged } from './apic-mode.js';
import { setEfer } from './control-registers.js';
import { loadHostState } from './host-state.js';
import { MSR_PV_EOI } from './irqchip/pv-eoi.js';
import { REQUEST, type Vcpu } from './vcpu.js';

const COMPARE = operation('MSR list compare');
const X2APIC_LAST = 0xbff;
const X2APIC_COMMAND = 0x830;
const X2APIC_TIMER_INITIAL = 0x838;
/** Registers that read as a constant and ignore writes: memory type ranges, microcode, power management. */
const CONSTANTS: ReadonlyMap<number, bigint> = new Map([
  [MSR.MTRRCAP, 0x508n],
  [MSR.MISC_ENABLE, 1n],
  [0x8b, 0x100000000n], // microcode revision
  [0x198, 1000n | (4n << 40n)], // performance status
]);
const PLAIN: ReadonlySet<number> = new Set([MSR.PAT, MSR.MTRR_DEF_TYPE, MSR.TSC_AUX, MSR.DEBUGCTL]);

const isCanonical = (value: bigint): boolean => BigInt.asUintN(64, BigInt.asIntN(48, value)) === value;
const CANONICAL: ReadonlySet<number> = new Set([
  MSR.FS_BASE,
  MSR.GS_BASE,
  MSR.KERNEL_GS_BASE,
  MSR.LSTAR,
  MSR.CSTAR,
  MSR.SYSENTER_ESP,
  MSR.SYSENTER_EIP,
]);

const SYSENTER_FIELD: ReadonlyMap<number, number> = new Map([
  [MSR.SYSENTER_CS, VMCS.GUEST_IA32_SYSENTER_CS],
  [MSR.SYSENTER_ESP, VMCS.GUEST_IA32_SYSENTER_ESP],
  [MSR.SYSENTER_EIP, VMCS.GUEST_IA32_SYSENTER_EIP],
]);

const segmentField = (index: number): number =>
  VMCS.GUEST_ES_BASE + 2 * (index === MSR.FS_BASE ? SEGMENT.FS : SEGMENT.GS);

/** Undefined means #GP. */
export function readMsr(vcpu: Vcpu, index: number): bigint | undefined {
  const { cpu, vmx } = vcpu;
  if (index === MSR.EFER) return BigInt(vcpu.efer);
  if (index === MSR.FS_BASE || index === MSR.GS_BASE) return cpu.vmread(segmentField(index));
  const field = SYSENTER_FIELD.get(index);
  if (field !== undefined) return cpu.vmread(field);
  if (index === MSR.TIME_STAMP_COUNTER)
    return BigInt.asUintN(64, BigInt(cpu.rdtsc()) + cpu.vmread(VMCS.TSC_OFFSET));
  if (index >= MSR.X2APIC_BASE && index <= X2APIC_LAST) {
    cpu.charge(COMPARE, vmx.switchedMsrs.length);
    return vcpu.interrupts.readX2apicMsr(index);
  }
  if (index === MSR.KERNEL_GS_BASE) {
    loadHostState(vcpu);
    return vmx.switchedMsr(index)?.guestValue ?? vmx.kernelGsBase.guestValue;
  }
  const switched = vmx.switchedMsr(index);
  cpu.charge(
    COMPARE,
    switched === undefined ? vmx.switchedMsrs.length : vmx.switchedMsrs.indexOf(switched) + 1,
  );
  if (switched !== undefined) return switched.guestValue;
  if (index === MSR.APIC_BASE) return vcpu.interrupts.readApicBase();
  if (index === MSR_PV_EOI) return vcpu.interrupts.readPvEoiMsr();
  if (index === MSR.TSC_DEADLINE) return vcpu.interrupts.readTscDeadline();
  if (PLAIN.has(index)) return vmx.otherMsrs.get(index) ?? 0n;
  return CONSTANTS.get(index);
}

/**
 * False means #GP, and nothing has changed.
 * @param low bits 31:0 of the value, unsigned
 * @param high bits 63:32, unsigned
 */
export function writeMsr(vcpu: Vcpu, index: number, low: number, high: number): boolean {
  if (index < MSR.X2APIC_BASE || index > X2APIC_LAST)
    return writeOtherMsr(vcpu, index, (BigInt(high) << 32n) | BigInt(low));
  vcpu.cpu.charge(COMPARE, vcpu.vmx.switchedMsrs.length);
  // The end of an interrupt, or a lower priority, lets others through; what commands and timers bring, asks by itself.
  if (index !== X2APIC_COMMAND && index !== X2APIC_TIMER_INITIAL) vcpu.makeRequest(REQUEST.EVENT);
  return vcpu.interrupts.writeX2apicMsr(index, low, high);
}

function writeOtherMsr(vcpu: Vcpu, index: number, value: bigint): boolean {
  const { cpu } = vcpu;
  if (CANONICAL.has(index) && !isCanonical(value)) return false;
  if (index === MSR.EFER) return setEfer(vcpu, value);
  if (index === MSR.FS_BASE || index === MSR.GS_BASE) {
    cpu.vmwrite(segmentField(index), value);
    return true;
  }
  const field = SYSENTER_FIELD.get(index);
  if (field !== undefined) {
    cpu.vmwrite(field, value);
    return true;
  }
  if (index === MSR.TIME_STAMP_COUNTER) {
    cpu.vmwrite(VMCS.TSC_OFFSET, BigInt.asUintN(64, value - BigInt(cpu.rdtsc())));
    return true;
  }
  return writeSoftwareMsr(vcpu, index, value);
}

function writeSoftwareMsr(vcpu: Vcpu, index: number, value: bigint): boolean {
  const { cpu, vmx } = vcpu;
  const switched = vmx.switchedMsr(index);
  cpu.charge(
    COMPARE,
    switched === undefined ? vmx.switchedMsrs.length : vmx.switchedMsrs.indexOf(switched) + 1,
  );
  if (switched !== undefined) {
    // The new value goes into the CPU with the others, at the next switch to the guest.
    loadHostState(vcpu);
    switched.guestValue = value;
    return true;
  }
  if (index === MSR.KERNEL_GS_BASE) {
    loadHostState(vcpu);
    vmx.kernelGsBase.guestValue = value;
    return true;
  }
  if (index === MSR.APIC_BASE) {
    vcpu.makeRequest(REQUEST.EVENT);
    if (!vcpu.interrupts.writeApicBase(value)) return false;
    apicModeChanged(vcpu);
    return true;
  }
  if (index === MSR_PV_EOI) return vcpu.interrupts.writePvEoiMsr(value);
  if (index === MSR.TSC_DEADLINE) return vcpu.interrupts.writeTscDeadline(value);
  if (PLAIN.has(index)) {
    if (index === MSR.PAT && !isValidPat(value)) return false;
    vmx.otherMsrs.set(index, value);
    if (index === MSR.PAT) cpu.vmwrite(VMCS.GUEST_IA32_PAT, value);
    return true;
  }
  return CONSTANTS.has(index);
}

/** Memory types 0, 1, 4, 5, 6, 7 in each byte (SDM Vol. 3A, 11.12.2 IA32_PAT MSR). */
function isValidPat(value: bigint): boolean {
  for (let byte = 0n; byte < 8n; byte++) {
    const type = (value >> (byte * 8n)) & 0xffn;
    if (type > 7n || type === 2n || type === 3n) return false;
  }
  return true;
}
