/** VM entries from the instruction to the guest's first instruction, and the way back (SDM Vol. 3C, Chapters 26 and 27). */

import { EFER } from '../architecture/control-registers.js';
import { VECTOR } from '../architecture/vectors.js';
import { PRIMARY, SECONDARY } from '../architecture/vmx/controls.js';
import { EXIT_REASON } from '../architecture/vmx/exit-reasons.js';
import { INSTRUCTION_ERROR } from '../architecture/vmx/instruction-errors.js';
import { fieldName, VMCS } from '../architecture/vmx/vmcs-fields.js';
import type { VmxCapabilities } from '../architecture/vmx/vmx-capabilities.js';
import type { PhysicalMemory } from '../memory/physical-memory.js';
import { GuestFault, type ProcessorCore } from '../processor/core.js';
import { injectEvent } from '../processor/events/delivery.js';
import { readMsr, writeMsr } from '../processor/system/msr-registers.js';
import { injectsEvent } from './entry/check-controls.js';
import type { EntryFailure } from './entry/entry-rule.js';
import { eventToInject } from './entry/inject-event.js';
import { loadNonRegisterState } from './entry/load-guest-state.js';
import { CHECKED_GROUPS, CONTROLS_AND_HOST, GUEST } from './entry/vm-entry.js';
import { GuestPhysicalTranslation } from './ept/guest-physical-translation.js';
import type { ExitInformation } from './exit/exit-information.js';
import { VmExits } from './exit/vm-exit.js';
import { ExecutionControls } from './intercepts/execution-controls.js';
import { NonRootOperation } from './intercepts/non-root-operation.js';
import { loadMsrs, type MsrAccess } from './msr-areas.js';
import { NOT_PLAIN, type StateTransfer, stateTransferIn } from './transfer/state-transfer.js';
import { TransitionControls } from './transition-controls.js';
import { TranslationTags } from './translation-tags.js';
import type { Vmcs } from './vmcs.js';
import { GROUP, LAUNCH_STATE, REGION_WORD } from './vmcs-layout.js';
import { VM_FAIL_INVALID, VM_SUCCEED, type VmxResult } from './vmx-result.js';

/** RDMSR and WRMSR of the processor itself. */
const PROCESSOR_MSRS: MsrAccess = {
  read(core, index) {
    const value = readMsr(core, index);
    if (value === undefined) throw new GuestFault(VECTOR.GP, 0);
    return value;
  },
  write(core, index, value) {
    if (!writeMsr(core, index, value)) throw new GuestFault(VECTOR.GP, 0);
  },
};

/** VM entry repeats nothing of what follows from the controls and from checked fields unless one of these changed. */
const DECISIVE_GROUPS = CHECKED_GROUPS | GROUP.EXECUTION_VALUES;

export class VmEntries {
  /** Why the last VM entry failed; undefined when it did not. */
  lastEntryFailure: EntryFailure | undefined;
  readonly exits: VmExits;
  readonly translation: GuestPhysicalTranslation;
  readonly tags: TranslationTags;
  private readonly core: ProcessorCore;
  private readonly vmcs: Vmcs;
  private readonly transfer: StateTransfer;
  private readonly fail: (error: number) => VmxResult;
  private readonly controls = new ExecutionControls();
  private readonly transitions = new TransitionControls();
  private readonly nonRoot: NonRootOperation;
  private readonly environment: {
    readonly memory: PhysicalMemory;
    readonly capabilities: VmxCapabilities;
    hostInLongMode: boolean;
  };
  /** EPT or the APIC-access page are in use. */
  private usesTranslation = false;

  /** @param fail VMfail with an error number */
  constructor(
    core: ProcessorCore,
    vmcs: Vmcs,
    capabilities: VmxCapabilities,
    fail: (error: number) => VmxResult,
  ) {
    this.core = core;
    this.vmcs = vmcs;
    this.fail = fail;
    this.environment = { memory: core.memory, capabilities, hostInLongMode: false };
    this.transfer = stateTransferIn(core.memory.linearMemory);
    this.tags = new TranslationTags(core);
    this.translation = new GuestPhysicalTranslation(core.memory, () => core.eventInDelivery);
    this.exits = new VmExits(core, vmcs, this.transitions, this.transfer, PROCESSOR_MSRS, () =>
      this.leaveNonRoot(),
    );
    this.nonRoot = new NonRootOperation(core, this.controls, (information) => this.exit(information));
  }

  /**
   * VMLAUNCH or VMRESUME.
   * @param launchState what the launch state of the current VMCS has to be
   * @param wrongState error number when it is not
   */
  enter(launchState: number, wrongState: number): VmxResult {
    const { core, vmcs, transfer } = this;
    this.lastEntryFailure = undefined;
    if (vmcs.base < 0) return VM_FAIL_INVALID;
    if (core.interruptShadow === 'mov-ss') return this.fail(INSTRUCTION_ERROR.ENTRY_EVENTS_BLOCKED_BY_MOV_SS);
    if (vmcs.header(REGION_WORD.LAUNCH_STATE) !== launchState) return this.fail(wrongState);

    this.noteHostMode();
    const block = core.state.address;
    const mayBePlain = (vmcs.dirty & DECISIVE_GROUPS) === 0 && !this.transitions.checksMemory;
    let differences = mayBePlain ? transfer.loadPlainGuest(block, vmcs.address) : NOT_PLAIN;
    const plain = differences !== NOT_PLAIN;
    if (plain) {
      core.interruptShadow = 'none';
      core.nmiBlocked = false;
      core.halted = false;
    } else {
      const end = this.check();
      if (end !== undefined) return end;
      differences = transfer.loadGuest(block, vmcs.address);
      loadNonRegisterState(core, vmcs);
    }
    if (this.transitions.loadsGuestMsrs) {
      const failedEntry = this.loadGuestMsrs();
      if (failedEntry !== 0) return this.msrLoadFailed(failedEntry);
      differences = transfer.differences(block, vmcs.address);
    }
    vmcs.setLaunchState(LAUNCH_STATE.LAUNCHED);
    this.beginNonRoot(differences);
    if (!plain && injectsEvent(vmcs)) this.inject();
    else this.afterEntry();
    return VM_SUCCEED;
  }

  /**
   * Makes the checks that are due, and takes over the controls that changed.
   * @returns how the VM entry ends, undefined when it goes on
   */
  private check(): VmxResult | undefined {
    const { core, vmcs, environment } = this;
    const { dirty } = vmcs;
    const occasion = { dirty, unusual: this.transfer.unusual(core.state.address, vmcs.address) };
    const invalid = CONTROLS_AND_HOST.check(occasion, vmcs, environment);
    if (invalid !== undefined) {
      this.lastEntryFailure = invalid;
      return this.fail(
        invalid.stage === 'controls'
          ? INSTRUCTION_ERROR.ENTRY_INVALID_CONTROL_FIELDS
          : INSTRUCTION_ERROR.ENTRY_INVALID_HOST_STATE_FIELDS,
      );
    }
    if ((dirty & DECISIVE_GROUPS) !== 0) this.transitions.load(vmcs);
    const unfit = GUEST.check(occasion, vmcs, environment);
    if (unfit !== undefined) {
      this.lastEntryFailure = unfit;
      this.exits.entryFailed(EXIT_REASON.INVALID_STATE, unfit.qualification);
      return VM_SUCCEED;
    }
    vmcs.dirty = 0;
    if ((dirty & (GROUP.EXECUTION_CONTROLS | GROUP.EXECUTION_VALUES)) !== 0) this.loadControls();
    return undefined;
  }

  /** @returns 0, or the number of the entry (from 1) that could not be loaded */
  private loadGuestMsrs(): number {
    return loadMsrs(
      this.core,
      this.vmcs,
      PROCESSOR_MSRS,
      VMCS.VM_ENTRY_MSR_LOAD_ADDRESS,
      VMCS.VM_ENTRY_MSR_LOAD_COUNT,
    );
  }

  private msrLoadFailed(failedEntry: number): VmxResult {
    this.lastEntryFailure = {
      stage: 'msr-load',
      section: '26.4 Loading MSRs',
      rule: `entry ${failedEntry} of the VM-entry MSR-load area must be loadable by WRMSR`,
      field: fieldName(VMCS.VM_ENTRY_MSR_LOAD_ADDRESS),
      value: this.vmcs.value(VMCS.VM_ENTRY_MSR_LOAD_ADDRESS),
      qualification: failedEntry,
    };
    this.exits.entryFailed(EXIT_REASON.MSR_LOAD_FAIL, failedEntry);
    return VM_SUCCEED;
  }

  /** Some checks depend on the mode in which VM entry is attempted. */
  private noteHostMode(): void {
    const hostInLongMode = (this.core.state.efer & EFER.LMA) !== 0;
    if (hostInLongMode === this.environment.hostInLongMode) return;
    this.environment.hostInLongMode = hostInLongMode;
    this.vmcs.dirty |= GROUP.HOST;
  }

  private loadControls(): void {
    const { controls } = this;
    controls.load(this.vmcs);
    const virtualizesApic = controls.hasSecondary(SECONDARY.VIRTUALIZE_APIC_ACCESSES);
    this.usesTranslation = controls.eptRoot >= 0 || virtualizesApic;
    this.translation.use({
      eptRoot: controls.eptRoot,
      apicAccessPage: virtualizesApic ? controls.apicAccessPage : -1,
      virtualApicPage: controls.hasPrimary(PRIMARY.USE_TPR_SHADOW) ? controls.virtualApicPage : -1,
      virtualizesRegisters: controls.hasSecondary(SECONDARY.APIC_REGISTER_VIRTUALIZATION),
      virtualApic: this.nonRoot.virtualApic,
    });
  }

  /** @param differences `DIFFERENCE` bits of the guest */
  private beginNonRoot(differences: number): void {
    const { core, nonRoot } = this;
    nonRoot.acknowledges = this.transitions.acknowledgesInterrupts;
    nonRoot.startPreemptionTimer(this.vmcs);
    nonRoot.virtualApic.load(this.vmcs);
    core.intercepts = nonRoot;
    core.secondLevel = this.usesTranslation ? this.translation : null;
    this.tags.enter(this.controls, differences);
  }

  /** Event injection (26.6). Delivery ends the HLT state and blocking by STI or MOV SS. */
  private inject(): void {
    const { core } = this;
    const event = eventToInject(this.vmcs);
    core.halted = false;
    core.interruptShadow = 'none';
    injectEvent(core, event);
  }

  /** What may follow a VM entry at once when no event is injected (26.7). */
  private afterEntry(): void {
    const { core, nonRoot } = this;
    if (this.transitions.comparesVirtualTprAfterEntry && nonRoot.tprBelowThreshold()) {
      this.exit({ reason: EXIT_REASON.TPR_BELOW_THRESHOLD });
      return;
    }
    if (nonRoot.nmiWindowExiting && !core.nmiBlocked && core.interruptShadow === 'none') nonRoot.nmiWindow();
  }

  private exit(information: ExitInformation): void {
    const { nonRoot } = this;
    this.tags.note();
    nonRoot.virtualApic.save(this.vmcs);
    if (this.transitions.savesPreemptionTimer)
      this.vmcs.store32(VMCS.VMX_PREEMPTION_TIMER_VALUE, nonRoot.preemptionTimerLeft);
    this.exits.exit(information);
  }

  private leaveNonRoot(): void {
    const { core } = this;
    core.intercepts = null;
    core.secondLevel = null;
    this.tags.leave();
  }
}
