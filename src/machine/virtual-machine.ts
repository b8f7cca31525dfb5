/** What a virtual machine is from outside: what it is made of, how it is run, and how a run ends. */

import type { CostModel } from '../host/cost/cost-model.js';
import type { Era, Policies } from '../kvm/policies.js';
import type { VmStatistics } from '../kvm/vm.js';
import type { TraceSink } from '../trace/events.js';
import type { GuestImage } from './guest-image.js';
import type { ProcessorModel } from './processor-models.js';
import type { Placement, Topology } from './scenario/scenario-options.js';

export interface VmOptions {
  readonly image: GuestImage;
  /** Guest RAM in bytes, a multiple of 4096. Default `DEFAULT_MEMORY_BYTES`. */
  readonly memoryBytes?: number;
  /** Virtual CPUs, 1 to 255; default 1. All but the first wait for their start-up message (`boot-state.ts`). */
  readonly vcpus?: number;
  /** Host CPUs: by default as many as there are virtual CPUs, on one socket. */
  readonly topology?: Topology;
  /** Host CPUs of the virtual CPUs; by default each has its own as far as there are so many. */
  readonly placement?: Placement;
  /** Default: the talk's i7. */
  readonly costModel?: CostModel;
  /** What the host's processors can do; default `nehalem`. APIC virtualisation needs `ivy-bridge-ep`. */
  readonly processor?: ProcessorModel;
  /** Bundle of policies; single ones can be replaced. Default: 2.6.32. */
  readonly era?: Era;
  readonly policies?: Partial<Policies>;
  /** Observers; they change neither results nor cycles. */
  readonly trace?: TraceSink;
  /** Receives the bytes that the guest sends through the serial port and the debug console. */
  readonly serialOutput?: (byte: number) => void;
  /** A VGA whose window at 0xa0000 is mapped and unmapped by memory slots, as the guest asks for; default: none. */
  readonly vgaWindow?: boolean;
}

/** How a run ended. Unimplemented features and defects are thrown errors, not ends of a run. */
export type RunEnd =
  /** The guest wrote to the debug-exit port: `exitCode` is (value << 1) | 1. */
  | { readonly reason: 'guest-exit'; readonly exitCode: number }
  /** The guest executed HLT with interrupts off: nothing can wake it any more. */
  | { readonly reason: 'halted' }
  /** Triple fault. */
  | { readonly reason: 'shutdown' }
  /** The guest reset the machine. */
  | { readonly reason: 'reset' }
  /** VM entry failed; `detail` is the hardware's reason in words. */
  | { readonly reason: 'entry-failure'; readonly detail: string }
  /** A limit given to `run` was reached; `run` can be called again. */
  | { readonly reason: 'limit' };

/** Where the cycles went, summed over all exits: one entry per stage of `src/host/stages.ts` that was used. */
export interface StageCycles {
  readonly name: string;
  readonly cycles: number;
}

export interface RunResult {
  readonly end: RunEnd;
  /** Guest instructions retired since the VM was made. */
  readonly instructions: number;
  /** Virtual cycles since the VM was made, and their frequency in cycles per second. */
  readonly cycles: number;
  readonly clockInHertz: number;
  /** Address of the guest's next instruction. */
  readonly rip: bigint;
  /** Cycles of all host CPUs by stage, guest code included; with one host CPU they sum to `cycles`. */
  readonly stages: readonly StageCycles[];
  readonly statistics: Readonly<VmStatistics>;
}

/** How long `run` may run, counted from its call. Where it is interrupted changes nothing about the run as a whole. */
export interface VmRunLimits {
  /** Guest instructions per host CPU. Those that the hypervisor layer executes for the guest do not count. */
  readonly instructions?: number;
  /** Virtual cycles, sleep included. */
  readonly cycles?: number;
}

export interface VirtualMachine {
  /**
   * Runs until the guest ends or a limit is reached.
   * Throws host errors with a `code`: an instruction that is not implemented, books that do not balance.
   */
  run(limits?: VmRunLimits): RunResult;
}
