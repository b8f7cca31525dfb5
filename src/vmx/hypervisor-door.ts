/** VT-x for hypervisor code that treats VMfail as a defect of its own: failures are thrown, with their reason. */

import { instructionErrorText } from '../architecture/vmx/instruction-errors.js';
import type { HostPhysicalAddress } from '../memory/addresses.js';
import type { ProcessorCore } from '../processor/core.js';
import type { VirtualMachineExtensions } from './virtual-machine-extensions.js';
import type { VmxResult } from './vmx-result.js';

/** A VMX instruction failed (VMfailInvalid or VMfailValid). */
export class VmxInstructionError extends Error {
  readonly code = 'vmx-instruction-failed';
  readonly instruction: string;
  /** VM-instruction error number; undefined for VMfailInvalid. */
  readonly error: number | undefined;
  constructor(instruction: string, error: number | undefined, detail: string) {
    const reason =
      error === undefined ? 'no current VMCS, or an invalid region' : instructionErrorText(error);
    super(`${instruction} failed: ${reason}${detail === '' ? '' : `. ${detail}`}`);
    this.name = 'VmxInstructionError';
    this.instruction = instruction;
    this.error = error;
  }
}

export class HypervisorDoor {
  private readonly core: ProcessorCore;
  private readonly vmx: VirtualMachineExtensions;

  constructor(core: ProcessorCore, vmx: VirtualMachineExtensions) {
    this.core = core;
    this.vmx = vmx;
  }

  vmxon(region: HostPhysicalAddress): void {
    this.require('VMXON', this.vmx.vmxon(region));
  }
  vmxoff(): void {
    this.require('VMXOFF', this.vmx.vmxoff());
  }
  vmclear(region: HostPhysicalAddress): void {
    this.require('VMCLEAR', this.vmx.vmclear(region));
  }
  vmptrld(region: HostPhysicalAddress): void {
    this.require('VMPTRLD', this.vmx.vmptrld(region));
  }
  vmread(field: number): bigint {
    return this.vmx.vmread(field);
  }
  vmwrite(field: number, value: bigint): void {
    this.vmx.vmwrite(field, value);
  }
  vmreadNumber(field: number): number {
    return this.vmx.vmreadNumber(field);
  }
  vmwriteNumber(field: number, value: number): void {
    this.vmx.vmwriteNumber(field, value);
  }
  vmreadWords(field: number, words: Int32Array): void {
    this.vmx.vmreadWords(field, words);
  }
  vmwriteWords(field: number, words: Int32Array): void {
    this.vmx.vmwriteWords(field, words);
  }
  /** True: the processor is in non-root operation. False: a VM exit took place, a failed entry among them. */
  vmlaunch(): boolean {
    this.require('VMLAUNCH', this.vmx.vmlaunch());
    return this.core.intercepts !== null;
  }
  vmresume(): boolean {
    this.require('VMRESUME', this.vmx.vmresume());
    return this.core.intercepts !== null;
  }
  invept(type: number, eptPointer: bigint): void {
    this.require('INVEPT', this.vmx.invept(type, eptPointer));
  }
  invvpid(type: number, vpid: number, linearAddress: bigint): void {
    this.require('INVVPID', this.vmx.invvpid(type, vpid, linearAddress));
  }

  private require(instruction: string, result: VmxResult): void {
    if (result.ok) return;
    throw new VmxInstructionError(
      instruction,
      result.kind === 'valid' ? result.error : undefined,
      this.vmx.describeEntryFailure(),
    );
  }
}
