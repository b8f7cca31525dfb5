/**
 * Changes of memory slots while the VM runs (__kvm_set_memory_region): what is published when, what is thrown away, and
 * where the writer has to wait. Who waits, and how long it takes, is decided by what protects the slots.
 */

import { type CostSink, operation } from '../host/cost/operations.js';
import type { MemoryRegion } from './memory-slots.js';
import { REQUEST } from './vcpu.js';
import type { Vm } from './vm.js';

const ARRAY_COPY = operation('slot array copy');
/** Under the semaphore the array itself is changed; nobody reads it meanwhile. */
const copyArray = (vm: Vm, costs: CostSink): void => {
  if (vm.policies.slotsProtection !== 'rwsem') costs.charge(ARRAY_COPY);
};

/**
 * What a writer waits for between two steps: `readers`, that nobody uses an array published before (a grace period);
 * `vcpus`, that every vCPU which was in the guest has left it and will invalidate its translations before it goes back.
 */
export type UpdateWait = 'readers' | 'vcpus';

/**
 * Creates, moves or deletes a slot. A new slot is published in one step. One that goes, or whose pages change, is published
 * as invalid first; when no reader can make a mapping through it any more, all mappings are thrown away.
 * @param costs the CPU that executes this
 * @throws MemoryRegionError before anything has changed
 */
export function* updateMemoryRegion(
  vm: Vm,
  region: MemoryRegion,
  costs: CostSink,
): Generator<UpdateWait, void, void> {
  const { memorySlots } = vm;
  memorySlots.check(region);
  if (memorySlots.slots[region.slot] !== undefined) {
    copyArray(vm, costs);
    memorySlots.invalidate(region.slot);
    yield 'readers';
    yield* flushShadow(vm, costs);
  }
  copyArray(vm, costs);
  memorySlots.setRegion(region);
  yield 'readers';
}

/** kvm_arch_flush_shadow: every mapping goes; each vCPU loads its tables anew before it enters the guest. */
export function* flushShadow(vm: Vm, costs: CostSink): Generator<UpdateWait, void, void> {
  const freeTables = vm.extendedPageTables.detach(costs);
  for (const vcpu of vm.vcpus) {
    vcpu.makeRequest(REQUEST.MMU_RELOAD);
    vcpu.leaveGuest();
  }
  yield 'vcpus';
  freeTables();
}
