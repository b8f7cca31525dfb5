/** KVM_SET_USER_MEMORY_REGION while the VM runs: a system call of one of the user process's threads. */

import { operation } from '../host/cost/operations.js';
import { type HostThread, type ThreadRequest, TIF } from '../host/host-thread.js';
import { enterKernelMode, returnToUserMode } from '../host/user-mode.js';
import { type UpdateWait, updateMemoryRegion } from './memory-region-update.js';
import type { MemoryRegion } from './memory-slots.js';
import { REQUEST } from './vcpu.js';
import type { Vm } from './vm.js';

const IOCTL_PATH = operation('ioctl path');
const MUTEX = operation('mutex');
const WAIT_FOR_CPU = operation('wait for another CPU');

/** What keeps a writer of the slots apart from other writers and from readers. */
export interface SlotsWriter {
  /** Returns when the thread may change the slots. */
  lock(thread: HostThread): Generator<ThreadRequest, void, void>;
  /** Returns when no reader uses slots that were published before the call. */
  waitForReaders(thread: HostThread): Generator<ThreadRequest, void, void>;
  unlock(thread: HostThread): void;
}

/** A mutex for writers alone: right as long as handlers of exits are not interleaved with the update. */
export function mutexWriter(vm: Vm): SlotsWriter {
  const { scheduler } = vm.host;
  return {
    // biome-ignore lint/correctness/useYield: nobody else updates at the same time
    *lock(thread) {
      scheduler.cpuOf(thread).cpu.charge(MUTEX);
    },
    *waitForReaders() {},
    unlock(thread) {
      scheduler.cpuOf(thread).cpu.charge(MUTEX);
    },
  };
}

/**
 * The whole system call, from user mode to user mode.
 * @throws MemoryRegionError
 */
export function* setMemoryRegion(
  vm: Vm,
  region: MemoryRegion,
  thread: HostThread,
  writer: SlotsWriter,
): Generator<ThreadRequest, void, void> {
  const { scheduler } = vm.host;
  const charge = (number: number, times?: number): void => scheduler.cpuOf(thread).cpu.charge(number, times);
  enterKernelMode(scheduler.cpuOf(thread));
  charge(IOCTL_PATH);
  yield* writer.lock(thread);
  for (const wait of updateMemoryRegion(vm, region, { charge })) yield* waitFor(wait, vm, thread, writer);
  writer.unlock(thread);
  charge(IOCTL_PATH);
  while (thread.hasFlag(TIF.NEED_RESCHED)) yield 'reschedule';
  returnToUserMode(scheduler.cpuOf(thread), thread);
}

function* waitFor(
  wait: UpdateWait,
  vm: Vm,
  thread: HostThread,
  writer: SlotsWriter,
): Generator<ThreadRequest, void, void> {
  if (wait === 'readers') {
    yield* writer.waitForReaders(thread);
    return;
  }
  // smp_call_function_many with wait: spins until the others have taken the interrupt that made them leave the guest.
  const inGuest = (): boolean =>
    vm.vcpus.some((vcpu) => vcpu.guestMode && (vcpu.requests & REQUEST.MMU_RELOAD) !== 0);
  while (inGuest()) {
    const { cpu } = vm.host.scheduler.cpuOf(thread);
    cpu.waitUntil(Math.min(cpu.orderLimit, cpu.horizon) + 1, WAIT_FOR_CPU);
    cpu.takeInterrupts();
    yield 'pause';
  }
}
