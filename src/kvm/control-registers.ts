/** The guest's control registers and EFER: what the VMCS holds for what the guest asks (vmx_set_cr0, vmx_set_efer, …). */

import { CR0, CR4, EFER } from '../architecture/control-registers.js';
import { MSR } from '../architecture/msrs.js';
import { ENTRY_CONTROL } from '../architecture/vmx/controls.js';
import { VMCS } from '../architecture/vmx/vmcs-fields.js';
import { msrBitmapOf } from './apic-mode.js';
import { activateFpu, deactivateFpu } from './fpu.js';
import { loadHostState } from './host-state.js';
import { setupMsrs } from './msr-switching.js';
import { REQUEST, type Vcpu } from './vcpu.js';

/** Bits that KVM knows; others are reserved in this era (CR0_RESERVED_BITS, CR4_RESERVED_BITS). */
const CR0_KNOWN =
  CR0.PE | CR0.MP | CR0.EM | CR0.TS | CR0.ET | CR0.NE | CR0.WP | CR0.AM | CR0.NW | CR0.CD | CR0.PG;
const CR4_KNOWN =
  CR4.VME |
  CR4.PVI |
  CR4.TSD |
  CR4.DE |
  CR4.PSE |
  CR4.PAE |
  CR4.MCE |
  CR4.PGE |
  CR4.PCE |
  CR4.OSFXSR |
  CR4.OSXMMEXCPT;
const EFER_KNOWN = EFER.SCE | EFER.LME | EFER.LMA | EFER.NXE;

/** kvm_set_cr0. False means #GP, and nothing has changed. */
export function setCr0(vcpu: Vcpu, value: number): boolean {
  if ((value & ~CR0_KNOWN) !== 0) return false;
  if ((value & CR0.NW) !== 0 && (value & CR0.CD) === 0) return false;
  if ((value & CR0.PG) !== 0 && (value & CR0.PE) === 0) return false;
  const enablesPaging = (value & CR0.PG) !== 0 && !vcpu.pagingEnabled;
  if (enablesPaging && (vcpu.efer & EFER.LME) !== 0 && (vcpu.cr4 & CR4.PAE) === 0) return false;
  writeCr0(vcpu, value);
  return true;
}

/**
 * vmx_set_cr0 with unrestricted guest. In 2.6.32 the FPU is taken away first and given back at once when TS is clear, so
 * that a change of TS pays for both; once the guest owns TS, only #NM and CLTS give it the FPU.
 */
export function writeCr0(vcpu: Vcpu, value: number): void {
  const { cpu } = vcpu;
  const trapped = vcpu.vm.policies.taskSwitchedFlag === 'trapped';
  if (trapped) deactivateFpu(vcpu);
  const hadPaging = vcpu.pagingEnabled;
  const hasPaging = (value & CR0.PG) !== 0;
  if ((vcpu.efer & EFER.LME) !== 0 && hadPaging !== hasPaging)
    writeEfer(vcpu, hasPaging ? vcpu.efer | EFER.LMA : vcpu.efer & ~EFER.LMA);
  let hardware = (value & ~(CR0.NW | CR0.CD)) | CR0.NE;
  if (!vcpu.fpuActive) hardware |= trapped ? CR0.TS : CR0.TS | CR0.MP;
  cpu.vmwriteNumber(VMCS.CR0_READ_SHADOW, value >>> 0);
  cpu.vmwriteNumber(VMCS.GUEST_CR0, hardware >>> 0);
  vcpu.cr0 = value;
  if (hadPaging !== hasPaging) {
    writeCr4(vcpu, vcpu.cr4);
    vcpu.makeRequest(REQUEST.TLB_FLUSH);
  }
  const { hostFpu } = vcpu.vm.policies;
  if (hostFpu === 'eager' || (trapped && ((value & CR0.TS) === 0 || (value & CR0.PE) === 0)))
    activateFpu(vcpu);
}

/** kvm_set_cr4. False means #GP. */
export function setCr4(vcpu: Vcpu, value: number): boolean {
  if ((value & ~CR4_KNOWN) !== 0) return false;
  if (vcpu.longModeActive && (value & CR4.PAE) === 0) return false;
  const translation = CR4.PGE | CR4.PSE | CR4.PAE;
  if (((value ^ vcpu.cr4) & translation) !== 0) vcpu.makeRequest(REQUEST.TLB_FLUSH);
  writeCr4(vcpu, value);
  return true;
}

/** vmx_set_cr4: VMXE is always set in hardware, and never visible. */
export function writeCr4(vcpu: Vcpu, value: number): void {
  const { cpu } = vcpu;
  vcpu.cr4 = value;
  cpu.vmwriteNumber(VMCS.CR4_READ_SHADOW, value >>> 0);
  cpu.vmwriteNumber(VMCS.GUEST_CR4, (value | CR4.VMXE) >>> 0);
}

/** kvm_set_cr3: with EPT the guest's own tables, and only unexitted changes are looked up in the VMCS. */
export function setCr3(vcpu: Vcpu, value: bigint): void {
  vcpu.cr3Bits = Number(value);
  vcpu.cpu.vmwrite(VMCS.GUEST_CR3, value);
  vcpu.makeRequest(REQUEST.TLB_FLUSH);
}

/** set_efer. False means #GP. */
export function setEfer(vcpu: Vcpu, value: bigint): boolean {
  if ((value & ~BigInt(EFER_KNOWN)) !== 0n) return false;
  const bits = Number(value);
  if (vcpu.pagingEnabled && ((vcpu.efer ^ bits) & EFER.LME) !== 0) return false;
  writeEfer(vcpu, (bits & ~EFER.LMA) | (vcpu.efer & EFER.LMA));
  return true;
}

/** vmx_set_efer: VM entry sets LMA and LME; the rest is for the MSR switch. */
export function writeEfer(vcpu: Vcpu, bits: number): void {
  const { cpu } = vcpu;
  loadHostState(vcpu);
  vcpu.efer = bits;
  const longMode = (bits & EFER.LMA) !== 0;
  const controls = cpu.vmreadNumber(VMCS.VM_ENTRY_CONTROLS);
  const wanted = longMode
    ? controls | ENTRY_CONTROL.IA32E_MODE_GUEST
    : controls & ~ENTRY_CONTROL.IA32E_MODE_GUEST;
  cpu.vmwriteNumber(VMCS.VM_ENTRY_CONTROLS, wanted >>> 0);
  vcpu.vmx.switchedMsr(MSR.EFER)!.guestValue = BigInt(longMode ? bits : bits & ~EFER.LME);
  setupMsrs(vcpu);
  cpu.vmwriteNumber(VMCS.ADDRESS_OF_MSR_BITMAPS, msrBitmapOf(vcpu));
}
