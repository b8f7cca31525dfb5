/** A VM exit from its cause to where it takes place. */

import type { ExitInformation, ResumeFlag } from '../exit/exit-information.js';

/**
 * The exit that is being put together. The object is used again for the next exit, so that exits cost no memory and look
 * alike to those who read them: nothing may keep it beyond the exit.
 */
export class PendingExit implements ExitInformation {
  reason = 0;
  qualification: number | bigint = 0;
  instructionLength: number | undefined;
  instructionInformation: number | undefined;
  interruptionInformation: number | undefined;
  interruptionErrorCode: number | undefined;
  guestLinearAddress: bigint | undefined;
  guestPhysicalAddress: number | undefined;
  duringDelivery = false;
  resumeFlag: ResumeFlag = 'keep';
  afterInstruction = false;
  private readonly leave: (information: ExitInformation) => void;

  /** @param leave performs the VM exit */
  constructor(leave: (information: ExitInformation) => void) {
    this.leave = leave;
  }

  /** Begins anew with nothing known but the basic exit reason. */
  start(reason: number): this {
    this.reason = reason;
    this.qualification = 0;
    this.instructionLength = undefined;
    this.instructionInformation = undefined;
    this.interruptionInformation = undefined;
    this.interruptionErrorCode = undefined;
    this.guestLinearAddress = undefined;
    this.guestPhysicalAddress = undefined;
    this.duringDelivery = false;
    this.resumeFlag = 'keep';
    this.afterInstruction = false;
    return this;
  }

  /** Begins with what exits due to instructions have in common: their length, and RFLAGS.RF saved as 0. */
  startAt(instruction: { readonly length: number }, reason: number): this {
    this.start(reason);
    this.instructionLength = instruction.length;
    this.resumeFlag = 'clear';
    return this;
  }

  /** Performs the exit. @returns true, for methods that answer whether one took place */
  take(): true {
    this.leave(this);
    return true;
  }
}
