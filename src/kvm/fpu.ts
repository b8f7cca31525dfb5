/** The guest's FPU registers: when they are put into the CPU and taken out (kvm_load_guest_fpu, kvm_put_guest_fpu). */

import { CR0 } from '../architecture/control-registers.js';
import { VECTOR } from '../architecture/vectors.js';
import { VMCS } from '../architecture/vmx/vmcs-fields.js';
import type { Vcpu } from './vcpu.js';

/**
 * kvm_load_guest_fpu of 2.6.32: the host's registers are saved whoever they belong to. If the thread does not own them
 * (CR0.TS = 1) its FXSAVE takes a host #NM first.
 */
export function loadGuestFpu(vcpu: Vcpu): void {
  if (!vcpu.fpuActive || vcpu.guestFpuLoaded) return;
  vcpu.guestFpuLoaded = true;
  vcpu.cpu.fxsave(vcpu.hostFpu);
  vcpu.cpu.fxrstor(vcpu.guestFpu);
}

export function putGuestFpu(vcpu: Vcpu): void {
  if (!vcpu.guestFpuLoaded) return;
  vcpu.guestFpuLoaded = false;
  vcpu.cpu.fxsave(vcpu.guestFpu);
  vcpu.cpu.fxrstor(vcpu.hostFpu);
  vcpu.vm.statistics.fpuReload++;
}

/** The guest may use the FPU: real CR0.TS is the guest's, #NM is its own (vmx_fpu_activate). */
export function activateFpu(vcpu: Vcpu): void {
  if (vcpu.fpuActive) return;
  vcpu.fpuActive = true;
  const { cpu } = vcpu;
  const taskSwitched = vcpu.cr0 & CR0.TS;
  const cr0 = cpu.vmreadNumber(VMCS.GUEST_CR0);
  cpu.vmwriteNumber(VMCS.GUEST_CR0, ((cr0 & ~CR0.TS) | taskSwitched) >>> 0);
  updateExceptionBitmap(vcpu);
}

/** The next use of the FPU exits: real CR0.TS is set, #NM is intercepted (vmx_fpu_deactivate). */
export function deactivateFpu(vcpu: Vcpu): void {
  if (!vcpu.fpuActive || (vcpu.cr0 & CR0.PE) === 0) return;
  vcpu.fpuActive = false;
  const { cpu } = vcpu;
  cpu.vmwriteNumber(VMCS.GUEST_CR0, (cpu.vmreadNumber(VMCS.GUEST_CR0) | CR0.TS) >>> 0);
  updateExceptionBitmap(vcpu);
}

/**
 * update_exception_bitmap with EPT: #UD for instructions that another vendor's processor has, #MC for the host, #NM
 * while the FPU is not the guest's. Without protected mode and without unrestricted guest, everything.
 */
export function updateExceptionBitmap(vcpu: Vcpu): void {
  let bitmap = (1 << VECTOR.UD) | (1 << VECTOR.MC);
  if (!vcpu.fpuActive) bitmap |= 1 << VECTOR.NM;
  vcpu.cpu.vmwriteNumber(VMCS.EXCEPTION_BITMAP, bitmap);
}
