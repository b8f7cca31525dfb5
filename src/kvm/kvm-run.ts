/** The KVM_RUN system call: vcpu_load, the inner loop, vcpu_put; and the same when the thread is preempted. */

import { operation } from '../host/cost/operations.js';
import type { HostThread, PreemptNotifier, ThreadRequest } from '../host/host-thread.js';
import type { PhysicalCpu } from '../host/physical-cpu.js';
import { STAGE } from '../host/stages.js';
import { beginRun, endRun, putGuestFpu } from './fpu.js';
import { loadHostState } from './host-state.js';
import type { KvmExit } from './kvm-exit.js';
import type { Vcpu } from './vcpu.js';
import { finishMigration, runVcpu } from './vcpu-run.js';
import { loadVcpuOn } from './vmcs-setup.js';

const IOCTL_PATH = operation('ioctl path');
const MUTEX = operation('mutex');
const PREEMPTION_TOGGLE = operation('preemption toggle');

/** kvm_sched_in and kvm_sched_out: a vCPU that loses its CPU gives the host's state back, as on the way to user space. */
class VcpuPreemption implements PreemptNotifier {
  private readonly vcpu: Vcpu;
  constructor(vcpu: Vcpu) {
    this.vcpu = vcpu;
  }
  schedOut(): void {
    this.vcpu.cpu.setStage(STAGE.HOST_STATE_RESTORED);
    putVcpu(this.vcpu);
  }
  schedIn(cpu: PhysicalCpu): void {
    cpu.setStage(STAGE.GUEST_STATE_RELOADED);
    loadVcpuOn(this.vcpu, cpu);
  }
}

/** kvm_arch_vcpu_put of 2.6.32: host state first, then the FPU. */
function putVcpu(vcpu: Vcpu): void {
  loadHostState(vcpu);
  putGuestFpu(vcpu);
}

/** kvm_arch_vcpu_ioctl_run between vcpu_load and vcpu_put, called in kernel mode on the thread's CPU. */
export function* kvmRun(
  vcpu: Vcpu,
  thread: HostThread,
  cpu: PhysicalCpu,
): Generator<ThreadRequest, KvmExit, void> {
  cpu.setStage(STAGE.GUEST_STATE_RELOADED);
  cpu.charge(IOCTL_PATH);
  cpu.charge(MUTEX);
  cpu.charge(PREEMPTION_TOGGLE);
  const notifier = new VcpuPreemption(vcpu);
  thread.preemptNotifiers.push(notifier);
  loadVcpuOn(vcpu, cpu);
  yield* finishMigration(vcpu);
  vcpu.vmx.coldCaches = true;
  beginRun(vcpu);

  const exit = completeUserSpaceAccess(vcpu) ?? (yield* runVcpu(vcpu, thread));

  // The thread may have moved meanwhile.
  const lastCpu = vcpu.cpu;
  lastCpu.setStage(STAGE.HOST_STATE_RESTORED);
  endRun(vcpu);
  putVcpu(vcpu);
  thread.preemptNotifiers.splice(thread.preemptNotifiers.indexOf(notifier), 1);
  lastCpu.charge(PREEMPTION_TOGGLE);
  lastCpu.charge(MUTEX);
  lastCpu.charge(IOCTL_PATH);
  return exit;
}

/** complete_pio, or the rest of an MMIO instruction, with what user space has read. */
function completeUserSpaceAccess(vcpu: Vcpu): KvmExit | undefined {
  const { completeAccess, answer } = vcpu;
  vcpu.completeAccess = undefined;
  vcpu.answer = undefined;
  if (completeAccess === undefined) return undefined;
  return completeAccess(answer ?? { kind: 'io', data: new Uint8Array(0) });
}
