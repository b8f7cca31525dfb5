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
import { RULE } from './run-loop-rules.js';
import type { Vcpu } from './vcpu.js';

/** Stack pointer of the run loop: the same at every entry, since the call path is the same. */
const HOST_STACK = 0xffff88003f5a3c48n;

/** Up to the end of guest code. 'paused': the simulation goes on elsewhere, `resumeGuest` continues the guest. */
export function enterGuest(vcpu: Vcpu): GuestStop {
  const { cpu, vmx, rules, interrupts } = vcpu;
  // 2.6.32 writes CR3 on every entry (EPT and paging on).
  if ((rules & RULE.WRITES_CR3) !== 0 && vcpu.pagingEnabled) cpu.vmwriteNumber(VMCS.GUEST_CR3, vcpu.cr3Bits);
  vcpu.flushDirtyRegisters();
  // TS in the host's CR0 may have changed since the last entry.
  if ((rules & RULE.WRITES_HOST_CR0) !== 0) cpu.vmwriteNumber(VMCS.HOST_CR0, cpu.readCr0());
  if (!vmx.hostStackKnown) {
    cpu.vmwrite(VMCS.HOST_RSP, HOST_STACK);
    vmx.hostStackKnown = true;
  }
  if (interrupts.deadlineTimer?.inHardware === true) updatePreemptionTimer(vcpu);
  if (interrupts.virtualisation?.delivers === true) syncVirtualInterrupts(vcpu);
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
  const { cpu, vmx, rules } = vcpu;
  cpu.readCr2(vcpu.cr2Words);
  vcpu.forgetCachedRegisters();
  vmx.idtVectoringInformation = cpu.vmreadNumber(VMCS.IDT_VECTORING_INFORMATION);
  if ((rules & RULE.RELOADS_USER_SEGMENTS) !== 0) {
    cpu.loadSegment(SEGMENT.DS, HOST_SELECTOR.USER_DATA);
    cpu.loadSegment(SEGMENT.ES, HOST_SELECTOR.USER_DATA);
  }
  vmx.exitReason = cpu.vmreadNumber(VMCS.EXIT_REASON);
  if ((rules & RULE.READS_INTERRUPTION) !== 0 || (vmx.exitReason & 0xffff) === EXIT_REASON.EXCEPTION_NMI)
    vmx.exitInterruptionInformation = cpu.vmreadNumber(VMCS.VM_EXIT_INTERRUPTION_INFORMATION);
  requeueInterruptedEvent(vcpu);
  // last_guest_tsc, which the guest's clock is checked against.
  if ((rules & RULE.NOTES_TIME_STAMP) !== 0) {
    cpu.rdtsc();
    cpu.vmreadWords(VMCS.TSC_OFFSET, vmx.tscOffsetWords);
  }
}
