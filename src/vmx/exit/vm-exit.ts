/** A VM exit from its cause to the host's first instruction, in the manual's order (SDM Vol. 3C, Chapter 27 VM Exits). */

import { PIN_BASED } from '../../architecture/vmx/controls.js';
import { ENTRY_FAILURE } from '../../architecture/vmx/exit-reasons.js';
import { VMCS } from '../../architecture/vmx/vmcs-fields.js';
import type { ProcessorCore } from '../../processor/core.js';
import { loadMsrs, type MsrAccess, storeMsrs } from '../msr-areas.js';
import type { StateWords } from '../state-transfer.js';
import type { Vmcs } from '../vmcs.js';
import { REGION_WORD } from '../vmcs-layout.js';
import type { ExitInformation } from './exit-information.js';
import { HostSegments, loadHostState } from './load-host-state.js';
import { recordExitInformation } from './record-exit-information.js';
import { saveGuestState } from './save-guest-state.js';

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

export class VmExits {
  /** VM exits so far, failed VM entries included. */
  count = 0;
  private readonly core: ProcessorCore;
  private readonly vmcs: Vmcs;
  private readonly state: StateWords;
  private readonly msrs: MsrAccess;
  private readonly leave: () => void;
  private readonly hostSegments = new HostSegments();

  /**
   * @param leave ends VMX non-root operation on the processor
   */
  constructor(core: ProcessorCore, vmcs: Vmcs, state: StateWords, msrs: MsrAccess, leave: () => void) {
    this.core = core;
    this.vmcs = vmcs;
    this.state = state;
    this.msrs = msrs;
    this.leave = leave;
  }

  /** To be called when VM entry finds host-state fields or VM-exit controls changed. */
  hostChanged(): void {
    this.hostSegments.build(this.vmcs);
  }

  /** Leaves the guest. Afterwards the processor is in VMX root operation with the host state loaded. */
  exit(information: ExitInformation): void {
    const { core, vmcs, state } = this;
    const delivering = information.duringDelivery === true ? core.eventInDelivery : undefined;
    recordExitInformation(vmcs, information, delivering);
    if (information.afterInstruction === true)
      core.state.rip = BigInt.asUintN(64, core.state.rip + BigInt(information.instructionLength ?? 0));
    const resumeFlag =
      delivering !== undefined && information.resumeFlag === 'set' ? 'keep' : information.resumeFlag;
    saveGuestState(core, vmcs, state, resumeFlag ?? 'keep');
    this.abortOnFailure(ABORT.SAVING_GUEST_MSRS, storeMsrs(core, vmcs, this.msrs));
    // Under virtual NMIs the guest's blocking is not the processor's.
    if ((vmcs.low(VMCS.PIN_BASED_VM_EXECUTION_CONTROLS) & PIN_BASED.VIRTUAL_NMIS) !== 0)
      core.nmiBlocked = false;
    this.toHost();
  }

  /**
   * Ends a VM entry that failed after the checks on controls and host state (26.8 VM-Entry Failures During or After
   * Loading Guest State): only the exit reason and qualification are recorded, no guest state is saved.
   */
  entryFailed(reason: number, qualification: number): void {
    const { vmcs } = this;
    vmcs.store32(VMCS.EXIT_REASON, reason | ENTRY_FAILURE);
    vmcs.store64(VMCS.EXIT_QUALIFICATION, qualification, 0);
    this.toHost();
  }

  private toHost(): void {
    const { core, vmcs } = this;
    this.count++;
    loadHostState(core, vmcs, this.hostSegments, this.state.words);
    core.eventInDelivery = undefined;
    this.leave();
    this.abortOnFailure(
      ABORT.LOADING_HOST_MSRS,
      loadMsrs(core, vmcs, this.msrs, VMCS.VM_EXIT_MSR_LOAD_ADDRESS, VMCS.VM_EXIT_MSR_LOAD_COUNT),
    );
  }

  private abortOnFailure(indicator: number, failedEntry: number): void {
    if (failedEntry === 0) return;
    this.vmcs.words[this.vmcs.base + REGION_WORD.ABORT_INDICATOR] = indicator;
    throw new VmxAbortError(indicator, failedEntry);
  }
}
