/**
 * What keeps the interrupt routing table in place while an interrupt is routed: irq_lock around everything (2.6.32), or
 * RCU, under which a reader copies the matching entries and is out again before it raises a pin (2.6.33).
 */

import { operation } from '../../host/cost/operations.js';
import type { Host } from '../../host/host.js';
import type { HostThread, ThreadRequest } from '../../host/host-thread.js';
import { Mutex } from '../../host/sync/mutex.js';
import type { Lock } from '../device-lock.js';
import type { Policies } from '../policies.js';

const READ_SECTION = operation('RCU read section');
const LOCKED_OPERATION = operation('locked operation');

export interface IrqRoutingProtection {
  /** Around the look-up of the routes, and around the whole of kvm_set_irq. */
  beginLookUp(): void;
  endLookUp(): void;
  beginDelivery(): void;
  endDelivery(): void;
  /** Replaces the table; returns when nobody uses the old one. */
  update(thread: HostThread, publish: () => void): Generator<ThreadRequest, undefined, void>;
}

/** @param irqLock kvm->irq_lock, which readers take under that policy */
export function createIrqRoutingProtection(
  host: Host,
  policy: Policies['irqRouting'],
  irqLock: Lock,
): IrqRoutingProtection {
  return policy === 'irq-lock' ? new LockedRouting(host, irqLock) : new RcuRouting(host);
}

/** One lock for all interrupts of the VM, held until every chip has taken the interrupt. */
class LockedRouting implements IrqRoutingProtection {
  private readonly host: Host;
  private readonly lock: Lock;
  /** A chip may raise another line while it takes one: the lock is held already. */
  private depth = 0;

  constructor(host: Host, lock: Lock) {
    this.host = host;
    this.lock = lock;
  }

  beginLookUp(): void {}
  endLookUp(): void {}

  beginDelivery(): void {
    if (this.depth++ > 0) return;
    this.lock.acquire();
    this.host.scheduler.executingCpu.cpu.charge(LOCKED_OPERATION);
  }

  endDelivery(): void {
    if (--this.depth === 0) this.lock.release();
  }

  *update(thread: HostThread, publish: () => void): Generator<ThreadRequest, undefined, void> {
    const { scheduler } = this.host;
    while (!scheduler.cpuOf(thread).cpu.isInOrder) yield 'pause';
    this.beginDelivery();
    publish();
    this.endDelivery();
    return undefined;
  }
}

/** irq_lock is for writers alone, who wait for a grace period of the scheduler's RCU. */
class RcuRouting implements IrqRoutingProtection {
  private readonly host: Host;
  private readonly mutex: Mutex;

  constructor(host: Host) {
    this.host = host;
    this.mutex = new Mutex(host.scheduler);
  }

  beginLookUp(): void {
    this.host.scheduler.executingCpu.cpu.charge(READ_SECTION);
  }
  endLookUp(): void {}
  beginDelivery(): void {}
  endDelivery(): void {}

  *update(thread: HostThread, publish: () => void): Generator<ThreadRequest, undefined, void> {
    yield* this.mutex.lock(thread);
    publish();
    yield* this.host.rcu.synchronizeSched(thread);
    this.mutex.unlock(thread);
    return undefined;
  }
}
