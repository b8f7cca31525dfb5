/** For how long a vCPU that has executed HLT is to poll (grow_halt_poll_ns, shrink_halt_poll_ns). */

import type { Policies } from './policies.js';

/** Microseconds: first step of growth and limit (halt_poll_ns_grow_start, halt_poll_ns). */
const FIRST_WINDOW = 10;
const LIMIT = 200;
const GROWTH = 2;

/** How long one vCPU polls; cycles. */
export class HaltPolling {
  window: number;
  private readonly dynamic: boolean;
  private readonly limit: number;
  private readonly firstWindow: number;

  constructor(policy: Policies['haltPolling'], clockInHertz: number) {
    const cyclesPerMicrosecond = clockInHertz / 1_000_000;
    this.limit = LIMIT * cyclesPerMicrosecond;
    this.firstWindow = FIRST_WINDOW * cyclesPerMicrosecond;
    this.dynamic = policy === 'dynamic';
    this.window = policy === 'always' ? this.limit : 0;
  }

  /** After a halt of this many cycles. */
  adjust(halted: number): void {
    if (!this.dynamic || halted <= this.window) return;
    // A long sleep can't be polled away; a short one could have been with a longer window.
    if (halted >= this.limit) this.window = 0;
    else this.window = Math.min(this.limit, Math.max(this.firstWindow, this.window * GROWTH));
  }
}
