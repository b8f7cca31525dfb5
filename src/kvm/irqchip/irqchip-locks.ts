/** The locks of the interrupt controllers and the timer in the kernel, by era. */

import type { Host } from '../../host/host.js';
import { DeviceLock, type Lock } from '../device-lock.js';
import type { Policies } from '../policies.js';

export interface IrqchipLocks {
  /** kvm->irq_lock, around the delivery of an interrupt while the routing table is protected by it. */
  readonly routing: Lock;
  /** pic_lock, which both chips have in common. */
  readonly pic: Lock;
  /** Also taken at an end of interrupt (kvm_ioapic_update_eoi). */
  readonly ioApic: Lock;
  /** pit_state.lock. */
  readonly timer: Lock;
}

/** In 2.6.32 the I/O APIC has no lock of its own, but irq_lock (ioapic_mmio_read, ioapic_mmio_write). */
export function createIrqchipLocks(host: Host, policy: Policies['irqRouting']): IrqchipLocks {
  const lock = (): Lock => new DeviceLock(() => host.scheduler.executingCpu);
  const routing = lock();
  return { routing, pic: lock(), ioApic: policy === 'irq-lock' ? routing : lock(), timer: lock() };
}
