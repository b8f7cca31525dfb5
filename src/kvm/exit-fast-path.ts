/**
 * Exits that are handled before interrupts are enabled and the rest of the run loop is gone through
 * (vmx_exit_handlers_fastpath).
 */

import { MSR } from '../architecture/msrs.js';
import { GPR } from '../architecture/registers.js';
import { EXIT_REASON } from '../architecture/vmx/exit-reasons.js';
import { operation } from '../host/cost/operations.js';
import { STAGE } from '../host/stages.js';
import type { Vcpu } from './vcpu.js';

const FAST_PATH = operation('exit fast path');

/** `handled`: the rest of the loop is next, without a handler. `reenter`: the guest is, if nothing was requested. */
export type FastExit = 'none' | 'handled' | 'reenter';

const X2APIC_ICR = 0x830;
/** Delivery mode, logical destination and shorthand: all zero for a fixed interrupt to one APIC ID. */
const ICR_UNUSUAL = 0xc0f00;
const BROADCAST = 0xffffffff;

/** True when the exit has to be looked at by `handleFastExit`. */
export function isFastExit(vcpu: Vcpu): boolean {
  const reason = vcpu.vmx.exitReason;
  if (reason === EXIT_REASON.PREEMPTION_TIMER) return true;
  if (reason !== EXIT_REASON.MSR_WRITE) return false;
  const index = vcpu.registerWords[GPR.RCX * 2];
  return index === X2APIC_ICR || index === MSR.TSC_DEADLINE;
}

export function handleFastExit(vcpu: Vcpu): FastExit {
  const { cpu } = vcpu;
  cpu.setStage(STAGE.KERNEL_HANDLER);
  cpu.charge(FAST_PATH);
  const outcome =
    vcpu.vmx.exitReason === EXIT_REASON.PREEMPTION_TIMER ? expireDeadline(vcpu) : writeMsr(vcpu);
  if (outcome !== 'none' && vcpu.tracker.listening) vcpu.tracker.note('handled on the fast path');
  if (outcome === 'none') cpu.setStage(STAGE.EXIT_HANDLER);
  return outcome;
}

/** handle_fastpath_preemption_timer. */
function expireDeadline(vcpu: Vcpu): FastExit {
  vcpu.interrupts.deadlineTimer?.expire();
  return 'reenter';
}

/** handle_fastpath_set_msr_irqoff. */
function writeMsr(vcpu: Vcpu): FastExit {
  const { interrupts, registerWords } = vcpu;
  const low = registerWords[GPR.RAX * 2]! >>> 0;
  const high = registerWords[GPR.RDX * 2]! >>> 0;
  if (registerWords[GPR.RCX * 2] === X2APIC_ICR) {
    if ((low & ICR_UNUSUAL) !== 0 || high === BROADCAST || !interrupts.writeX2apicMsr(X2APIC_ICR, low, high))
      return 'none';
    vcpu.skipInstruction();
    return 'handled';
  }
  const deadline = (BigInt(high) << 32n) | BigInt(low);
  if (interrupts.deadlineTimer?.inHardware !== true || !interrupts.writeTscDeadline(deadline)) return 'none';
  vcpu.skipInstruction();
  return 'reenter';
}
