/**
 * Accesses to control registers in VMX non-root operation, and the TPR shadow that CR8 goes to (SDM Vol. 3C, 25.1.3,
 * 25.3; 29.1 Virtual APIC State, 29.3 Virtualizing CR8-Based TPR Accesses).
 */

import { VECTOR } from '../../architecture/vectors.js';
import { PRIMARY, SECONDARY } from '../../architecture/vmx/controls.js';
import {
  CR_ACCESS_TYPE,
  encodeCrQualification,
  encodeLmswQualification,
} from '../../architecture/vmx/exit-qualifications.js';
import { EXIT_REASON } from '../../architecture/vmx/exit-reasons.js';
import type { Instruction } from '../../instruction-set/instruction.js';
import { hostPhysical, type LinearAddress } from '../../memory/addresses.js';
import { GuestFault, type ProcessorCore } from '../../processor/core.js';
import { VirtualApic } from '../apic/virtual-apic.js';
import type { ExitInformation } from '../exit/exit-information.js';
import { cltsEffect, lmswExits, lmswResult, merge, visible, writeExits } from './control-register-rules.js';
import type { ExecutionControls } from './execution-controls.js';
import { PendingExit } from './pending-exit.js';

const PE_AND_PG = 0x80000001n;

/** Offset of VTPR in the virtual-APIC page (29.1.1). */
const VIRTUAL_TPR = 0x80;

export abstract class ControlRegisterIntercepts {
  private readonly tprShadowDoor = {
    read: (): bigint => BigInt(this.virtualTpr() >> 4),
    write: (value: bigint): boolean => this.writeVirtualTpr(Number(value) << 4),
  };
  protected readonly core: ProcessorCore;
  protected readonly controls: ExecutionControls;
  readonly virtualApic: VirtualApic;
  protected readonly pendingExit: PendingExit;
  /** For most exits due to instructions: of these only reason, qualification and instruction length ever change. */
  private readonly plainExit: PendingExit;
  /** Length of the MOV to CR8 under way, for the trap-like exit after it. */
  private cr8WriteLength = 0;

  /** @param leave performs the VM exit */
  constructor(
    core: ProcessorCore,
    controls: ExecutionControls,
    leave: (information: ExitInformation) => void,
  ) {
    this.core = core;
    this.controls = controls;
    this.pendingExit = new PendingExit(leave);
    this.plainExit = new PendingExit(leave);
    this.plainExit.resumeFlag = 'clear';
    this.virtualApic = new VirtualApic(core, controls, this.pendingExit);
  }

  writeCr0(instruction: Instruction, value: bigint, gpr: number): bigint | undefined {
    const { cr0Mask, cr0Shadow } = this.controls;
    if (writeExits(value, cr0Mask, cr0Shadow)) {
      this.crExit(instruction, 0, CR_ACCESS_TYPE.MOV_TO, gpr);
      return undefined;
    }
    const merged = merge(value, this.core.state.cr0, cr0Mask);
    // PE and PG are fixed to 1 unless the guest is unrestricted (23.8 Restrictions on VMX Operation).
    if ((merged & PE_AND_PG) !== PE_AND_PG && !this.controls.hasSecondary(SECONDARY.UNRESTRICTED_GUEST))
      throw new GuestFault(VECTOR.GP, 0);
    return merged;
  }
  writeCr4(instruction: Instruction, value: bigint, gpr: number): bigint | undefined {
    const { cr4Mask, cr4Shadow } = this.controls;
    if (!writeExits(value, cr4Mask, cr4Shadow)) return merge(value, this.core.state.cr4, cr4Mask);
    this.crExit(instruction, 4, CR_ACCESS_TYPE.MOV_TO, gpr);
    return undefined;
  }
  visibleCr0(): bigint {
    return BigInt(visible(this.core.state.cr0, this.controls.cr0Mask, this.controls.cr0Shadow));
  }
  visibleCr4(): bigint {
    return BigInt(visible(this.core.state.cr4, this.controls.cr4Mask, this.controls.cr4Shadow));
  }
  writeCr3(instruction: Instruction, value: bigint, gpr: number): boolean {
    const { controls } = this;
    if (!controls.hasPrimary(PRIMARY.CR3_LOAD_EXITING)) return false;
    for (let n = 0; n < controls.cr3TargetCount; n++) if (controls.cr3Targets[n] === value) return false;
    return this.crExit(instruction, 3, CR_ACCESS_TYPE.MOV_TO, gpr);
  }
  readCr3(instruction: Instruction, gpr: number): boolean {
    return (
      this.controls.hasPrimary(PRIMARY.CR3_STORE_EXITING) &&
      this.crExit(instruction, 3, CR_ACCESS_TYPE.MOV_FROM, gpr)
    );
  }
  writeCr8(instruction: Instruction, _value: bigint, gpr: number): boolean {
    this.cr8WriteLength = instruction.length;
    return (
      this.controls.hasPrimary(PRIMARY.CR8_LOAD_EXITING) &&
      this.crExit(instruction, 8, CR_ACCESS_TYPE.MOV_TO, gpr)
    );
  }
  readCr8(instruction: Instruction, gpr: number): boolean {
    return (
      this.controls.hasPrimary(PRIMARY.CR8_STORE_EXITING) &&
      this.crExit(instruction, 8, CR_ACCESS_TYPE.MOV_FROM, gpr)
    );
  }
  get tprShadow(): { read(): bigint; write(value: bigint): boolean } | undefined {
    return this.controls.hasPrimary(PRIMARY.USE_TPR_SHADOW) ? this.tprShadowDoor : undefined;
  }
  clts(instruction: Instruction): 'exited' | 'clear' | 'ignore' {
    const effect = cltsEffect(this.controls.cr0Mask, this.controls.cr0Shadow);
    if (effect === 'exited') this.crExit(instruction, 0, CR_ACCESS_TYPE.CLTS, 0);
    return effect;
  }
  lmsw(
    instruction: Instruction,
    source: number,
    memoryAddress: LinearAddress | undefined,
  ): number | undefined {
    const { cr0Mask, cr0Shadow } = this.controls;
    if (!lmswExits(source, cr0Mask, cr0Shadow)) return lmswResult(source, this.core.state.cr0, cr0Mask);
    const exit = this.pendingExit.startAt(instruction, EXIT_REASON.CR_ACCESS);
    exit.qualification = encodeLmswQualification(source, memoryAddress !== undefined);
    exit.guestLinearAddress = memoryAddress;
    exit.take();
    return undefined;
  }

  /** VTPR, 8 bits. Processors read it as 0 where the virtual-APIC page is not in RAM. */
  virtualTpr(): number {
    const address = this.controls.virtualApicPage + VIRTUAL_TPR;
    return this.core.memory.contains(address, 4) ? this.core.memory.read8(hostPhysical(address)) : 0;
  }

  /** TPR below threshold after VM entry (26.7.7): asked with TPR shadow and APIC-access virtualization. */
  tprBelowThreshold(): boolean {
    return this.virtualTpr() >> 4 < this.controls.tprThreshold;
  }

  /** Writes VTPR and does TPR virtualization (29.1.2): true when that exits, behind the instruction. */
  private writeVirtualTpr(tpr: number): boolean {
    const address = this.controls.virtualApicPage + VIRTUAL_TPR;
    if (this.core.memory.contains(address, 4)) this.core.memory.write32(hostPhysical(address), tpr);
    if (this.virtualApic.taskPriorityChanged() || !this.tprBelowThreshold()) return false;
    const exit = this.pendingExit.start(EXIT_REASON.TPR_BELOW_THRESHOLD);
    exit.instructionLength = this.cr8WriteLength;
    exit.afterInstruction = true;
    exit.resumeFlag = 'clear';
    return exit.take();
  }

  protected instructionExit(
    reason: number,
    instruction: Instruction,
    qualification: number | bigint = 0,
  ): true {
    const exit = this.plainExit;
    exit.reason = reason;
    exit.qualification = qualification;
    exit.instructionLength = instruction.length;
    return exit.take();
  }

  private crExit(instruction: Instruction, register: number, type: number, gpr: number): true {
    return this.instructionExit(
      EXIT_REASON.CR_ACCESS,
      instruction,
      encodeCrQualification(register, type, gpr),
    );
  }
}
