/** What a VM exit records about its cause. */

/** How RFLAGS.RF is saved (SDM Vol. 3C, 27.3.3 Saving RIP, RSP, RFLAGS, and SSP). */
export type ResumeFlag = 'keep' | 'clear' | 'set';

export interface ExitInformation {
  /** Basic exit reason. */
  readonly reason: number;
  /** Exit qualification. */
  readonly qualification?: number | bigint;
  /** Length in bytes of the instruction that exited; left as it was where the manual calls it undefined. */
  readonly instructionLength?: number | undefined;
  readonly instructionInformation?: number | undefined;
  /** VM-exit interruption information, unsigned, valid bit included. */
  readonly interruptionInformation?: number | undefined;
  readonly interruptionErrorCode?: number | undefined;
  readonly guestLinearAddress?: bigint | undefined;
  readonly guestPhysicalAddress?: number | undefined;
  /** The exit took place while an event was delivered, if there is one in delivery. */
  readonly duringDelivery?: boolean;
  readonly resumeFlag?: ResumeFlag;
  /** RIP has to be saved behind the instruction (trap-like exits). */
  readonly afterInstruction?: boolean;
}
