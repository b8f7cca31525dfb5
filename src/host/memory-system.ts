/**
 * Cache lines that several CPUs write: who has a line decides what an operation on it costs, and operations on one line
 * come one after the other. Callers keep them in order of virtual time (`PhysicalCpu.isInOrder`).
 */

import { type OperationNumber, operation } from './cost/operations.js';
import type { HostCpu } from './host-cpu.js';

const LOCKED_OPERATION = operation('locked operation');
const SAME_SOCKET = operation('cache-line transfer (same socket)');
const OTHER_SOCKET = operation('cache-line transfer (other socket)');
const WAIT_FOR_LINE = operation('wait for a cache line');

/** What the way of a line from one CPU to another is charged as. */
export const transferBetween = (from: HostCpu, to: HostCpu): OperationNumber =>
  from.socket === to.socket ? SAME_SOCKET : OTHER_SOCKET;

/** A line of shared memory. It starts in nobody's cache; the first access is charged as if it were in the CPU's own. */
export class CacheLine {
  /** CPU that may write it at once, undefined while it is shared or in nobody's cache. */
  private owner: HostCpu | undefined;
  private readonly sharers = new Set<HostCpu>();
  /** Virtual time at which the last writer is done with it. */
  private freeAt = 0;

  /**
   * A locked read-modify-write by `host`.
   * @param hold cycles for which the CPU keeps the line afterwards, as the critical section of a spinlock in it does;
   * they are part of the caller's code, and charged there
   */
  lockedOperation(host: HostCpu, hold = 0): void {
    const { cpu } = host;
    if (this.owner !== host) this.acquire(host);
    cpu.charge(LOCKED_OPERATION);
    this.freeAt = cpu.now + hold;
  }

  /** A plain store: free where the line is the CPU's own. */
  write(host: HostCpu): void {
    if (this.owner === host) return;
    this.acquire(host);
    this.freeAt = host.cpu.now;
  }

  /** A plain load: the line stays where it was as well. */
  read(host: HostCpu): void {
    if (this.owner === host || this.sharers.has(host)) return;
    this.wait(host);
    if (this.owner !== undefined) {
      host.cpu.charge(transferBetween(this.owner, host));
      this.sharers.add(this.owner);
      this.owner = undefined;
    }
    this.sharers.add(host);
  }

  /** Waits until others have let go of the line. */
  private wait(host: HostCpu): void {
    if (this.owner !== host) host.cpu.waitUntil(this.freeAt, WAIT_FOR_LINE);
  }

  /** Takes the line from all others: as far away as the farthest of them. */
  private acquire(host: HostCpu): void {
    this.wait(host);
    let farthest = -1;
    const { owner, sharers } = this;
    if (owner !== undefined) farthest = transferBetween(owner, host);
    for (const sharer of sharers)
      if (sharer !== host && farthest !== OTHER_SOCKET) farthest = transferBetween(sharer, host);
    if (farthest >= 0) host.cpu.charge(farthest);
    sharers.clear();
    this.owner = host;
  }
}
