/**
 * A physical CPU of the simulated host: the only door between the hypervisor layer and the hardware. Each method is
 * one instruction of host kernel code: it acts on the processor's state and charges its cost.
 */

import { GPR } from '../architecture/registers.js';
import { VMCS } from '../architecture/vmx/vmcs-fields.js';
import type { HostPhysicalAddress } from '../memory/addresses.js';
import { STATE } from '../processor/state/layout.js';
import { operation } from './cost/operations.js';
import type { VmxHardware } from './hardware.js';
import { type CpuOptions, HostRegisters } from './host-registers.js';
import { NO_EXIT } from './ledger.js';
import { STAGE } from './stages.js';

const OP = {
  VM_EXIT: operation('VM exit'),
  VM_ENTRY: operation('VM entry'),
  VMREAD: operation('VMREAD'),
  VMWRITE: operation('VMWRITE'),
  VMPTRLD: operation('VMPTRLD'),
  VMCLEAR: operation('VMCLEAR'),
  INVEPT: operation('INVEPT'),
  INVVPID: operation('INVVPID'),
  SAVE_GPRS: operation('save guest GPRs'),
  LOAD_GPRS: operation('load guest GPRs'),
  GUEST_CODE: operation('guest code'),
} as const;

const GPR_WORDS = 32;
const RSP_WORD = GPR.RSP * 2;

/** The guest that a CPU runs, as far as the transition concerns it. */
export interface GuestContext {
  /** GPRs: 16 × 64 bits as 32-bit words. */
  readonly registerWords: Int32Array;
  /** VM entry is complete, guest code comes next. */
  entered(): void;
  /** Guest code has ended with a VM exit of this basic reason; nothing of the exit has been charged yet. */
  left(reason: number): void;
}

/** Why guest code stopped running. */
export type GuestStop = 'vm-exit' | 'paused';

export class PhysicalCpu extends HostRegisters {
  /** The VMCS that is current on this CPU (per_cpu(current_vmcs)). */
  currentVmcs: HostPhysicalAddress | undefined;
  private readonly vmx: VmxHardware;
  /** The GPRs in the processor's block. */
  private readonly registerWords: Int32Array;
  private readonly runLimits = { cycles: 0, instructions: 0 };

  constructor(options: CpuOptions & { readonly vmx: VmxHardware }) {
    super(options);
    this.vmx = options.vmx;
    this.registerWords = this.stateWords.subarray(STATE.GPR / 4, STATE.GPR / 4 + GPR_WORDS);
  }

  vmread(field: number): bigint {
    this.charge(OP.VMREAD);
    return this.vmx.vmread(field);
  }

  /** VMREAD of a field of at most 53 bits, as a number. */
  vmreadNumber(field: number): number {
    this.charge(OP.VMREAD);
    return this.vmx.vmreadNumber(field);
  }

  vmwrite(field: number, value: bigint): void {
    this.charge(OP.VMWRITE);
    this.vmx.vmwrite(field, value);
  }

  vmwriteNumber(field: number, value: number): void {
    this.charge(OP.VMWRITE);
    this.vmx.vmwriteNumber(field, value);
  }

  /** VMREAD and VMWRITE of a field of 64 bits as two 32-bit words, low one first. */
  vmreadWords(field: number, words: Int32Array): void {
    this.charge(OP.VMREAD);
    this.vmx.vmreadWords(field, words);
  }

  vmwriteWords(field: number, words: Int32Array): void {
    this.charge(OP.VMWRITE);
    this.vmx.vmwriteWords(field, words);
  }

  /** Reads a field without executing anything: for observers. */
  peekVmcs(field: number): bigint {
    return this.vmx.vmread(field);
  }

  vmxon(region: HostPhysicalAddress): void {
    this.vmx.vmxon(region);
  }

  vmclear(region: HostPhysicalAddress): void {
    this.charge(OP.VMCLEAR);
    this.vmx.vmclear(region);
    if (this.currentVmcs === region) this.currentVmcs = undefined;
  }

  vmptrld(region: HostPhysicalAddress): void {
    this.charge(OP.VMPTRLD);
    this.vmx.vmptrld(region);
    this.currentVmcs = region;
  }

  invept(type: number, eptPointer: bigint): void {
    this.charge(OP.INVEPT);
    this.vmx.invept(type, eptPointer);
  }

  invvpid(type: number, vpid: number, linearAddress: bigint): void {
    this.charge(OP.INVVPID);
    this.vmx.invvpid(type, vpid, linearAddress);
  }

  /**
   * Loads the guest's GPRs (RSP is in the VMCS) and executes VMLAUNCH or VMRESUME, then runs guest code until a VM exit
   * or until the simulation wants to pause.
   */
  enterGuest(guest: GuestContext, launched: boolean): GuestStop {
    this.charge(OP.LOAD_GPRS);
    copyRegisters(guest.registerWords, this.registerWords);
    this.account.setStage(STAGE.BACK_IN_GUEST);
    // The VMX-preemption timer is started early in VM entry, and may expire during it (SDM Vol. 3C, 26.7.4).
    const entered = launched ? this.vmx.vmresume() : this.vmx.vmlaunch();
    this.charge(OP.VM_ENTRY);
    guest.entered();
    this.quiescentStates++;
    return entered ? this.runGuest(guest) : this.leaveGuest(guest);
  }

  /** Goes on with guest code after `enterGuest` or `runGuest` paused. */
  runGuest(guest: GuestContext): GuestStop {
    const { processor, account } = this;
    account.setReason(NO_EXIT);
    account.setStage(STAGE.GUEST);
    for (;;) {
      const before = processor.timeStampCounter;
      const end = Math.min(this.horizon, this.stopTime);
      if (before >= end || this.instructionBudget <= 0) {
        this.cutShort = before < this.horizon;
        return 'paused';
      }
      const instructionsBefore = processor.instructionsRetired;
      // At least one cycle: an interrupt that is due is taken before the first instruction.
      this.runLimits.cycles = Math.max(1, Math.min(this.events.nextTime, end) - before);
      this.runLimits.instructions = this.instructionBudget;
      const stop = processor.run(this.runLimits);
      const instructions = processor.instructionsRetired - instructionsBefore;
      this.instructionBudget -= instructions;
      account.add(OP.GUEST_CODE, instructions, processor.timeStampCounter - before);
      if (stop.kind === 'vm-exit') return this.leaveGuest(guest);
      if (stop.kind !== 'budget')
        throw new Error(`the processor stopped with "${stop.kind}" in VMX non-root operation`);
    }
  }

  private leaveGuest(guest: GuestContext): 'vm-exit' {
    const { account } = this;
    this.instructionBudget--;
    const reason = this.vmx.vmreadNumber(VMCS.EXIT_REASON) & 0xffff;
    guest.left(reason);
    account.setReason(reason);
    account.setStage(STAGE.HOST_ACQUIRES_CONTROL);
    this.charge(OP.VM_EXIT);
    account.setStage(STAGE.EXIT_HANDLER);
    this.charge(OP.SAVE_GPRS);
    copyRegisters(this.registerWords, guest.registerWords);
    return 'vm-exit';
  }
}

/** All GPRs but RSP, which VM entry and exit themselves switch. One call for all is twice as fast as word by word. */
function copyRegisters(from: Int32Array, to: Int32Array): void {
  const low = to[RSP_WORD]!;
  const high = to[RSP_WORD + 1]!;
  to.set(from);
  to[RSP_WORD] = low;
  to[RSP_WORD + 1] = high;
}
