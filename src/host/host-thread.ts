/** A thread of the simulated host's kernel (struct task_struct): code that the scheduler runs, and its CPU state. */

import { type WordPair, wordPair } from '../bits/word-pair.js';
import type { LedgerAccount } from './ledger.js';
import type { PhysicalCpu } from './physical-cpu.js';

/**
 * What a thread asks of the scheduler when it gives up the CPU: `block` until it is woken, `reschedule` (others first),
 * `pause` (the simulation wants to look elsewhere, the thread goes on where it is).
 */
export type ThreadRequest = 'block' | 'reschedule' | 'pause';
export type ThreadBody = Generator<ThreadRequest, void, void>;

/** Told when the thread loses and gets a CPU (struct preempt_notifier). */
export interface PreemptNotifier {
  schedOut(): void;
  schedIn(cpu: PhysicalCpu): void;
}

/** Work that waits for the thread's way back to user mode (thread_info flags). */
export const TIF = { NEED_RESCHED: 1 << 0, USER_RETURN_NOTIFY: 1 << 1, SIGNAL_PENDING: 1 << 2 } as const;

export interface UserSegmentState {
  fsSelector: number;
  gsSelector: number;
  fsBase: bigint;
  gsBase: bigint;
}

export class HostThread {
  readonly name: string;
  readonly account: LedgerAccount;
  private readonly createBody: ((thread: HostThread) => ThreadBody) | undefined;
  private startedBody: ThreadBody | undefined;
  /** Kernel threads have no user mode and never load user segment bases. */
  readonly isKernelThread: boolean;
  /** Serves others without an end of its own: a simulation is finished although it waits. */
  readonly daemon: boolean;
  /** Of the highest scheduling class: runs before all others and is not preempted (stop_machine's threads). */
  readonly isStopper: boolean;
  /** Number of the CPU that the thread is to go to when it next gives up its CPU. */
  destination: number | undefined;
  state: 'runnable' | 'blocked' | 'done' = 'runnable';
  /** Bits of `TIF`. */
  flags = 0;
  readonly preemptNotifiers: PreemptNotifier[] = [];

  readonly user: UserSegmentState;
  /** The bases in it as pairs of words. */
  readonly userFsBase: WordPair;
  readonly userGsBase: WordPair;
  /** The FPU state that user code of this thread last had: what it must find again. */
  readonly userFpu = new Uint8Array(512);
  /** Saved image in the thread structure, valid while `usesFpu` is false. */
  readonly savedFpu = new Uint8Array(512);
  /** The same two as 32-bit words, for comparisons. */
  readonly userFpuWords = new Int32Array(this.userFpu.buffer);
  readonly savedFpuWords = new Int32Array(this.savedFpu.buffer);
  /** The CPU's FPU registers hold this thread's state (TS_USEDFPU). */
  usesFpu = false;
  /** Number of the CPU that the thread's registers were last loaded on. */
  lastFpuCpu: number | undefined;
  /** Others' values were put into registers that count as this thread's: user code is about to lose its own. */
  fpuOverwritten = false;
  /** Times that the FPU was used since it was last not used during a whole slice. */
  fpuCounter = 0;

  constructor(options: {
    name: string;
    account: LedgerAccount;
    /** Missing for the idle thread, which has no code of its own. */
    body?: (thread: HostThread) => ThreadBody;
    isKernelThread?: boolean;
    daemon?: boolean;
    isStopper?: boolean;
    user?: UserSegmentState;
  }) {
    this.name = options.name;
    this.account = options.account;
    this.createBody = options.body;
    this.isKernelThread = options.isKernelThread ?? false;
    this.daemon = options.daemon ?? false;
    this.isStopper = options.isStopper ?? false;
    this.user = options.user ?? { fsSelector: 0, gsSelector: 0, fsBase: 0n, gsBase: 0n };
    this.userFsBase = wordPair(this.user.fsBase);
    this.userGsBase = wordPair(this.user.gsBase);
    writeInitialFpuState(this.userFpu);
    this.savedFpu.set(this.userFpu);
  }

  /** The thread's code, begun when it is first asked for. */
  get body(): ThreadBody {
    if (this.startedBody === undefined) {
      if (this.createBody === undefined) throw new Error(`thread ${this.name} has no code`);
      this.startedBody = this.createBody(this);
    }
    return this.startedBody;
  }

  hasFlag(flag: number): boolean {
    return (this.flags & flag) !== 0;
  }

  /** Gives the thread FPU contents of its own before it first runs (user code that computed something). */
  setFpuState(image: Uint8Array): void {
    this.userFpu.set(image);
    this.savedFpu.set(image);
  }
}

/** FNINIT and LDMXCSR 0x1f80 in FXSAVE format (SDM Vol. 1, 8.1.5 and 10.2.3). */
export function writeInitialFpuState(image: Uint8Array): void {
  const view = new DataView(image.buffer, image.byteOffset, image.byteLength);
  image.fill(0);
  view.setUint16(0, 0x37f, true);
  view.setUint32(24, 0x1f80, true);
  view.setUint32(28, 0xffff, true);
}
