/** A spinlock: one locked operation to take it, a plain store to release it; others spin in between. */

import { operation } from '../cost/operations.js';
import type { HostCpu } from '../host-cpu.js';
import { CacheLine } from '../memory-system.js';

const WAIT_FOR_LOCK = operation('wait for a lock');

export class Spinlock {
  private readonly line = new CacheLine();
  private holder: HostCpu | undefined;
  /** Virtual time of the last release. */
  private releasedAt = 0;

  /** Code between `lock` and `unlock` never yields, so that whoever comes finds it free, at a later time. */
  lock(host: HostCpu): void {
    if (this.holder !== undefined) throw new Error('a spinlock was taken twice');
    this.holder = host;
    host.cpu.waitUntil(this.releasedAt, WAIT_FOR_LOCK);
    this.line.lockedOperation(host);
  }

  unlock(host: HostCpu): void {
    if (this.holder !== host) throw new Error('a spinlock was released by another CPU');
    this.holder = undefined;
    this.line.write(host);
    this.releasedAt = host.cpu.now;
    this.line.releaseAt(this.releasedAt);
  }
}
