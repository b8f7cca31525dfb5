/** System calls that change, while the VM runs, what interrupts and exits look up: routes, and devices on the buses. */

import { operation } from '../host/cost/operations.js';
import type { HostThread, ThreadRequest } from '../host/host-thread.js';
import { ioctl } from './ioctl.js';
import type { IrqRoute } from './irqchip/irq-routing.js';
import type { KvmVm } from './kvm.js';

const ARRAY_COPY = operation('slot array copy');

/** KVM_SET_GSI_ROUTING: returns when nobody uses the old table any more. */
export function setGsiRouting(
  { vm, irqchip }: KvmVm,
  routes: readonly IrqRoute[],
  thread: HostThread,
): Generator<ThreadRequest, undefined, void> {
  return ioctl(vm.host.scheduler, thread, () => irqchip.routing.update(thread, routes));
}

/**
 * KVM_IOEVENTFD, KVM_REGISTER_COALESCED_MMIO and their opposites (kvm_io_bus_register_dev): a copy of the bus is changed
 * and published, the old one thrown away when no exit that is being handled can have seen it. Under the semaphore there
 * is no copy.
 * @param change registers devices, or takes them off
 */
export function changeBuses(
  { vm }: KvmVm,
  change: () => void,
  thread: HostThread,
): Generator<ThreadRequest, undefined, void> {
  return ioctl(vm.host.scheduler, thread, (costs) =>
    vm.slotsProtection.update(thread, () => {
      if (vm.policies.slotsProtection !== 'rwsem') costs.charge(ARRAY_COPY);
      change();
    }),
  );
}
