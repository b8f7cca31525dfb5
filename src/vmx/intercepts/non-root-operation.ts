/**
 * VMX non-root operation: which instructions and events cause VM exits, and what those that don't do otherwise
 * than outside of it (SDM Vol. 3C, Chapter 25 VMX Non-Root Operation).
 */

import { SEGMENT } from '../../architecture/registers.js';
import { VECTOR } from '../../architecture/vectors.js';
import { PIN_BASED, PRIMARY, SECONDARY } from '../../architecture/vmx/controls.js';
import {
  encodeDrQualification,
  encodeIoQualification,
  encodeTaskSwitchQualification,
} from '../../architecture/vmx/exit-qualifications.js';
import { EXIT_REASON } from '../../architecture/vmx/exit-reasons.js';
import { encodeStringIoInformation } from '../../architecture/vmx/instruction-information.js';
import { encodeInterruption, INTERRUPTION_TYPE } from '../../architecture/vmx/interruption-information.js';
import { VMCS } from '../../architecture/vmx/vmcs-fields.js';
import { PREEMPTION_TIMER_RATE } from '../../architecture/vmx/vmx-capabilities.js';
import { type Instruction, NO_REGISTER, PREFIX } from '../../instruction-set/instruction.js';
import type { LinearAddress } from '../../memory/addresses.js';
import {
  GuestFault,
  type Intercepts,
  type InterruptSource,
  type ProcessorEvent,
  type VmExitSignal,
} from '../../processor/core.js';
import { interruptionOf } from '../exit/record-exit-information.js';
import type { Vmcs } from '../vmcs.js';
import { ioExits, msrExits } from './bitmaps.js';
import { ControlRegisterIntercepts } from './control-register-intercepts.js';
import { exceptionExits, exceptionQualification, resumeFlagOf } from './exception-rules.js';
import { instructionInformation } from './instruction-information.js';

const VMX_INSTRUCTION_REASON: ReadonlyMap<string, number> = new Map([
  ['VMCALL', EXIT_REASON.VMCALL],
  ['VMCLEAR', EXIT_REASON.VMCLEAR],
  ['VMLAUNCH', EXIT_REASON.VMLAUNCH],
  ['VMPTRLD', EXIT_REASON.VMPTRLD],
  ['VMPTRST', EXIT_REASON.VMPTRST],
  ['VMREAD', EXIT_REASON.VMREAD],
  ['VMRESUME', EXIT_REASON.VMRESUME],
  ['VMWRITE', EXIT_REASON.VMWRITE],
  ['VMXOFF', EXIT_REASON.VMOFF],
  ['VMXON', EXIT_REASON.VMON],
  ['INVEPT', EXIT_REASON.INVEPT],
  ['INVVPID', EXIT_REASON.INVVPID],
]);

const WINDOW_EXITING = PRIMARY.INTERRUPT_WINDOW_EXITING | PRIMARY.NMI_WINDOW_EXITING;

const GDTR_OR_IDTR: ReadonlySet<string> = new Set(['SGDT', 'SIDT', 'LGDT', 'LIDT']);

/** INT n, INT3, INTO, INT1: their exits have an instruction length. */
const isSoftware = (event: ProcessorEvent): boolean =>
  event.type === 'software-exception' || event.type === 'privileged-software-exception';

/** IN and OUT name the port in an operand of their own; INS and OUTS have it in DX. */
const hasImmediatePort = (instruction: Instruction, direction: 'in' | 'out'): boolean =>
  instruction.encoding.operands[direction === 'in' ? 1 : 0]?.slot === 'immediate';

/** Segment of the memory operand of INS and OUTS. */
function stringSegment(instruction: Instruction, direction: 'in' | 'out'): number {
  if (direction === 'in') return SEGMENT.ES;
  return instruction.segmentOverride === NO_REGISTER ? SEGMENT.DS : instruction.segmentOverride;
}

export class NonRootOperation extends ControlRegisterIntercepts implements Intercepts {
  /**
   * @param instructionLength length of the instruction that made the access. The manual leaves it undefined for
   * most of these exits; processors give it for APIC accesses, and hypervisors rely on that to skip the instruction.
   */
  exit(signal: VmExitSignal, instructionLength?: number): void {
    const exit = this.pendingExit.start(signal.reason);
    exit.qualification = signal.qualification;
    exit.guestPhysicalAddress = signal.guestPhysicalAddress;
    exit.guestLinearAddress = signal.guestLinearAddress;
    exit.duringDelivery = true;
    exit.resumeFlag = 'set';
    exit.instructionLength = instructionLength;
    exit.take();
  }

  exception(event: ProcessorEvent): boolean {
    if (event.type === 'nmi') return this.nmi();
    if (!exceptionExits(this.controls, event)) return false;
    const exit = this.pendingExit.start(EXIT_REASON.EXCEPTION_NMI);
    exit.qualification = exceptionQualification(event);
    exit.interruptionInformation = interruptionOf(event);
    exit.interruptionErrorCode = event.errorCode;
    // A double fault that exits is not an exit during delivery of the event that led to it (27.2.4).
    exit.duringDelivery = event.vector !== VECTOR.DF && this.core.eventInDelivery !== event;
    exit.resumeFlag = resumeFlagOf(event);
    if (isSoftware(event)) exit.instructionLength = event.instructionLength;
    return exit.take();
  }

  /** A non-maskable interrupt is about to be delivered. After an exit due to it NMIs are blocked. */
  nmi(): boolean {
    if (!this.controls.hasPinBased(PIN_BASED.NMI_EXITING)) return false;
    const exit = this.pendingExit.start(EXIT_REASON.EXCEPTION_NMI);
    exit.interruptionInformation = encodeInterruption(VECTOR.NMI, INTERRUPTION_TYPE.NMI, false);
    exit.take();
    this.core.nmiBlocked = true;
    return true;
  }

  tripleFault(): boolean {
    return this.pendingExit.start(EXIT_REASON.TRIPLE_FAULT).take();
  }

  taskSwitch(selector: number, source: 'call' | 'iret' | 'jmp' | 'gate', instructionLength: number): boolean {
    const exit = this.pendingExit.start(EXIT_REASON.TASK_SWITCH);
    exit.qualification = encodeTaskSwitchQualification(selector, source);
    exit.instructionLength = instructionLength;
    exit.duringDelivery = source === 'gate';
    return exit.take();
  }

  get externalInterruptExiting(): boolean {
    return this.controls.hasPinBased(PIN_BASED.EXTERNAL_INTERRUPT_EXITING);
  }

  externalInterrupt(source: InterruptSource): boolean {
    if (!this.externalInterruptExiting) return false;
    if (this.virtualApic.processesPosted) {
      const vector = source.acknowledge();
      if (!this.virtualApic.processPosted(vector)) this.externalInterruptExit(vector);
      return this.core.intercepts === null;
    }
    return this.externalInterruptExit(this.acknowledges ? source.acknowledge() : undefined);
  }

  /** @param vector undefined when the interrupt has not been acknowledged */
  private externalInterruptExit(vector: number | undefined): true {
    const exit = this.pendingExit.start(EXIT_REASON.EXTERNAL_INTERRUPT);
    if (vector !== undefined)
      exit.interruptionInformation = encodeInterruption(vector, INTERRUPTION_TYPE.EXTERNAL_INTERRUPT, false);
    return exit.take();
  }
  /** "Acknowledge interrupt on exit"; a VM-exit control, set at VM entry. */
  acknowledges = false;

  /** Time-stamp counter at which the VMX-preemption timer reaches zero; infinite while it is not active. */
  preemptionDeadline = Number.POSITIVE_INFINITY;

  /**
   * VM entry: the timer is loaded, and counts down whenever bit `PREEMPTION_TIMER_RATE` of the time-stamp counter changes
   * (25.5.1 VMX-Preemption Timer).
   */
  startPreemptionTimer(vmcs: Vmcs): void {
    const unit = 2 ** PREEMPTION_TIMER_RATE;
    this.preemptionDeadline = this.controls.hasPinBased(PIN_BASED.ACTIVATE_VMX_PREEMPTION_TIMER)
      ? (Math.floor(this.core.timeStampCounter / unit) + vmcs.unsigned(VMCS.VMX_PREEMPTION_TIMER_VALUE)) *
        unit
      : Number.POSITIVE_INFINITY;
  }
  /** What is left of it, for "save VMX-preemption timer value". */
  get preemptionTimerLeft(): number {
    const unit = 2 ** PREEMPTION_TIMER_RATE;
    return Math.max(0, this.preemptionDeadline / unit - Math.floor(this.core.timeStampCounter / unit));
  }
  /** The timer has reached zero. */
  preemptionTimer(): boolean {
    return this.exitIf(true, EXIT_REASON.PREEMPTION_TIMER);
  }

  get quietAtBoundaries(): boolean {
    return (this.controls.primary & WINDOW_EXITING) === 0 && this.virtualApic.isQuiet;
  }

  get virtualInterruptPending(): boolean {
    return this.virtualApic.interruptPending;
  }
  takeVirtualInterrupt(): number {
    return this.virtualApic.take();
  }
  readVirtualMsr(index: number): bigint | undefined {
    return this.virtualApic.readMsr(index);
  }
  writeVirtualMsr(instruction: Instruction, index: number, value: bigint): 'no' | 'done' | 'exited' {
    return this.virtualApic.writeMsr(index, value, instruction.length);
  }
  get apicWritePending(): boolean {
    return this.virtualApic.pendingWrite >= 0;
  }
  completeApicWrite(): boolean {
    return this.virtualApic.completeWrite();
  }
  abandonApicWrite(): void {
    this.virtualApic.pendingWrite = -1;
  }

  get interruptWindowExiting(): boolean {
    return this.controls.hasPrimary(PRIMARY.INTERRUPT_WINDOW_EXITING);
  }
  interruptWindow(): boolean {
    return this.exitIf(this.interruptWindowExiting, EXIT_REASON.INTERRUPT_WINDOW);
  }
  get nmiWindowExiting(): boolean {
    return this.controls.hasPrimary(PRIMARY.NMI_WINDOW_EXITING);
  }
  /** Asked at instruction boundaries when nothing blocks NMIs (no virtual-NMI blocking, no blocking by MOV SS or STI). */
  nmiWindow(): boolean {
    return this.exitIf(this.nmiWindowExiting, EXIT_REASON.NMI_WINDOW);
  }

  cpuid(instruction: Instruction): boolean {
    return this.instructionExit(EXIT_REASON.CPUID, instruction);
  }
  invd(instruction: Instruction): boolean {
    return this.instructionExit(EXIT_REASON.INVD, instruction);
  }
  xsetbv(instruction: Instruction): boolean {
    return this.instructionExit(EXIT_REASON.XSETBV, instruction);
  }
  hlt(instruction: Instruction): boolean {
    return this.primaryExit(PRIMARY.HLT_EXITING, EXIT_REASON.HLT, instruction);
  }
  wbinvd(instruction: Instruction): boolean {
    return (
      this.controls.hasSecondary(SECONDARY.WBINVD_EXITING) &&
      this.instructionExit(EXIT_REASON.WBINVD, instruction)
    );
  }
  invlpg(instruction: Instruction, linearAddress: LinearAddress): boolean {
    return (
      this.controls.hasPrimary(PRIMARY.INVLPG_EXITING) &&
      this.instructionExit(EXIT_REASON.INVLPG, instruction, linearAddress)
    );
  }
  rdtsc(instruction: Instruction): boolean {
    return this.primaryExit(PRIMARY.RDTSC_EXITING, EXIT_REASON.RDTSC, instruction);
  }
  /** #UD unless "enable RDTSCP" is 1 (25.3). */
  rdtscp(instruction: Instruction): boolean {
    if (!this.controls.hasSecondary(SECONDARY.ENABLE_RDTSCP)) throw new GuestFault(VECTOR.UD);
    return this.primaryExit(PRIMARY.RDTSC_EXITING, EXIT_REASON.RDTSCP, instruction);
  }
  rdpmc(instruction: Instruction): boolean {
    return this.primaryExit(PRIMARY.RDPMC_EXITING, EXIT_REASON.RDPMC, instruction);
  }
  monitor(instruction: Instruction): boolean {
    return this.primaryExit(PRIMARY.MONITOR_EXITING, EXIT_REASON.MONITOR_INSTRUCTION, instruction);
  }
  /** Qualification 1 if the monitor hardware is armed; it never is here. */
  mwait(instruction: Instruction): boolean {
    return this.primaryExit(PRIMARY.MWAIT_EXITING, EXIT_REASON.MWAIT_INSTRUCTION, instruction);
  }
  pause(instruction: Instruction): boolean {
    return this.primaryExit(PRIMARY.PAUSE_EXITING, EXIT_REASON.PAUSE_INSTRUCTION, instruction);
  }

  vmxInstruction(instruction: Instruction, displacement: bigint): boolean {
    const reason = VMX_INSTRUCTION_REASON.get(instruction.encoding.mnemonic);
    if (reason === undefined) return false;
    return this.operandExit(reason, instruction, displacement);
  }

  descriptorTable(instruction: Instruction, displacement: bigint): boolean {
    if (!this.controls.hasSecondary(SECONDARY.DESCRIPTOR_TABLE_EXITING)) return false;
    const reason = GDTR_OR_IDTR.has(instruction.encoding.mnemonic)
      ? EXIT_REASON.GDTR_IDTR
      : EXIT_REASON.LDTR_TR;
    return this.operandExit(reason, instruction, displacement);
  }

  /** An exit that tells about the instruction's operands. */
  private operandExit(reason: number, instruction: Instruction, displacement: bigint): true {
    const exit = this.pendingExit.startAt(instruction, reason);
    exit.qualification = displacement;
    exit.instructionInformation = instructionInformation(instruction);
    return exit.take();
  }

  readMsr(instruction: Instruction, index: number): boolean {
    return (
      msrExits(this.core.memory, this.controls, index, false) &&
      this.instructionExit(EXIT_REASON.MSR_READ, instruction)
    );
  }
  writeMsr(instruction: Instruction, index: number): boolean {
    return (
      msrExits(this.core.memory, this.controls, index, true) &&
      this.instructionExit(EXIT_REASON.MSR_WRITE, instruction)
    );
  }

  io(
    instruction: Instruction,
    port: number,
    sizeInBytes: number,
    direction: 'in' | 'out',
    linearAddress: LinearAddress | undefined,
  ): boolean {
    if (!ioExits(this.core.memory, this.controls, port, sizeInBytes)) return false;
    const string = linearAddress !== undefined;
    const qualification = encodeIoQualification({
      port,
      sizeInBytes,
      direction,
      string,
      rep: string && (instruction.prefixes & (PREFIX.REP | PREFIX.REPNE)) !== 0,
      immediate: hasImmediatePort(instruction, direction),
    });
    if (!string) return this.instructionExit(EXIT_REASON.IO_INSTRUCTION, instruction, qualification);
    const exit = this.pendingExit.startAt(instruction, EXIT_REASON.IO_INSTRUCTION);
    exit.qualification = qualification;
    exit.guestLinearAddress = linearAddress;
    exit.instructionInformation = encodeStringIoInformation(
      instruction.addressSize,
      stringSegment(instruction, direction),
    );
    return exit.take();
  }

  readDebugRegister(instruction: Instruction, number: number, gpr: number): boolean {
    return (
      this.controls.hasPrimary(PRIMARY.MOV_DR_EXITING) &&
      this.instructionExit(EXIT_REASON.DR_ACCESS, instruction, encodeDrQualification(number, true, gpr))
    );
  }
  writeDebugRegister(instruction: Instruction, number: number, gpr: number): boolean {
    return (
      this.controls.hasPrimary(PRIMARY.MOV_DR_EXITING) &&
      this.instructionExit(EXIT_REASON.DR_ACCESS, instruction, encodeDrQualification(number, false, gpr))
    );
  }

  get tscOffset(): bigint {
    return this.controls.tscOffset;
  }

  private exitIf(condition: boolean, reason: number): boolean {
    return condition && this.pendingExit.start(reason).take();
  }

  private primaryExit(
    control: (typeof PRIMARY)[keyof typeof PRIMARY],
    reason: number,
    instruction: Instruction,
  ): boolean {
    return this.controls.hasPrimary(control) && this.instructionExit(reason, instruction);
  }
}
