/**
 * VT-x of one processor: the VMX instructions as functions for a hypervisor in TypeScript, and the state behind
 * them (SDM Vol. 3C, Chapters 23 to 30).
 */

import { isCanonical } from '../architecture/canonical-address.js';
import { INVEPT_TYPE, INVVPID_TYPE } from '../architecture/vmx/ept.js';
import { INSTRUCTION_ERROR } from '../architecture/vmx/instruction-errors.js';
import { fieldName, OPTIONAL_FIELDS, VMCS } from '../architecture/vmx/vmcs-fields.js';
import {
  BASE_CAPABILITIES,
  PHYSICAL_ADDRESS_WIDTH,
  VMCS_REVISION_IDENTIFIER,
  type VmxCapabilities,
} from '../architecture/vmx/vmx-capabilities.js';
import { hostPhysical } from '../memory/addresses.js';
import type { ProcessorCore } from '../processor/core.js';
import { describeEntryFailure, type EntryFailure } from './entry/entry-rule.js';
import { VmEntries } from './vm-entries.js';
import { Vmcs, VmxMisuseError } from './vmcs.js';
import { ALL_GROUPS, LAUNCH_STATE, REGION_WORD } from './vmcs-layout.js';
import { VM_FAIL_INVALID, VM_SUCCEED, type VmxResult } from './vmx-result.js';

const REGION_SIZE = 4096;
const NO_POINTER = -1;

export class VirtualMachineExtensions {
  /** The current VMCS; for observers. */
  readonly vmcs: Vmcs;
  readonly capabilities: VmxCapabilities;
  private readonly core: ProcessorCore;
  private readonly entries: VmEntries;
  /** Host-physical address of the VMXON region, -1 outside of VMX operation. */
  private vmxonPointer = NO_POINTER;

  constructor(core: ProcessorCore, capabilities: VmxCapabilities = BASE_CAPABILITIES) {
    this.core = core;
    this.capabilities = capabilities;
    this.vmcs = new Vmcs(core.memory);
    this.entries = new VmEntries(core, this.vmcs, capabilities, (error) => this.fail(error));
  }

  /** Why the last VM entry failed; undefined when it did not. */
  get lastEntryFailure(): EntryFailure | undefined {
    return this.entries.lastEntryFailure;
  }
  /** Between VMXON and VMXOFF. */
  get active(): boolean {
    return this.vmxonPointer !== NO_POINTER;
  }
  /** VM exits so far. */
  get exitCount(): number {
    return this.entries.exits.count;
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
    if (!this.hasField(encoding)) return this.fail(INSTRUCTION_ERROR.UNSUPPORTED_VMCS_COMPONENT);
    return { ok: true, value: this.vmcs.read(encoding) };
  }

  /** VMWRITE with the outcome of the instruction; the value is cut to the field's width. */
  writeField(encoding: number, value: bigint): VmxResult {
    if (this.vmcs.base < 0) return VM_FAIL_INVALID;
    if (!this.hasField(encoding)) return this.fail(INSTRUCTION_ERROR.UNSUPPORTED_VMCS_COMPONENT);
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
    this.requireCurrent('VMREAD', field);
    return this.vmcs.readNumber(field);
  }
  /** VMWRITE of an unsigned value below 2^53. */
  vmwriteNumber(field: number, value: number): void {
    this.requireCurrent('VMWRITE', field);
    this.vmcs.writeNumber(field, value);
  }
  /** VMREAD of a field of 64 bits into two 32-bit words, low one first, without a big integer. */
  vmreadWords(field: number, words: Int32Array): void {
    this.requireCurrent('VMREAD', field);
    this.vmcs.readWords(field, words);
  }
  /** VMWRITE of a field of 64 bits from two 32-bit words, low one first. */
  vmwriteWords(field: number, words: Int32Array): void {
    this.requireCurrent('VMWRITE', field);
    this.vmcs.writeWords(field, words);
  }

  private requireCurrent(instruction: string, field: number): void {
    if (this.vmcs.base < 0)
      throw new VmxMisuseError(`${instruction} of ${fieldName(field)} without current VMCS`);
  }

  /**
   * VMLAUNCH. After `ok` the processor is in VMX non-root operation, unless the VM entry failed on its guest state or led
   * to a VM exit at once: then `core.intercepts` is null and the exit reason says why.
   */
  vmlaunch(): VmxResult {
    return this.entries.enter(LAUNCH_STATE.CLEAR, INSTRUCTION_ERROR.VMLAUNCH_NON_CLEAR_VMCS);
  }
  /** VMRESUME; as `vmlaunch`. */
  vmresume(): VmxResult {
    return this.entries.enter(LAUNCH_STATE.LAUNCHED, INSTRUCTION_ERROR.VMRESUME_NON_LAUNCHED_VMCS);
  }

  /**
   * @param type 1 single context, 2 global
   * @param eptPointer for type 1; its bits 11:0 do not matter for what is forgotten
   */
  invept(type: number, eptPointer: bigint): VmxResult {
    this.requireActive('INVEPT');
    if (type !== INVEPT_TYPE.SINGLE_CONTEXT && type !== INVEPT_TYPE.GLOBAL)
      return this.fail(INSTRUCTION_ERROR.INVALID_OPERAND_TO_INVEPT_INVVPID);
    if (type === INVEPT_TYPE.GLOBAL) this.entries.translation.invalidateAll();
    else this.entries.translation.invalidate(Number(eptPointer & ~0xfffn));
    this.entries.tags.invalidate();
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
    this.entries.tags.invalidate();
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
    this.entries.tags.shareWithHost();
  }

  /** The processor has the field: some come with a feature. */
  private hasField(encoding: number): boolean {
    if (!Vmcs.supports(encoding)) return false;
    const feature = OPTIONAL_FIELDS.get(encoding & ~1);
    return feature === undefined || this.capabilities.features.has(feature);
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
