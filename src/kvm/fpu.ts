/** The guest's FPU registers: when they are put into the CPU and taken out (kvm_load_guest_fpu, kvm_put_guest_fpu). */

import { CR0 } from '../architecture/control-registers.js';
import { VECTOR } from '../architecture/vectors.js';
import { VMCS } from '../architecture/vmx/vmcs-fields.js';
import { REQUEST, type Vcpu } from './vcpu.js';

/**
 * kvm_load_guest_fpu. 2.6.32 saves the host's registers whoever they belong to: if the thread does not own them (CR0.TS =
 * 1) its FXSAVE takes a host #NM first. With unlazy_fpu as it was meant (kernel_fpu_begin of 3.7) they are saved only
 * if the thread owns them, and into the thread's own image.
 */
export function loadGuestFpu(vcpu: Vcpu): void {
  if (!vcpu.fpuActive || vcpu.guestFpuLoaded) return;
  vcpu.guestFpuLoaded = true;
  const { cpu } = vcpu;
  if (vcpu.vm.policies.hostFpu === 'unconditional') cpu.fxsave(vcpu.hostFpu);
  else {
    const { current } = vcpu.hostCpu;
    if (current.usesFpu) {
      cpu.fxsave(current.savedFpu);
      current.usesFpu = false;
    } else cpu.clts();
  }
  cpu.fxrstor(vcpu.guestFpu);
}

/** kvm_put_guest_fpu: the host's registers come back now, or when the thread uses them (its own #NM). */
export function putGuestFpu(vcpu: Vcpu): void {
  if (!vcpu.guestFpuLoaded) return;
  vcpu.guestFpuLoaded = false;
  const { cpu } = vcpu;
  cpu.fxsave(vcpu.guestFpu);
  if (vcpu.vm.policies.hostFpu === 'unconditional') cpu.fxrstor(vcpu.hostFpu);
  else cpu.stts();
  vcpu.vm.statistics.fpuReload++;
  // 02daab21d94d: whether the guest still needs its FPU shows when it touches it again.
  if (ownsTaskSwitchedWhileActive(vcpu)) vcpu.makeRequest(REQUEST.DEACTIVATE_FPU);
}

const ownsTaskSwitchedWhileActive = (vcpu: Vcpu): boolean =>
  vcpu.vm.policies.taskSwitchedFlag === 'guest-owned';

/** The guest may use the FPU: real CR0.TS is the guest's, #NM is its own (vmx_fpu_activate). */
export function activateFpu(vcpu: Vcpu): void {
  if (vcpu.fpuActive) return;
  vcpu.fpuActive = true;
  const { cpu } = vcpu;
  const owned = ownsTaskSwitchedWhileActive(vcpu);
  const changed = owned ? CR0.TS | CR0.MP : CR0.TS;
  const cr0 = cpu.vmreadNumber(VMCS.GUEST_CR0);
  cpu.vmwriteNumber(VMCS.GUEST_CR0, ((cr0 & ~changed) | (vcpu.cr0 & changed)) >>> 0);
  updateExceptionBitmap(vcpu);
  if (owned) setOwnedCr0Bits(vcpu, CR0.TS);
}

/** The next use of the FPU exits: real CR0.TS is set, #NM is intercepted (vmx_fpu_deactivate). */
export function deactivateFpu(vcpu: Vcpu): void {
  if (!vcpu.fpuActive) return;
  const owned = ownsTaskSwitchedWhileActive(vcpu);
  if (!owned && (vcpu.cr0 & CR0.PE) === 0) return;
  // The guest's own TS must survive in the read shadow.
  readCr0(vcpu);
  vcpu.fpuActive = false;
  const { cpu } = vcpu;
  const forced = owned ? CR0.TS | CR0.MP : CR0.TS;
  cpu.vmwriteNumber(VMCS.GUEST_CR0, (cpu.vmreadNumber(VMCS.GUEST_CR0) | forced) >>> 0);
  updateExceptionBitmap(vcpu);
  if (!owned) return;
  setOwnedCr0Bits(vcpu, 0);
  cpu.vmwriteNumber(VMCS.CR0_READ_SHADOW, vcpu.cr0 >>> 0);
}

/** CR0 as the guest sees it: bits that the guest owns are read from the VMCS (kvm_read_cr0, vmx_decache_cr0_guest_bits). */
export function readCr0(vcpu: Vcpu): number {
  const owned = vcpu.vmx.guestOwnedCr0Bits;
  if (owned !== 0) vcpu.cr0 = (vcpu.cr0 & ~owned) | (vcpu.cpu.vmreadNumber(VMCS.GUEST_CR0) & owned);
  return vcpu.cr0;
}

function setOwnedCr0Bits(vcpu: Vcpu, bits: number): void {
  vcpu.vmx.guestOwnedCr0Bits = bits;
  vcpu.cpu.vmwrite(VMCS.CR0_GUEST_HOST_MASK, BigInt.asUintN(64, BigInt(~bits)));
}

/**
 * update_exception_bitmap with EPT: #UD for instructions that another vendor's processor has, #MC for the host, #NM
 * while the FPU is not the guest's.
 */
export function updateExceptionBitmap(vcpu: Vcpu): void {
  let bitmap = (1 << VECTOR.UD) | (1 << VECTOR.MC);
  if (!vcpu.fpuActive) bitmap |= 1 << VECTOR.NM;
  vcpu.cpu.vmwriteNumber(VMCS.EXCEPTION_BITMAP, bitmap);
}
