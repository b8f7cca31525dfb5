/** The thread of a vCPU: KVM_RUN and the device models of user space in turn, until the monitor ends it. */

import { operation } from '../host/cost/operations.js';
import { type HostThread, type ThreadBody, TIF } from '../host/host-thread.js';
import type { PhysicalCpu } from '../host/physical-cpu.js';
import { enterKernelMode, returnToUserMode } from '../host/user-mode.js';
import type { KvmExit, UserSpaceAnswer } from './kvm-exit.js';
import { kvmRun } from './kvm-run.js';
import { setMemoryRegion } from './set-memory-region.js';
import type { UserSpaceMonitor } from './user-space-monitor.js';
import type { Vcpu } from './vcpu.js';

const RUN_LOOP = operation('user-space run loop');
const DEVICE_MODEL = operation('user-space device model');

export function* vcpuThread(vcpu: Vcpu, monitor: UserSpaceMonitor, thread: HostThread): ThreadBody {
  const { scheduler } = vcpu.vm.host;
  vcpu.wake = () => scheduler.wake(thread);
  vcpu.markSignal = () => {
    thread.flags |= TIF.SIGNAL_PENDING;
  };
  returnToUserMode(scheduler.cpuOf(thread), thread);
  const writeMmio: UserSpaceMonitor['writeMmio'] = (address, size, value) =>
    monitor.writeMmio(address, size, value);
  for (;;) {
    enterKernelMode(scheduler.cpuOf(thread));
    const exit = yield* kvmRun(vcpu, thread, scheduler.cpuOf(thread).cpu);
    while (thread.hasFlag(TIF.NEED_RESCHED)) yield 'reschedule';
    thread.flags &= ~TIF.SIGNAL_PENDING;
    returnToUserMode(scheduler.cpuOf(thread), thread);
    const { cpu } = scheduler.cpuOf(thread);
    cpu.charge(RUN_LOOP);
    vcpu.vm.coalescedMmio.drain(writeMmio, cpu);
    if (!serve(cpu, vcpu, monitor, exit) || monitor.stopped) break;
    const regions = monitor.takeMemoryRegions?.();
    if (regions !== undefined) for (const region of regions) yield* setMemoryRegion(vcpu.vm, region, thread);
  }
  vcpu.tracker.finish(scheduler.cpuOf(thread).cpu);
  // exit()
  enterKernelMode(scheduler.cpuOf(thread));
}

/** What QEMU does about an exit. False ends the thread. */
function serve(cpu: PhysicalCpu, vcpu: Vcpu, monitor: UserSpaceMonitor, exit: KvmExit): boolean {
  switch (exit.reason) {
    case 'io':
      vcpu.answer = servePort(cpu, vcpu, monitor, exit.access);
      return true;
    case 'mmio': {
      cpu.charge(DEVICE_MODEL);
      const { guestPhysicalAddress, sizeInBytes, write, value } = exit.access;
      if (vcpu.tracker.listening)
        vcpu.tracker.note(`handled in user space: MMIO at 0x${guestPhysicalAddress.toString(16)}`);
      if (write) monitor.writeMmio(guestPhysicalAddress, sizeInBytes, value);
      vcpu.answer = {
        kind: 'mmio',
        value: write ? 0n : monitor.readMmio(guestPhysicalAddress, sizeInBytes),
      };
      return true;
    }
    case 'intr':
      return true;
    default:
      if (vcpu.tracker.listening) vcpu.tracker.note(`returned to user space: ${exit.reason}`);
      return monitor.handleExit(vcpu.id, exit);
  }
}

function servePort(
  cpu: PhysicalCpu,
  vcpu: Vcpu,
  monitor: UserSpaceMonitor,
  access: Extract<KvmExit, { reason: 'io' }>['access'],
): UserSpaceAnswer {
  const { port, sizeInBytes, count, write, data } = access;
  if (vcpu.tracker.listening) {
    const device = monitor.describePort?.(port) ?? `port 0x${port.toString(16)}`;
    vcpu.tracker.note(`handled in user space: ${device}`);
  }
  const answer = write ? data : new Uint8Array(count * sizeInBytes);
  for (let index = 0; index < count; index++) {
    cpu.charge(DEVICE_MODEL);
    const offset = index * sizeInBytes;
    if (write) monitor.writePort(port, sizeInBytes, loadValue(data, offset, sizeInBytes));
    else storeValue(answer, offset, sizeInBytes, monitor.readPort(port, sizeInBytes));
  }
  return { kind: 'io', data: answer };
}

/** Little-endian, unsigned. */
function loadValue(bytes: Uint8Array, offset: number, sizeInBytes: number): number {
  let value = 0;
  for (let byte = sizeInBytes - 1; byte >= 0; byte--) value = (value << 8) | bytes[offset + byte]!;
  return value >>> 0;
}

function storeValue(bytes: Uint8Array, offset: number, sizeInBytes: number, value: number): void {
  for (let byte = 0; byte < sizeInBytes; byte++) bytes[offset + byte] = value >>> (8 * byte);
}
