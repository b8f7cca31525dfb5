/** A VM exit from its cause to the host's first instruction, in the manual's order (SDM Vol. 3C, Chapter 27 VM Exits). */

import { RFLAGS } from '../../architecture/rflags.js';
import { ENTRY_FAILURE } from '../../architecture/vmx/exit-reasons.js';
import { ACTIVITY, INTERRUPTIBILITY } from '../../architecture/vmx/guest-state.js';
import { VMCS } from '../../architecture/vmx/vmcs-fields.js';
import type { ProcessorCore } from '../../processor/core.js';
import { loadMsrs, type MsrAccess, storeMsrs } from '../msr-areas.js';
import type { StateTransfer } from '../transfer/state-transfer.js';
import type { TransitionControls } from '../transition-controls.js';
import type { Vmcs } from '../vmcs.js';
import { REGION_WORD } from '../vmcs-layout.js';
import type { ExitInformation, ResumeFlag } from './exit-information.js';
import { recordExitInformation } from './record-exit-information.js';

/** Numbers of VMX aborts that can happen here (27.7 VMX Aborts). */
const ABORT = { SAVING_GUEST_MSRS: 1, LOADING_HOST_MSRS: 4 } as const;

const ABORT_TEXT: Record<number, string> = {
  [ABORT.SAVING_GUEST_MSRS]: 'there was a failure in saving guest MSRs',
  [ABORT.LOADING_HOST_MSRS]: 'there was a failure on loading host MSRs',
};

/** A VMX abort: a real processor stands still in the shutdown state until it is reset. */
export class VmxAbortError extends Error {
  readonly code = 'vmx-abort';
  /** The VMX-abort indicator, as written to the VMCS region. */
  readonly indicator: number;
  constructor(indicator: number, entry: number) {
    super(`VMX abort ${indicator}: ${ABORT_TEXT[indicator]} (entry ${entry} of the area)`);
    this.name = 'VmxAbortError';
    this.indicator = indicator;
  }
}

/** Interruptibility state as the field holds it (24.4.2). */
const interruptibilityOf = (core: ProcessorCore): number =>
  (core.interruptShadow === 'none'
    ? 0
    : core.interruptShadow === 'sti'
      ? INTERRUPTIBILITY.BLOCKING_BY_STI
      : INTERRUPTIBILITY.BLOCKING_BY_MOV_SS) | (core.nmiBlocked ? INTERRUPTIBILITY.BLOCKING_BY_NMI : 0);

export class VmExits {
  /** VM exits so far, failed VM entries included. */
  count = 0;
  private readonly core: ProcessorCore;
  private readonly vmcs: Vmcs;
  private readonly controls: TransitionControls;
  private readonly transfer: StateTransfer;
  private readonly msrs: MsrAccess;
  private readonly leave: () => void;

  /**
   * @param controls as of the last VM entry
   * @param leave ends VMX non-root operation on the processor
   */
  constructor(
    core: ProcessorCore,
    vmcs: Vmcs,
    controls: TransitionControls,
    transfer: StateTransfer,
    msrs: MsrAccess,
    leave: () => void,
  ) {
    this.core = core;
    this.vmcs = vmcs;
    this.controls = controls;
    this.transfer = transfer;
    this.msrs = msrs;
    this.leave = leave;
  }

  /** Leaves the guest. Afterwards the processor is in VMX root operation with the host state loaded. */
  exit(information: ExitInformation): void {
    const { core, vmcs, controls } = this;
    const delivering = information.duringDelivery === true ? core.eventInDelivery : undefined;
    recordExitInformation(vmcs, information, delivering);
    if (information.afterInstruction === true)
      core.state.rip = BigInt.asUintN(64, core.state.rip + BigInt(information.instructionLength ?? 0));
    const resumeFlag =
      delivering !== undefined && information.resumeFlag === 'set' ? 'keep' : information.resumeFlag;
    this.transferState(resumeFlag ?? 'keep');
    // Under virtual NMIs the guest's blocking is not the processor's.
    if (controls.usesVirtualNmis) core.nmiBlocked = false;
    this.toHost();
  }

  /**
   * Ends a VM entry that failed after the checks on controls and host state (26.8 VM-Entry Failures During or After
   * Loading Guest State): only the exit reason and qualification are recorded, no guest state is saved.
   */
  entryFailed(reason: number, qualification: number): void {
    const { core, vmcs } = this;
    vmcs.store32(VMCS.EXIT_REASON, reason | ENTRY_FAILURE);
    vmcs.store64(VMCS.EXIT_QUALIFICATION, qualification, 0);
    this.transfer.loadHost(core.state.address, vmcs.address);
    this.toHost();
  }

  /** Saves guest state and MSRs, and loads host state. */
  private transferState(resumeFlag: ResumeFlag): void {
    const { core, vmcs, transfer } = this;
    const block = core.state.address;
    const region = vmcs.address;
    const { storesGuestMsrs } = this.controls;
    const save = storesGuestMsrs ? transfer.saveGuest : transfer.exit;
    vmcs.dirty |= save(
      block,
      region,
      interruptibilityOf(core),
      core.halted ? ACTIVITY.HLT : ACTIVITY.ACTIVE,
      resumeFlag === 'clear' ? ~RFLAGS.RF : -1,
      resumeFlag === 'set' ? RFLAGS.RF : 0,
    );
    if (!storesGuestMsrs) return;
    this.abortOnFailure(ABORT.SAVING_GUEST_MSRS, storeMsrs(core, vmcs, this.msrs));
    transfer.loadHost(block, region);
  }

  /** What is left to do once the host's registers are loaded. */
  private toHost(): void {
    const { core } = this;
    this.count++;
    core.interruptShadow = 'none';
    core.halted = false;
    core.eventInDelivery = undefined;
    this.leave();
    if (this.controls.loadsHostMsrs)
      this.abortOnFailure(
        ABORT.LOADING_HOST_MSRS,
        loadMsrs(core, this.vmcs, this.msrs, VMCS.VM_EXIT_MSR_LOAD_ADDRESS, VMCS.VM_EXIT_MSR_LOAD_COUNT),
      );
  }

  private abortOnFailure(indicator: number, failedEntry: number): void {
    if (failedEntry === 0) return;
    this.vmcs.words[this.vmcs.base + REGION_WORD.ABORT_INDICATOR] = indicator;
    throw new VmxAbortError(indicator, failedEntry);
  }
}
