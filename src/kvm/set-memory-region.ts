/** KVM_SET_USER_MEMORY_REGION while the VM runs: a system call of one of the user process's threads. */

import { operation } from '../host/cost/operations.js';
import type { HostThread, ThreadRequest } from '../host/host-thread.js';
import { ioctl } from './ioctl.js';
import { type UpdateWait, updateMemoryRegion } from './memory-region-update.js';
import type { MemoryRegion } from './memory-slots.js';
import { REQUEST } from './vcpu.js';
import type { Vm } from './vm.js';

const WAIT_FOR_CPU = operation('wait for another CPU');

/**
 * The whole system call, from user mode to user mode.
 * @throws MemoryRegionError
 */
export function setMemoryRegion(
  vm: Vm,
  region: MemoryRegion,
  thread: HostThread,
): Generator<ThreadRequest, undefined, void> {
  const { slotsProtection } = vm;
  return ioctl(vm.host.scheduler, thread, function* (costs) {
    yield* slotsProtection.writeLock(thread);
    for (const wait of updateMemoryRegion(vm, region, costs)) yield* waitFor(wait, vm, thread);
    slotsProtection.writeUnlock(thread);
  });
}

function* waitFor(wait: UpdateWait, vm: Vm, thread: HostThread): Generator<ThreadRequest, void, void> {
  if (wait === 'readers') {
    yield* vm.slotsProtection.waitForReaders(thread);
    return;
  }
  // smp_call_function_many with wait: spins until the others have taken the interrupt that made them leave the guest.
  const inGuest = (): boolean =>
    vm.vcpus.some((vcpu) => vcpu.guestMode && (vcpu.requests & REQUEST.MMU_RELOAD) !== 0);
  while (inGuest()) {
    const { cpu } = vm.host.scheduler.cpuOf(thread);
    cpu.waitUntil(cpu.orderLimit + 1, WAIT_FOR_CPU);
    cpu.takeInterrupts();
    yield 'pause';
  }
}
