/**
 * Virtual interrupts and the virtual-APIC page (SDM Vol. 3C, 29.1 Virtual APIC State, 29.2 Evaluation and Delivery of
 * Virtual Interrupts, 29.4.3.2 APIC-Write Emulation, 29.5 Virtualizing MSR-Based APIC Accesses, 29.6 Posted-Interrupt
 * Processing).
 */

import { VECTOR } from '../../architecture/vectors.js';
import { PIN_BASED, PRIMARY, SECONDARY } from '../../architecture/vmx/controls.js';
import { EXIT_REASON } from '../../architecture/vmx/exit-reasons.js';
import { VMCS } from '../../architecture/vmx/vmcs-fields.js';
import { hostPhysical } from '../../memory/addresses.js';
import { GuestFault, type ProcessorCore } from '../../processor/core.js';
import type { ExecutionControls } from '../intercepts/execution-controls.js';
import type { PendingExit } from '../intercepts/pending-exit.js';
import type { Vmcs } from '../vmcs.js';
import { APIC_OFFSET, isSelfInterrupt, isWritableThroughPage } from './apic-registers.js';

/** Posted-interrupt descriptor (29.6, Table 29-1): 256 request bits, then the outstanding-notification bit. */
const OUTSTANDING_NOTIFICATION_WORD = 32;
const FIRST_X2APIC_MSR = 0x800;
const LAST_X2APIC_MSR = 0x8ff;

export class VirtualApic {
  /** Requesting and servicing virtual interrupt (24.4.2 Guest Non-Register State, guest interrupt status). */
  private requesting = 0;
  private servicing = 0;
  /** A virtual interrupt is recognized, and is delivered as soon as nothing blocks it. */
  private recognized = false;
  /** Offset of a write to the APIC-access page that has to be emulated behind its instruction; -1 for none. */
  pendingWrite = -1;
  private readonly core: ProcessorCore;
  private readonly controls: ExecutionControls;
  private readonly pendingExit: PendingExit;

  constructor(core: ProcessorCore, controls: ExecutionControls, pendingExit: PendingExit) {
    this.core = core;
    this.controls = controls;
    this.pendingExit = pendingExit;
  }

  private get delivers(): boolean {
    return this.controls.hasSecondary(SECONDARY.VIRTUAL_INTERRUPT_DELIVERY);
  }

  /** VM entry loads RVI and SVI and virtualizes PPR, which may lead to recognition (26.3.2.5). */
  load(vmcs: Vmcs): void {
    this.pendingWrite = -1;
    this.recognized = false;
    if (!this.delivers) return;
    const status = vmcs.low(VMCS.GUEST_INTERRUPT_STATUS);
    this.requesting = status & 0xff;
    this.servicing = (status >> 8) & 0xff;
    this.virtualizePpr();
    this.evaluate();
  }

  /** VM exit saves RVI and SVI (27.3.4). */
  save(vmcs: Vmcs): void {
    if (this.delivers) vmcs.store32(VMCS.GUEST_INTERRUPT_STATUS, (this.servicing << 8) | this.requesting);
  }

  get interruptPending(): boolean {
    return this.recognized;
  }

  /** Neither an interrupt nor a write waits for the next instruction boundary. */
  get isQuiet(): boolean {
    return !this.recognized && this.pendingWrite < 0;
  }

  /** Delivery of the recognized interrupt (29.2.2). @returns its vector */
  take(): number {
    const vector = this.requesting;
    this.setBit(APIC_OFFSET.IN_SERVICE, vector, true);
    this.servicing = vector;
    this.writeRegister(APIC_OFFSET.PROCESSOR_PRIORITY, vector & 0xf0);
    this.setBit(APIC_OFFSET.REQUEST, vector, false);
    this.requesting = this.highest(APIC_OFFSET.REQUEST);
    this.recognized = false;
    return vector;
  }

  /**
   * An external interrupt that is the posted-interrupt notification (29.6). False: another one, it causes a VM exit.
   * @param vector as acknowledged by the processor's own local APIC
   */
  processPosted(vector: number): boolean {
    const { controls } = this;
    if (vector !== controls.notificationVector) return false;
    const { memory } = this.core;
    const descriptor = controls.postedInterruptDescriptor;
    const notification = hostPhysical(descriptor + OUTSTANDING_NOTIFICATION_WORD);
    memory.write32(notification, memory.read32(notification) & ~1);
    for (let word = 0; word < 8; word++) {
      const address = hostPhysical(descriptor + word * 4);
      const posted = memory.read32(address) >>> 0;
      if (posted === 0) continue;
      memory.write32(address, 0);
      const register = APIC_OFFSET.REQUEST + word * 16;
      this.writeRegister(register, (this.readRegister(register) | posted) >>> 0);
      this.requesting = Math.max(this.requesting, word * 32 + 31 - Math.clz32(posted));
    }
    this.evaluate();
    return true;
  }
  get processesPosted(): boolean {
    return this.controls.hasPinBased(PIN_BASED.PROCESS_POSTED_INTERRUPTS);
  }

  /** RDMSR of an x2APIC register (29.5); undefined when it is not virtualized. */
  readMsr(index: number): bigint | undefined {
    if (!this.virtualizesMsr(index)) return undefined;
    const offset = (index - FIRST_X2APIC_MSR) * 16;
    if (
      offset !== APIC_OFFSET.TASK_PRIORITY &&
      !this.controls.hasSecondary(SECONDARY.APIC_REGISTER_VIRTUALIZATION)
    )
      return undefined;
    // Eight bytes: the interrupt-command register is read in one piece.
    return (BigInt(this.readRegister(offset + 4)) << 32n) | BigInt(this.readRegister(offset));
  }

  /** WRMSR of an x2APIC register (29.5). `exited`: a trap-like VM exit took place behind the instruction. */
  writeMsr(index: number, value: bigint, instructionLength: number): 'no' | 'done' | 'exited' {
    if (!this.virtualizesMsr(index)) return 'no';
    const offset = (index - FIRST_X2APIC_MSR) * 16;
    if (offset !== APIC_OFFSET.TASK_PRIORITY) {
      if (!this.delivers || (offset !== APIC_OFFSET.EOI && offset !== APIC_OFFSET.SELF_IPI)) return 'no';
    }
    const writable = offset === APIC_OFFSET.EOI ? 0n : 0xffn;
    if ((value & ~writable) !== 0n) throw new GuestFault(VECTOR.GP, 0);
    this.writeRegister(offset, Number(value));
    return this.emulate(offset, instructionLength) ? 'exited' : 'done';
  }

  /** Emulates the write that `pendingWrite` notes, with RIP behind its instruction. True: a VM exit took place. */
  completeWrite(): boolean {
    const offset = this.pendingWrite;
    this.pendingWrite = -1;
    return this.emulate(offset, 0);
  }

  /** A write to the APIC-access page is virtualized (29.4.3.1). */
  virtualizesWrite(offset: number): boolean {
    const { controls } = this;
    if (!controls.hasPrimary(PRIMARY.USE_TPR_SHADOW)) return false;
    if (controls.hasSecondary(SECONDARY.APIC_REGISTER_VIRTUALIZATION)) return isWritableThroughPage(offset);
    if (!this.delivers) return false;
    return (
      offset === APIC_OFFSET.TASK_PRIORITY ||
      offset === APIC_OFFSET.EOI ||
      offset === APIC_OFFSET.INTERRUPT_COMMAND_LOW
    );
  }

  /** TPR virtualization (29.1.2) while virtual interrupts are delivered: nothing is compared with the threshold. */
  taskPriorityChanged(): boolean {
    if (!this.delivers) return false;
    this.virtualizePpr();
    this.evaluate();
    return true;
  }

  /** APIC-write emulation (29.4.3.2). */
  private emulate(offset: number, instructionLength: number): boolean {
    switch (offset) {
      case APIC_OFFSET.TASK_PRIORITY:
        this.writeRegister(offset, this.readRegister(offset) & 0xff);
        if (this.taskPriorityChanged()) return false;
        if (this.readRegister(offset) >> 4 >= this.controls.tprThreshold) return false;
        return this.trap(EXIT_REASON.TPR_BELOW_THRESHOLD, 0, instructionLength);
      case APIC_OFFSET.EOI:
        if (!this.delivers) break;
        this.writeRegister(offset, 0);
        return this.endOfInterrupt(instructionLength);
      case APIC_OFFSET.SELF_IPI: {
        const vector = this.readRegister(offset) & 0xff;
        if (vector < 16) break;
        this.requestFromItself(vector);
        return false;
      }
      case APIC_OFFSET.INTERRUPT_COMMAND_LOW: {
        const command = this.readRegister(offset);
        if (!this.delivers || !isSelfInterrupt(command)) break;
        this.requestFromItself(command & 0xff);
        return false;
      }
      case APIC_OFFSET.INTERRUPT_COMMAND_HIGH:
        this.writeRegister(offset, (this.readRegister(offset) & 0xff000000) >>> 0);
        return false;
      default:
        break;
    }
    return this.trap(EXIT_REASON.APIC_WRITE, offset, instructionLength);
  }

  /** EOI virtualization (29.1.4). */
  private endOfInterrupt(instructionLength: number): boolean {
    const vector = this.servicing;
    this.setBit(APIC_OFFSET.IN_SERVICE, vector, false);
    this.servicing = this.highest(APIC_OFFSET.IN_SERVICE);
    this.virtualizePpr();
    if (this.controls.exitsOnEnd(vector))
      return this.trap(EXIT_REASON.EOI_INDUCED, vector, instructionLength);
    this.evaluate();
    return false;
  }

  /** Self-IPI virtualization (29.1.5). */
  private requestFromItself(vector: number): void {
    this.setBit(APIC_OFFSET.REQUEST, vector, true);
    this.requesting = Math.max(this.requesting, vector);
    this.evaluate();
  }

  /** PPR virtualization (29.1.3). */
  private virtualizePpr(): void {
    const taskPriority = this.readRegister(APIC_OFFSET.TASK_PRIORITY) & 0xff;
    const served = this.servicing & 0xf0;
    this.writeRegister(
      APIC_OFFSET.PROCESSOR_PRIORITY,
      (taskPriority & 0xf0) >= served ? taskPriority : served,
    );
  }

  /** Evaluation of pending virtual interrupts (29.2.1). */
  private evaluate(): void {
    this.recognized =
      !this.controls.hasPrimary(PRIMARY.INTERRUPT_WINDOW_EXITING) &&
      this.requesting >> 4 > ((this.readRegister(APIC_OFFSET.PROCESSOR_PRIORITY) >> 4) & 15);
  }

  private virtualizesMsr(index: number): boolean {
    return (
      index >= FIRST_X2APIC_MSR &&
      index <= LAST_X2APIC_MSR &&
      this.controls.hasSecondary(SECONDARY.VIRTUALIZE_X2APIC_MODE)
    );
  }

  private trap(reason: number, qualification: number, instructionLength: number): true {
    const exit = this.pendingExit.start(reason);
    exit.qualification = qualification;
    exit.instructionLength = instructionLength;
    exit.afterInstruction = true;
    exit.resumeFlag = 'clear';
    return exit.take();
  }

  private setBit(register: number, vector: number, value: boolean): void {
    const offset = register + (vector >> 5) * 16;
    const bit = 1 << (vector & 31);
    const word = this.readRegister(offset);
    this.writeRegister(offset, value ? word | bit : word & ~bit);
  }

  /** Highest vector in eight registers, 0 for none. */
  private highest(register: number): number {
    for (let index = 7; index >= 0; index--) {
      const word = this.readRegister(register + index * 16);
      if (word !== 0) return index * 32 + 31 - Math.clz32(word);
    }
    return 0;
  }

  /** Processors read zero where the virtual-APIC page is not in RAM. */
  private readRegister(offset: number): number {
    const address = this.controls.virtualApicPage + offset;
    return this.core.memory.contains(address, 4) ? this.core.memory.read32(hostPhysical(address)) >>> 0 : 0;
  }
  private writeRegister(offset: number, value: number): void {
    const address = this.controls.virtualApicPage + offset;
    if (this.core.memory.contains(address, 4)) this.core.memory.write32(hostPhysical(address), value);
  }
}
