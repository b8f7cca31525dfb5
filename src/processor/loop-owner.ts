/** The face of a processor towards its step loop. */

import type { ProcessorCore } from './core.js';
import type { CodeOwner } from './engine/block-source.js';
import type { InstructionObserver } from './run.js';

/** What the loop needs of its processor beyond `ProcessorCore`. */
export interface LoopOwner extends ProcessorCore {
  readonly buffer: CodeOwner['buffer'];
  readonly codeSize: CodeOwner['codeSize'];
  readonly observer: InstructionObserver | null;
  /** Counts settings of the interrupt shadow, to tell a fresh one from one that has had its instruction. */
  readonly shadowSettings: number;
  instructionsRetired: number;
  /** What TypeScript called from generated code threw, taken once. */
  takeSignal(): unknown;
  /** Forgets writes of an instruction that did not complete. */
  abandonWrites(): void;
}
