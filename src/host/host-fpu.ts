/**
 * How the host kernel switches the FPU registers of its threads on one CPU. Lazily: CR0.TS is set at a context switch and
 * the registers come back when the thread uses them. Eagerly: always at the context switch, CR0.TS is never set.
 */

import { CR0 } from '../architecture/control-registers.js';
import type { HostThread } from './host-thread.js';
import type { PhysicalCpu } from './physical-cpu.js';

/** A thread that used its registers in more slices than this, one after the other, gets them at the switch. */
const PRELOAD_AFTER = 5;

export class HostFpu {
  private readonly cpu: PhysicalCpu;
  private eager = false;
  /** Eager: the thread whose state was in the registers when it was last switched away from. */
  private owner: HostThread | undefined;

  constructor(cpu: PhysicalCpu) {
    this.cpu = cpu;
  }

  /** The kernel was started with eager FPU switching. To be called before threads run; takes no virtual time. */
  useEagerSwitching(): void {
    this.eager = true;
    this.cpu.withoutCharge(() => this.cpu.clts());
  }

  /** The #NM handler (math_state_restore): the thread gets its registers back. */
  restore(thread: HostThread): void {
    this.cpu.clts();
    this.load(thread);
  }

  /** Saves the registers if they are the thread's and sets CR0.TS (__unlazy_fpu). */
  unlazy(thread: HostThread): void {
    if (!thread.usesFpu) {
      thread.fpuCounter = 0;
      return;
    }
    this.cpu.fxsave(thread.savedFpu);
    thread.usesFpu = false;
    this.cpu.stts();
  }

  /** The kernel is about to use the registers itself (kernel_fpu_begin). */
  beginKernelUse(thread: HostThread): void {
    if (thread.usesFpu) {
      this.cpu.fxsave(thread.savedFpu);
      thread.usesFpu = false;
    } else this.cpu.clts();
  }

  /** kernel_fpu_end: what the registers hold is of no use to anybody. */
  endKernelUse(): void {
    this.cpu.stts();
  }

  /** The FPU's part of a context switch (__switch_to). */
  switch(previous: HostThread, next: HostThread): void {
    if (this.eager) this.switchEagerly(previous, next);
    else {
      this.unlazy(previous);
      if (!next.isKernelThread && next.fpuCounter > PRELOAD_AFTER) this.restore(next);
    }
  }

  private switchEagerly(previous: HostThread, next: HostThread): void {
    const { cpu } = this;
    if (!previous.isKernelThread) {
      if (previous.usesFpu) cpu.fxsave(previous.savedFpu);
      this.owner = previous.usesFpu ? previous : undefined;
      previous.usesFpu = false;
    }
    if (next.isKernelThread) return;
    if ((cpu.peekCr0() & CR0.TS) !== 0) cpu.clts();
    // Only kernel threads came in between: the registers are as they were left.
    if (this.owner === next && next.lastFpuCpu === cpu.number) next.usesFpu = true;
    else this.load(next);
  }

  private load(thread: HostThread): void {
    this.cpu.fxrstor(thread.savedFpu);
    thread.usesFpu = true;
    thread.lastFpuCpu = this.cpu.number;
    thread.fpuCounter = (thread.fpuCounter + 1) & 0xff;
  }
}
