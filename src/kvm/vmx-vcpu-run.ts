/** One entry into the guest and the exit from it, with what surrounds the hardware transition (vmx_vcpu_run). */

import { SEGMENT } from '../architecture/registers.js';
import { PIN_BASED } from '../architecture/vmx/controls.js';
import { EXIT_REASON } from '../architecture/vmx/exit-reasons.js';
import { VMCS } from '../architecture/vmx/vmcs-fields.js';
import { PREEMPTION_TIMER_RATE } from '../architecture/vmx/vmx-capabilities.js';
import { HOST_SELECTOR } from '../host/host-kernel.js';
import type { GuestStop } from '../host/physical-cpu.js';
import { syncVirtualInterrupts } from './apic-mode.js';
import { requeueInterruptedEvent } from './event-injection.js';
import type { Vcpu } from './vcpu.js';

/** Stack pointer of the run loop: the same at every entry, since the call path is the same. */
const HOST_STACK = 0xffff88003f5a3c48n;

/** Up to the end of guest code. 'paused': the simulation goes on elsewhere, `resumeGuest` continues the guest. */
export function enterGuest(vcpu: Vcpu): GuestStop {
  const { cpu, vmx } = vcpu;
  // 2.6.32 writes CR3 on every entry (EPT and paging on).
  if (vcpu.pagingEnabled && vcpu.vm.policies.vmcsTraffic === '2.6.32')
    cpu.vmwriteNumber(VMCS.GUEST_CR3, vcpu.cr3Bits);
  vcpu.flushDirtyRegisters();
  // TS in the host's CR0 may have changed since the last entry.
  if (vcpu.vm.policies.hostCr0 === 'every-entry') cpu.vmwriteNumber(VMCS.HOST_CR0, cpu.readCr0());
  if (!vmx.hostStackKnown) {
    cpu.vmwrite(VMCS.HOST_RSP, HOST_STACK);
    vmx.hostStackKnown = true;
  }
  if (vcpu.interrupts.deadlineTimer?.inHardware === true) updatePreemptionTimer(vcpu);
  if (vcpu.interrupts.virtualisation?.delivers === true) syncVirtualInterrupts(vcpu);
  if (!cpu.cr2Equals(vcpu.cr2Words)) cpu.writeCr2(vcpu.cr2);
  const { launched } = vcpu;
  vcpu.launched = true;
  return cpu.enterGuest(vcpu, launched);
}

/** vmx_update_hv_timer. */
function updatePreemptionTimer(vcpu: Vcpu): void {
  const { cpu, vmx } = vcpu;
  const deadline = vcpu.interrupts.deadlineTimer!.hardwareDeadline;
  const active = deadline !== Number.POSITIVE_INFINITY;
  if (active) {
    const left = Math.max(0, deadline - cpu.rdtsc());
    cpu.vmwriteNumber(VMCS.VMX_PREEMPTION_TIMER_VALUE, Math.floor(left / 2 ** PREEMPTION_TIMER_RATE));
  }
  if (active === vmx.preemptionTimerActive) return;
  vmx.preemptionTimerActive = active;
  const { pinBased } = vmx;
  cpu.vmwriteNumber(
    VMCS.PIN_BASED_VM_EXECUTION_CONTROLS,
    active ? pinBased | PIN_BASED.ACTIVATE_VMX_PREEMPTION_TIMER : pinBased,
  );
}

export function resumeGuest(vcpu: Vcpu): GuestStop {
  return vcpu.cpu.runGuest(vcpu);
}

/** From the first instruction after the exit to where interrupts can be enabled again. */
export function afterExit(vcpu: Vcpu): void {
  const { cpu, vmx } = vcpu;
  cpu.readCr2(vcpu.cr2Words);
  vcpu.forgetCachedRegisters();
  vmx.idtVectoringInformation = cpu.vmreadNumber(VMCS.IDT_VECTORING_INFORMATION);
  if (vcpu.vm.policies.userSegments === 'every-exit') {
    cpu.loadSegment(SEGMENT.DS, HOST_SELECTOR.USER_DATA);
    cpu.loadSegment(SEGMENT.ES, HOST_SELECTOR.USER_DATA);
  }
  vmx.exitReason = cpu.vmreadNumber(VMCS.EXIT_REASON);
  const { vmcsTraffic } = vcpu.vm.policies;
  if (
    (vmx.exitReason & 0xffff) === EXIT_REASON.EXCEPTION_NMI ||
    vmcsTraffic === '2.6.35' ||
    vmcsTraffic === '2.6.37'
  )
    vmx.exitInterruptionInformation = cpu.vmreadNumber(VMCS.VM_EXIT_INTERRUPTION_INFORMATION);
  requeueInterruptedEvent(vcpu);
  // last_guest_tsc, which the guest's clock is checked against.
  if (vmcsTraffic === '2.6.37') {
    cpu.rdtsc();
    cpu.vmreadWords(VMCS.TSC_OFFSET, vmx.tscOffsetWords);
  }
}
