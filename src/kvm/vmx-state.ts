/** What VT-x support keeps for each vCPU beside its registers (struct vcpu_vmx). Data only. */

import { MSR } from '../architecture/msrs.js';
import { pairValue, setPair, wordPair } from '../bits/word-pair.js';
import type { Policies } from './policies.js';

const ALL_BITS = 0xffffffffffffffffn;

/** An MSR that VM entry and exit do not switch: the guest's value while the host's is in the CPU, and the reverse. */
export class SwitchedMsr {
  readonly index: number;
  /** The two values as words, low one first. */
  readonly guest = wordPair();
  readonly host = wordPair();
  /** Bits that matter: the CPU's value may differ in the others (shared MSRs, EFER). */
  readonly mask = wordPair(ALL_BITS);

  constructor(index: number) {
    this.index = index;
  }

  get guestValue(): bigint {
    return pairValue(this.guest);
  }
  set guestValue(value: bigint) {
    setPair(this.guest, value);
  }
  get hostValue(): bigint {
    return pairValue(this.host);
  }
}

/** vmx_msr_index since 2.6.33. */
const SHARED_LIST = [MSR.SYSCALL_MASK, MSR.LSTAR, MSR.CSTAR, MSR.EFER, MSR.TSC_AUX, MSR.STAR];
/** vmx_msr_index until then. */
const EAGER_LIST = [MSR.SYSCALL_MASK, MSR.LSTAR, MSR.CSTAR, MSR.KERNEL_GS_BASE, MSR.EFER, MSR.STAR];
/** vmx_msr_index by policy. */
const MSR_LIST: Readonly<Record<Policies['syscallMsrs'], readonly number[]>> = {
  'eager-rereading': EAGER_LIST,
  eager: EAGER_LIST,
  shared: SHARED_LIST,
  'shared-without-cstar': SHARED_LIST,
};

export class VmxState {
  exitReason = 0;
  exitInterruptionInformation = 0;
  idtVectoringInformation = 0;
  /** TSC offset at the last exit, low word first. */
  readonly tscOffsetWords = wordPair();
  /** For values on their way between registers and the VMCS. */
  readonly scratch = wordPair();
  /** RSP that the VMCS holds for the host is right. */
  hostStackKnown = false;
  /** The vCPU was in user space since it last entered the guest: the run loop's data are out of the caches. */
  coldCaches = true;

  /** CR0 bits that the guest changes without an exit: TS or nothing (cr0_guest_owned_bits). */
  guestOwnedCr0Bits = 0;
  /** CR8 and the APIC's TPR work without exits (FlexPriority). */
  tprShadow = false;
  /** The VMX-preemption timer is active in the VMCS. */
  preemptionTimerActive = false;
  /** Pin-based controls apart from that. */
  pinBased = 0;
  /** "Virtualize x2APIC mode" is 1. */
  virtualX2apic = false;

  /** Guest values are in FS, GS, KERNEL_GS_BASE and the syscall MSRs (host_state.loaded). */
  hostStateSaved = false;
  hostLdtSelector = 0;
  hostDsSelector = 0;
  hostEsSelector = 0;
  hostFsSelector = 0;
  hostGsSelector = 0;
  fsReloadNeeded = false;
  gsOrLdtReloadNeeded = false;

  /** MSRs of the list, in its order (guest_msrs). */
  readonly switchedMsrs: readonly SwitchedMsr[];
  /** The one of them that holds EFER. */
  readonly efer: SwitchedMsr;
  /** Those of them that matter in the guest's current mode (the first save_nmsrs). */
  liveMsrs: readonly SwitchedMsr[] = [];
  /** Under shared MSRs KERNEL_GS_BASE is kept apart: the guest changes it without an exit. */
  readonly kernelGsBase = new SwitchedMsr(MSR.KERNEL_GS_BASE);
  /** Heavy periods in a row that ended with the guest's FPU registers loaded, in eight bits (fpu_counter). */
  fpuPeriods = 0;
  /** EFER holds the guest's value beyond the list (host_state.guest_efer_loaded). */
  guestEferLoaded = false;

  /** Guest-visible SYSENTER MSRs and segment bases live in the VMCS; these have no other home. */
  readonly otherMsrs = new Map<number, bigint>();

  constructor(policy: Policies['syscallMsrs']) {
    this.switchedMsrs = MSR_LIST[policy].map((index) => new SwitchedMsr(index));
    this.efer = this.switchedMsrs.find((msr) => msr.index === MSR.EFER)!;
  }

  switchedMsr(index: number): SwitchedMsr | undefined {
    return this.switchedMsrs.find((msr) => msr.index === index);
  }
}
