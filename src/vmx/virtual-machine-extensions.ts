/**
 * VT-x of one processor: the VMX instructions as functions for a hypervisor in TypeScript, and the state behind
 * them (SDM Vol. 3C, Chapters 23 to 30).
 */

import { isCanonical } from '../architecture/canonical-address.js';
import { EFER } from '../architecture/control-registers.js';
import { EXIT_CONTROL, PRIMARY, SECONDARY } from '../architecture/vmx/controls.js';
import { INVEPT_TYPE, INVVPID_TYPE } from '../architecture/vmx/ept.js';
import { EXIT_REASON } from '../architecture/vmx/exit-reasons.js';
import { INSTRUCTION_ERROR } from '../architecture/vmx/instruction-errors.js';
import { fieldName, VMCS } from '../architecture/vmx/vmcs-fields.js';
import { PHYSICAL_ADDRESS_WIDTH, VMCS_REVISION_IDENTIFIER } from '../architecture/vmx/vmx-capabilities.js';
import { hostPhysical } from '../memory/addresses.js';
import type { PhysicalMemory } from '../memory/physical-memory.js';
import { GuestFault, type ProcessorCore } from '../processor/core.js';
import { injectEvent } from '../processor/events/delivery.js';
import { STATE } from '../processor/state/layout.js';
import { readMsr, writeMsr } from '../processor/system/msr-registers.js';
import { injectsEvent } from './entry/check-controls.js';
import { describeEntryFailure, type EntryFailure } from './entry/entry-rule.js';
import { hasExitControl } from './entry/field-tests.js';
import { eventToInject } from './entry/inject-event.js';
import { loadGuestState } from './entry/load-guest-state.js';
import { checkControlsAndHost, checkGuest } from './entry/vm-entry.js';
import { GuestPhysicalTranslation } from './ept/guest-physical-translation.js';
import type { ExitInformation } from './exit/exit-information.js';
import { VmExits } from './exit/vm-exit.js';
import { ExecutionControls } from './intercepts/execution-controls.js';
import { NonRootOperation } from './intercepts/non-root-operation.js';
import { loadMsrs, type MsrAccess } from './msr-areas.js';
import { type StateWords, stateWords } from './state-transfer.js';
import { TranslationTags } from './translation-tags.js';
import { Vmcs, VmxMisuseError } from './vmcs.js';
import { ALL_GROUPS, GROUP, LAUNCH_STATE, REGION_WORD } from './vmcs-layout.js';
import { VM_FAIL_INVALID, VM_SUCCEED, type VmxResult } from './vmx-result.js';

const GENERAL_PROTECTION = 13;

/** RDMSR and WRMSR of the processor itself. */
const PROCESSOR_MSRS: MsrAccess = {
  read(core, index) {
    const value = readMsr(core, index);
    if (value === undefined) throw new GuestFault(GENERAL_PROTECTION, 0);
    return value;
  },
  write(core, index, value) {
    if (!writeMsr(core, index, value)) throw new GuestFault(GENERAL_PROTECTION, 0);
  },
};

const REGION_SIZE = 4096;
const NO_POINTER = -1;

export class VirtualMachineExtensions {
  /** Why the last VM entry failed; undefined when it did not. */
  lastEntryFailure: EntryFailure | undefined;
  /** The current VMCS; for observers. */
  readonly vmcs: Vmcs;
  private readonly core: ProcessorCore;
  private readonly state: StateWords;
  private readonly controls = new ExecutionControls();
  private readonly nonRoot: NonRootOperation;
  private readonly translation: GuestPhysicalTranslation;
  private readonly tags: TranslationTags;
  private readonly exits: VmExits;
  private readonly environment: { readonly memory: PhysicalMemory; hostInLongMode: boolean };
  /** EPT or the APIC-access page are in use. */
  private usesTranslation = false;
  /** Host-physical address of the VMXON region, -1 outside of VMX operation. */
  private vmxonPointer = NO_POINTER;

  constructor(core: ProcessorCore) {
    this.core = core;
    this.vmcs = new Vmcs(core.memory);
    this.environment = { memory: core.memory, hostInLongMode: false };
    this.state = stateWords(core.state);
    this.tags = new TranslationTags(core, this.state.words);
    this.translation = new GuestPhysicalTranslation(core.memory, () => core.eventInDelivery);
    this.exits = new VmExits(core, this.vmcs, this.state, PROCESSOR_MSRS, () => this.leaveNonRoot());
    this.nonRoot = new NonRootOperation(core, this.controls, (information) => this.exit(information));
  }

  /** Between VMXON and VMXOFF. */
  get active(): boolean {
    return this.vmxonPointer !== NO_POINTER;
  }
  /** VM exits so far. */
  get exitCount(): number {
    return this.exits.count;
  }
  /** Host-physical address of the current VMCS, -1 without. */
  get currentVmcs(): number {
    return this.vmcs.base < 0 ? NO_POINTER : this.vmcs.base * 4;
  }

  /** @param region host-physical address of a 4-KByte region that starts with the VMCS revision identifier */
  vmxon(region: number): VmxResult {
    if (this.active) return this.fail(INSTRUCTION_ERROR.VMXON_IN_ROOT_OPERATION);
    if (!this.isRegion(region) || this.revisionAt(region) !== VMCS_REVISION_IDENTIFIER)
      return VM_FAIL_INVALID;
    this.vmxonPointer = region;
    this.vmcs.base = -1;
    return VM_SUCCEED;
  }

  vmxoff(): VmxResult {
    this.requireActive('VMXOFF');
    this.vmxonPointer = NO_POINTER;
    this.vmcs.base = -1;
    return VM_SUCCEED;
  }

  /** Makes the launch state of the VMCS at `address` clear; it is no longer current afterwards. */
  vmclear(address: number): VmxResult {
    this.requireActive('VMCLEAR');
    if (!this.isRegion(address)) return this.fail(INSTRUCTION_ERROR.VMCLEAR_INVALID_ADDRESS);
    if (address === this.vmxonPointer) return this.fail(INSTRUCTION_ERROR.VMCLEAR_VMXON_POINTER);
    this.core.memory.write32(hostPhysical(address + REGION_WORD.LAUNCH_STATE * 4), LAUNCH_STATE.CLEAR);
    if (address === this.currentVmcs) this.vmcs.base = -1;
    return VM_SUCCEED;
  }

  vmptrld(address: number): VmxResult {
    this.requireActive('VMPTRLD');
    if (!this.isRegion(address)) return this.fail(INSTRUCTION_ERROR.VMPTRLD_INVALID_ADDRESS);
    if (address === this.vmxonPointer) return this.fail(INSTRUCTION_ERROR.VMPTRLD_VMXON_POINTER);
    if (this.revisionAt(address) !== VMCS_REVISION_IDENTIFIER)
      return this.fail(INSTRUCTION_ERROR.VMPTRLD_INCORRECT_REVISION_IDENTIFIER);
    if (address !== this.currentVmcs) {
      this.vmcs.base = address / 4;
      this.vmcs.dirty = ALL_GROUPS;
    }
    return VM_SUCCEED;
  }

  /** The current-VMCS pointer; all ones without. */
  vmptrst(): bigint {
    this.requireActive('VMPTRST');
    return BigInt.asUintN(64, BigInt(this.currentVmcs));
  }

  /**
   * VMREAD with the outcome of the instruction.
   * @param encoding any number; bit 0 reads the upper half of a 64-bit field
   */
  readField(encoding: number): VmxResult & { readonly value?: bigint } {
    if (this.vmcs.base < 0) return VM_FAIL_INVALID;
    if (!Vmcs.supports(encoding)) return this.fail(INSTRUCTION_ERROR.UNSUPPORTED_VMCS_COMPONENT);
    return { ok: true, value: this.vmcs.read(encoding) };
  }

  /** VMWRITE with the outcome of the instruction; the value is cut to the field's width. */
  writeField(encoding: number, value: bigint): VmxResult {
    if (this.vmcs.base < 0) return VM_FAIL_INVALID;
    if (!Vmcs.supports(encoding)) return this.fail(INSTRUCTION_ERROR.UNSUPPORTED_VMCS_COMPONENT);
    if (Vmcs.isReadOnly(encoding)) return this.fail(INSTRUCTION_ERROR.VMWRITE_READ_ONLY_VMCS_COMPONENT);
    this.vmcs.write(encoding, value);
    return VM_SUCCEED;
  }

  /** VMREAD for callers that know their fields: unsigned 64 bits; throws `VmxMisuseError` where VMREAD fails. */
  vmread(field: number): bigint {
    const result = this.readField(field);
    if (!result.ok) throw new VmxMisuseError(`VMREAD of ${fieldName(field)} fails`);
    return result.value!;
  }
  /** VMWRITE for callers that know their fields; throws `VmxMisuseError` where VMWRITE fails. */
  vmwrite(field: number, value: bigint): void {
    if (!this.writeField(field, value).ok) throw new VmxMisuseError(`VMWRITE of ${fieldName(field)} fails`);
  }
  /** VMREAD of a value below 2^53, as a number. */
  vmreadNumber(field: number): number {
    if (this.vmcs.base < 0) throw new VmxMisuseError(`VMREAD of ${fieldName(field)} without current VMCS`);
    return this.vmcs.readNumber(field);
  }
  /** VMWRITE of an unsigned value below 2^53. */
  vmwriteNumber(field: number, value: number): void {
    if (this.vmcs.base < 0) throw new VmxMisuseError(`VMWRITE of ${fieldName(field)} without current VMCS`);
    this.vmcs.writeNumber(field, value);
  }

  /**
   * VMLAUNCH. After `ok` the processor is in VMX non-root operation, unless the VM entry failed on its guest state or led
   * to a VM exit at once: then `core.intercepts` is null and the exit reason says why.
   */
  vmlaunch(): VmxResult {
    return this.enter(LAUNCH_STATE.CLEAR, INSTRUCTION_ERROR.VMLAUNCH_NON_CLEAR_VMCS);
  }
  /** VMRESUME; as `vmlaunch`. */
  vmresume(): VmxResult {
    return this.enter(LAUNCH_STATE.LAUNCHED, INSTRUCTION_ERROR.VMRESUME_NON_LAUNCHED_VMCS);
  }

  /**
   * @param type 1 single context, 2 global
   * @param eptPointer for type 1; its bits 11:0 do not matter for what is forgotten
   */
  invept(type: number, eptPointer: bigint): VmxResult {
    this.requireActive('INVEPT');
    if (type !== INVEPT_TYPE.SINGLE_CONTEXT && type !== INVEPT_TYPE.GLOBAL)
      return this.fail(INSTRUCTION_ERROR.INVALID_OPERAND_TO_INVEPT_INVVPID);
    if (type === INVEPT_TYPE.GLOBAL) this.translation.invalidateAll();
    else this.translation.invalidate(Number(eptPointer & ~0xfffn));
    this.tags.invalidate();
    return VM_SUCCEED;
  }

  /** @param type 0 individual address, 1 single context, 2 all contexts, 3 single context retaining globals */
  invvpid(type: number, vpid: number, linearAddress: bigint): VmxResult {
    this.requireActive('INVVPID');
    const invalid = INSTRUCTION_ERROR.INVALID_OPERAND_TO_INVEPT_INVVPID;
    if (type < INVVPID_TYPE.INDIVIDUAL_ADDRESS || type > INVVPID_TYPE.SINGLE_CONTEXT_RETAINING_GLOBALS)
      return this.fail(invalid);
    if (type !== INVVPID_TYPE.ALL_CONTEXTS && vpid === 0) return this.fail(invalid);
    if (type === INVVPID_TYPE.INDIVIDUAL_ADDRESS && !isCanonical(linearAddress)) return this.fail(invalid);
    this.tags.invalidate();
    return VM_SUCCEED;
  }

  /** VMfailValid(`error`), or VMfailInvalid without a current VMCS (30.2). */
  fail(error: number): VmxResult {
    if (this.vmcs.base < 0) return VM_FAIL_INVALID;
    this.vmcs.store32(VMCS.VM_INSTRUCTION_ERROR, error);
    return { ok: false, kind: 'valid', error };
  }

  /** The last VM-entry failure in words; empty when the last VM entry did not fail. */
  describeEntryFailure(): string {
    return this.lastEntryFailure === undefined ? '' : describeEntryFailure(this.lastEntryFailure);
  }

  /** Translations must not outlive an entry or exit when code of the same processor also runs as the host. */
  hostRunsOnProcessor(): void {
    this.tags.shareWithHost();
  }

  private enter(launchState: number, wrongState: number): VmxResult {
    const { core, vmcs } = this;
    this.lastEntryFailure = undefined;
    if (vmcs.base < 0) return VM_FAIL_INVALID;
    if (core.interruptShadow === 'mov-ss') return this.fail(INSTRUCTION_ERROR.ENTRY_EVENTS_BLOCKED_BY_MOV_SS);
    if (vmcs.header(REGION_WORD.LAUNCH_STATE) !== launchState) return this.fail(wrongState);

    this.noteHostMode();
    const { environment } = this;
    const { dirty } = vmcs;
    const invalid = checkControlsAndHost(vmcs, environment, dirty);
    if (invalid !== undefined) {
      this.lastEntryFailure = invalid;
      return this.fail(
        invalid.stage === 'controls'
          ? INSTRUCTION_ERROR.ENTRY_INVALID_CONTROL_FIELDS
          : INSTRUCTION_ERROR.ENTRY_INVALID_HOST_STATE_FIELDS,
      );
    }
    if ((dirty & (GROUP.HOST | GROUP.EXIT_CONTROLS)) !== 0) this.exits.hostChanged();
    const unfit = checkGuest(vmcs, environment, dirty);
    if (unfit !== undefined) {
      this.lastEntryFailure = unfit;
      this.exits.entryFailed(EXIT_REASON.INVALID_STATE, unfit.qualification);
      return VM_SUCCEED;
    }
    vmcs.dirty = 0;
    if ((dirty & (GROUP.EXECUTION_CONTROLS | GROUP.EXECUTION_VALUES)) !== 0) this.loadControls();
    loadGuestState(core, vmcs, this.state);
    const failedEntry = loadMsrs(
      core,
      vmcs,
      PROCESSOR_MSRS,
      VMCS.VM_ENTRY_MSR_LOAD_ADDRESS,
      VMCS.VM_ENTRY_MSR_LOAD_COUNT,
    );
    if (failedEntry !== 0) return this.msrLoadFailed(failedEntry);
    vmcs.setLaunchState(LAUNCH_STATE.LAUNCHED);
    this.beginNonRoot();
    this.afterEntry();
    return VM_SUCCEED;
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
    const hostInLongMode = (this.state.words[STATE.EFER >> 2]! & EFER.LMA) !== 0;
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
    });
  }

  private beginNonRoot(): void {
    const { core, nonRoot } = this;
    nonRoot.acknowledges = hasExitControl(this.vmcs, EXIT_CONTROL.ACKNOWLEDGE_INTERRUPT_ON_EXIT);
    core.intercepts = nonRoot;
    core.secondLevel = this.usesTranslation ? this.translation : null;
    this.tags.enter(this.controls);
    core.caches.modeChanged();
  }

  /** Event injection (26.6) and what may follow a VM entry at once (26.7). */
  private afterEntry(): void {
    const { core, vmcs, controls, nonRoot } = this;
    if (injectsEvent(vmcs)) {
      const event = eventToInject(vmcs);
      // Delivery ends the HLT state and blocking by STI or MOV SS.
      core.halted = false;
      core.interruptShadow = 'none';
      injectEvent(core, event);
      return;
    }
    if (
      controls.hasPrimary(PRIMARY.USE_TPR_SHADOW) &&
      controls.hasSecondary(SECONDARY.VIRTUALIZE_APIC_ACCESSES) &&
      nonRoot.tprBelowThreshold()
    ) {
      this.exit({ reason: EXIT_REASON.TPR_BELOW_THRESHOLD });
      return;
    }
    if (nonRoot.nmiWindowExiting && !core.nmiBlocked && core.interruptShadow === 'none') nonRoot.nmiWindow();
  }

  private exit(information: ExitInformation): void {
    this.tags.note();
    this.exits.exit(information);
  }

  private leaveNonRoot(): void {
    const { core } = this;
    core.intercepts = null;
    core.secondLevel = null;
    this.tags.leave();
  }

  private requireActive(instruction: string): void {
    if (!this.active) throw new VmxMisuseError(`${instruction} outside of VMX operation`);
  }

  /** 4-KByte aligned and within the physical-address width; regions outside of RAM can't be used either. */
  private isRegion(address: number): boolean {
    return (
      address >= 0 &&
      address % REGION_SIZE === 0 &&
      address < 2 ** PHYSICAL_ADDRESS_WIDTH &&
      this.core.memory.contains(address, REGION_SIZE)
    );
  }
  private revisionAt(region: number): number {
    return this.core.memory.read32(hostPhysical(region)) | 0;
  }
}
