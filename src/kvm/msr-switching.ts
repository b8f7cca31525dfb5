/**
 * How the syscall MSRs, which VT-x does not switch, change hands. Eager: the whole list at each heavy switch
 * (2.6.32). Shared: only values that differ, and the host's come back when a thread really returns to user mode.
 */

import { EFER } from '../architecture/control-registers.js';
import { MSR } from '../architecture/msrs.js';
import { mixPairs, pairsAgree } from '../bits/word-pair.js';
import type { Policies } from './policies.js';
import { releaseSharedMsrs, sharedMsrsOf } from './shared-msrs.js';
import type { Vcpu } from './vcpu.js';
import type { SwitchedMsr } from './vmx-state.js';

export interface MsrSwitching {
  /** Part of vmx_save_host_state. */
  toGuest(vcpu: Vcpu): void;
  /** First thing of __vmx_load_host_state: values that the host's own reloads would destroy. */
  saveGuestFirst(vcpu: Vcpu): void;
  /** Part of __vmx_load_host_state, after TR. */
  toHost(vcpu: Vcpu): void;
  /** Whether the MSR matters in the guest's present mode; also sets which of its bits do (setup_msrs). */
  isLive(vcpu: Vcpu, msr: SwitchedMsr): boolean;
}

/**
 * EFER bits that the guest may have differently without its value being loaded (update_transition_efer).
 * @param guestEfer bits 31:0; there are no others
 */
function ignoredEferBits(guestEfer: number): number {
  const ignored = EFER.NXE | EFER.SCE | EFER.LMA | EFER.LME;
  // In long mode SYSCALL must work exactly when the guest allows it.
  return (guestEfer & EFER.LMA) !== 0 ? ignored & ~EFER.SCE : ignored;
}

/** Live MSRs of either list, EFER excepted (setup_msrs): STAR only matters when SYSCALL is enabled. */
function liveInLongMode(vcpu: Vcpu, msr: SwitchedMsr): boolean {
  if (!vcpu.longModeActive) return false;
  if (msr.index === MSR.STAR) return (vcpu.efer & EFER.SCE) !== 0;
  return msr.index !== MSR.EFER && msr.index !== MSR.TSC_AUX;
}

const eager: MsrSwitching = {
  toGuest(vcpu) {
    const { cpu, vmx } = vcpu;
    // Values that a VM with shared MSRs left behind: this one gives back what it takes for the host's.
    releaseSharedMsrs(vcpu.hostCpu);
    if (vcpu.longModeActive) cpu.rdmsrWords(MSR.KERNEL_GS_BASE, vmx.switchedMsr(MSR.KERNEL_GS_BASE)!.host);
    for (const msr of vmx.liveMsrs) cpu.wrmsrWords(msr.index, msr.guest);
    const { guest, host, mask } = vmx.efer;
    mask[0] = ~ignoredEferBits(guest[0]!);
    if (pairsAgree(guest, host, mask)) return;
    vmx.guestEferLoaded = true;
    mixPairs(vmx.scratch, guest, host, mask);
    cpu.wrmsrWords(MSR.EFER, vmx.scratch);
    vcpu.vm.statistics.eferReload++;
  },
  saveGuestFirst() {},
  toHost(vcpu) {
    const { cpu, vmx } = vcpu;
    for (const msr of vmx.liveMsrs) cpu.rdmsrWords(msr.index, msr.guest);
    for (const msr of vmx.liveMsrs) cpu.wrmsrWords(msr.index, msr.host);
    if (!vmx.guestEferLoaded) return;
    vmx.guestEferLoaded = false;
    cpu.wrmsrWords(MSR.EFER, vmx.efer.host);
  },
  isLive: liveInLongMode,
};

/** As eager, and the host's values are read anew each time, although they never change (before 2345df8c555e). */
const eagerRereading: MsrSwitching = {
  ...eager,
  toGuest(vcpu) {
    const { cpu, vmx } = vcpu;
    releaseSharedMsrs(vcpu.hostCpu);
    for (const msr of vmx.liveMsrs) if (msr.index !== MSR.KERNEL_GS_BASE) cpu.rdmsrWords(msr.index, msr.host);
    cpu.rdmsrWords(MSR.EFER, vmx.efer.host);
    eager.toGuest(vcpu);
  },
};

const shared: MsrSwitching = {
  toGuest(vcpu) {
    const { cpu, vmx } = vcpu;
    cpu.rdmsrWords(MSR.KERNEL_GS_BASE, vmx.kernelGsBase.host);
    if (vcpu.longModeActive) cpu.wrmsrWords(MSR.KERNEL_GS_BASE, vmx.kernelGsBase.guest);
    const values = sharedMsrsOf(vcpu.hostCpu);
    for (const { index, guest, host, mask } of vmx.liveMsrs) {
      mixPairs(vmx.scratch, guest, host, mask);
      values.set(index, vmx.scratch, mask);
    }
  },
  saveGuestFirst(vcpu) {
    if (vcpu.longModeActive) vcpu.cpu.rdmsrWords(MSR.KERNEL_GS_BASE, vcpu.vmx.kernelGsBase.guest);
  },
  toHost(vcpu) {
    vcpu.cpu.wrmsrWords(MSR.KERNEL_GS_BASE, vcpu.vmx.kernelGsBase.host);
  },
  isLive(vcpu, msr) {
    if (msr.index !== MSR.EFER) return liveInLongMode(vcpu, msr);
    // Even if it is the host's: the CPU may still hold another guest's.
    msr.mask[0] = ~ignoredEferBits(msr.guest[0]!);
    return true;
  },
};

const sharedWithoutCstar: MsrSwitching = {
  ...shared,
  isLive: (vcpu, msr) => msr.index !== MSR.CSTAR && shared.isLive(vcpu, msr),
};

export const MSR_SWITCHING: Readonly<Record<Policies['syscallMsrs'], MsrSwitching>> = {
  eager,
  shared,
  'shared-without-cstar': sharedWithoutCstar,
  'eager-rereading': eagerRereading,
};

/**
 * setup_msrs: to be called whenever the guest's EFER or long mode changes. Guest values must not be in the CPU, so the
 * caller gives the host its state back first.
 */
export function setupMsrs(vcpu: Vcpu): void {
  const { vmx } = vcpu;
  const { isLive } = MSR_SWITCHING[vcpu.vm.policies.syscallMsrs];
  vmx.liveMsrs = vmx.switchedMsrs.filter((msr) => isLive(vcpu, msr));
}
