/** The guest's FPU registers: when they are put into the CPU and taken out (kvm_load_guest_fpu, kvm_put_guest_fpu). */

import { CR0 } from '../architecture/control-registers.js';
import { VECTOR } from '../architecture/vectors.js';
import { VMCS } from '../architecture/vmx/vmcs-fields.js';
import type { Policies } from './policies.js';
import { REQUEST, type Vcpu } from './vcpu.js';

/** Heavy periods in a row with a loaded FPU that make a frequent user. */
const FREQUENT_USE = 5;

/** How the host thread's registers make room for the guest's, and come back. */
interface HostFpuSwitching {
  toGuest(vcpu: Vcpu): void;
  toHost(vcpu: Vcpu): void;
}

const HOST_FPU: Readonly<Record<Policies['hostFpu'], HostFpuSwitching>> = {
  // Whoever the registers belong to. If the thread does not own them (CR0.TS = 1), its FXSAVE takes a host #NM first.
  unconditional: {
    toGuest({ cpu, hostCpu, hostFpu, guestFpu, vm }) {
      // The last exit set TS although the registers are the thread's.
      if (vm.policies.hostCr0 === 'once' && hostCpu.current.usesFpu) cpu.clts();
      cpu.fxsave(hostFpu);
      cpu.fxrstor(guestFpu);
    },
    toHost({ cpu, hostFpu, guestFpu }) {
      cpu.fxsave(guestFpu);
      cpu.fxrstor(hostFpu);
    },
  },
  // unlazy_fpu leaves CR0.TS set, so that FXRSTOR takes a host #NM, which makes the thread own what it loads.
  'unlazy-as-shipped': {
    toGuest(vcpu) {
      const { cpu, hostCpu } = vcpu;
      hostCpu.fpu.unlazy(hostCpu.current);
      cpu.fxrstor(vcpu.guestFpu);
      hostCpu.current.fpuOverwritten = true;
      vcpu.vm.statistics.hostFpuFaults++;
      if (vcpu.tracker.listening)
        vcpu.tracker.note('host #NM: the thread owns FPU registers that now hold guest values');
    },
    toHost({ cpu, guestFpu }) {
      cpu.fxsave(guestFpu);
    },
  },
  'unlazy-as-intended': {
    toGuest({ cpu, hostCpu, guestFpu }) {
      hostCpu.fpu.beginKernelUse(hostCpu.current);
      cpu.fxrstor(guestFpu);
    },
    toHost({ cpu, hostCpu, guestFpu }) {
      cpu.fxsave(guestFpu);
      hostCpu.fpu.endKernelUse();
    },
  },
  // The same instructions as unconditionally, but CR0.TS is never set, and only where KVM_RUN begins and ends.
  eager: {
    toGuest({ cpu, hostFpu, guestFpu }) {
      cpu.fxsave(hostFpu);
      cpu.fxrstor(guestFpu);
    },
    toHost({ cpu, hostFpu, guestFpu }) {
      cpu.fxsave(guestFpu);
      cpu.fxrstor(hostFpu);
    },
  },
};

/** The guest's registers stay in the CPU until KVM_RUN ends, and the guest may always use them. */
const isEager = (vcpu: Vcpu): boolean => vcpu.vm.policies.hostFpu === 'eager';

/** kvm_load_guest_fpu before an entry, if the guest may use its FPU. */
export function loadGuestFpu(vcpu: Vcpu): void {
  if (vcpu.fpuActive && !vcpu.guestFpuLoaded) load(vcpu);
}

/** kvm_put_guest_fpu at a heavy exit: the host's registers come back now, or when the thread uses them (its own #NM). */
export function putGuestFpu(vcpu: Vcpu): void {
  if (isEager(vcpu)) return;
  if (!vcpu.guestFpuLoaded) {
    vcpu.vmx.fpuPeriods = 0;
    return;
  }
  put(vcpu);
  // 02daab21d94d: whether the guest still needs its FPU shows when it touches it again.
  const { taskSwitchedFlag } = vcpu.vm.policies;
  if (taskSwitchedFlag === 'guest-owned' || (taskSwitchedFlag === 'guest-owned-counted' && seldomUses(vcpu)))
    vcpu.makeRequest(REQUEST.DEACTIVATE_FPU);
}

/** 653f52c316a4: counts the heavy periods with a loaded FPU, in eight bits. */
function seldomUses({ vmx }: Vcpu): boolean {
  vmx.fpuPeriods = (vmx.fpuPeriods + 1) & 0xff;
  return vmx.fpuPeriods < FREQUENT_USE;
}

/** With an eager FPU: KVM_RUN begins. */
export function beginRun(vcpu: Vcpu): void {
  if (isEager(vcpu)) load(vcpu);
}

/** With an eager FPU: KVM_RUN ends. */
export function endRun(vcpu: Vcpu): void {
  if (isEager(vcpu)) put(vcpu);
}

function load(vcpu: Vcpu): void {
  vcpu.guestFpuLoaded = true;
  if (vcpu.tracker.listening) vcpu.tracker.note('guest FPU registers loaded');
  HOST_FPU[vcpu.vm.policies.hostFpu].toGuest(vcpu);
}

function put(vcpu: Vcpu): void {
  vcpu.guestFpuLoaded = false;
  if (vcpu.tracker.listening) vcpu.tracker.note('guest FPU registers unloaded');
  HOST_FPU[vcpu.vm.policies.hostFpu].toHost(vcpu);
  vcpu.vm.statistics.fpuReload++;
}

const ownsTaskSwitchedWhileActive = (vcpu: Vcpu): boolean => vcpu.vm.policies.taskSwitchedFlag !== 'trapped';

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

/**
 * The next use of the FPU exits: real CR0.TS is set, #NM is intercepted (vmx_fpu_deactivate). Never with an eager FPU,
 * where real CR0.TS is always the guest's.
 */
export function deactivateFpu(vcpu: Vcpu): void {
  if (!vcpu.fpuActive || isEager(vcpu)) return;
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
