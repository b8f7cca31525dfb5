/** The host kernel's data of one CPU: who runs, who waits to run, user-return notifiers. */

import { type WordPair, wordPair } from '../bits/word-pair.js';
import { operation } from './cost/operations.js';
import type { TimedEvent } from './event-queue.js';
import { HostFpu } from './host-fpu.js';
import { hostKernelGsBase } from './host-kernel.js';
import { HostThread, TIF } from './host-thread.js';
import type { LedgerAccount } from './ledger.js';
import type { PhysicalCpu } from './physical-cpu.js';

const IDLE = operation('idle');

/** Something to undo before a thread of this CPU runs in user mode again (struct user_return_notifier). */
export interface UserReturnNotifier {
  onUserReturn(): void;
}

export class HostCpu {
  readonly cpu: PhysicalCpu;
  /** Number of the socket: CPUs of one socket share a cache. */
  readonly socket: number;
  /** GS base of the kernel on this CPU, in KERNEL_GS_BASE while user code runs. */
  readonly kernelGsBase: WordPair;
  readonly idle: HostThread;
  readonly fpu: HostFpu;
  current: HostThread;
  readonly runQueue: HostThread[] = [];
  /** The timer that ends the running thread's slice, while others wait. */
  sliceEnd: TimedEvent | undefined;
  private readonly notifiers = new Set<UserReturnNotifier>();

  constructor(cpu: PhysicalCpu, idleAccount: LedgerAccount, socket = 0) {
    this.cpu = cpu;
    this.socket = socket;
    this.kernelGsBase = wordPair(hostKernelGsBase(cpu.number));
    this.idle = new HostThread({ name: `swapper/${cpu.number}`, account: idleAccount, isKernelThread: true });
    this.current = this.idle;
    this.fpu = new HostFpu(cpu);
    cpu.onDeviceNotAvailable = () => {
      if (this.current.isKernelThread) throw new Error(`kernel thread ${this.current.name} used the FPU`);
      this.fpu.restore(this.current);
    };
  }

  /** Nothing runs and nothing waits to run. */
  get isIdle(): boolean {
    return this.current === this.idle && this.runQueue.length === 0;
  }

  /** Virtual time at which this CPU next does something; `Infinity` when it sleeps for good. */
  get nextTime(): number {
    const { cpu } = this;
    return this.isIdle ? Math.max(cpu.now, cpu.events.nextTime) : cpu.now;
  }

  /** user_return_notifier_register: the running thread carries the flag that makes it stop on its way out. */
  registerUserReturnNotifier(notifier: UserReturnNotifier): void {
    this.notifiers.add(notifier);
    this.current.flags |= TIF.USER_RETURN_NOTIFY;
  }

  unregisterUserReturnNotifier(notifier: UserReturnNotifier): void {
    this.notifiers.delete(notifier);
    if (this.notifiers.size === 0) this.current.flags &= ~TIF.USER_RETURN_NOTIFY;
  }

  fireUserReturnNotifiers(): void {
    for (const notifier of [...this.notifiers]) notifier.onUserReturn();
  }

  /** Lets virtual time pass with nothing to run. */
  idleUntil(time: number): void {
    const { cpu } = this;
    if (time > cpu.now) cpu.chargeCycles(IDLE, 1, time - cpu.now);
  }
}
