/** What the machine tells observers. Observers never change behaviour, and cost nothing when there are none. */

/** One operation charged within a stage of an exit. */
export interface ChargedOperation {
  readonly name: string;
  readonly count: number;
  readonly cycles: number;
}

/** A stage of an exit, under the talk's name; stages of an exit sum to its cycles. */
export interface StageRecord {
  readonly name: string;
  readonly cycles: number;
  readonly operations: readonly ChargedOperation[];
}

/** One VM exit, complete: reported when the guest runs again (or never will). */
export interface ExitRecord {
  /** 0, 1, 2 … per VM. */
  readonly sequence: number;
  readonly vcpu: number;
  /** Virtual time in cycles since the VM started, at the moment of the exit. */
  readonly time: number;
  readonly rip: bigint;
  /** Bytes of the instruction at RIP as far as they could be read without side effects (up to 15). */
  readonly instructionBytes: Uint8Array;
  /** Basic exit reason and its name (`IO_INSTRUCTION`). */
  readonly reason: number;
  readonly reasonName: string;
  readonly qualification: bigint;
  /** VM-exit interruption information, 0 when not valid. */
  readonly interruptionInformation: number;
  readonly interruptionErrorCode: number;
  readonly guestPhysicalAddress: number | undefined;
  /** The qualification in words: `OUT 1 byte to port 0x3f8`. */
  readonly description: string;
  /** What was done about it, in order: `handled in user space: serial port`. */
  readonly actions: readonly string[];
  readonly weight: 'light' | 'heavy';
  /** Cycles from the VM exit until the guest runs again. */
  readonly cycles: number;
  readonly stages: readonly StageRecord[];
}

/** A register or flag that an instruction changed. */
export interface RegisterChange {
  readonly name: string;
  readonly before: bigint;
  readonly after: bigint;
}

/** One executed guest instruction. */
export interface InstructionRecord {
  readonly vcpu: number;
  readonly time: number;
  readonly rip: bigint;
  readonly bytes: Uint8Array;
  readonly changes: readonly RegisterChange[];
}

/** An event injected into the guest at VM entry. */
export interface InjectionRecord {
  readonly vcpu: number;
  readonly time: number;
  readonly kind: 'interrupt' | 'exception' | 'nmi';
  readonly vector: number;
  readonly errorCode: number | undefined;
}

/** A sink for trace events. A missing method means that nobody listens for that kind. */
export interface TraceSink {
  vmExit?(record: ExitRecord): void;
  instruction?(record: InstructionRecord): void;
  injection?(record: InjectionRecord): void;
}
