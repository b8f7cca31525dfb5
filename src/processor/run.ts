/** What a run of a processor is: how long it may last, why it ended, who watches it. */

/** How long a run may last. The first bound that is reached ends it at an instruction boundary. */
export interface RunLimits {
  /** The run ends at the first boundary at which at least so many cycles have passed. */
  readonly cycles: number;
  /** The run ends when exactly so many instructions have retired. */
  readonly instructions: number;
}

export type StopKind =
  /** A limit was reached. */
  | 'budget'
  /** A VM exit took place: the processor is in root operation. */
  | 'vm-exit'
  /** HLT outside of interception: waiting for an interrupt. */
  | 'halt'
  /** Triple fault outside of VMX non-root operation. */
  | 'shutdown';

/** Why a run ended. */
export interface Stop {
  readonly kind: StopKind;
}

/** Watches each instruction; while there is one, execution goes instruction by instruction. */
export interface InstructionObserver {
  /** The instruction at RIP is about to run. */
  before(): void;
  /** It has run (`completed`), or was abandoned by a fault, a VM exit or between iterations of a repeated one. */
  after(completed: boolean): void;
}
