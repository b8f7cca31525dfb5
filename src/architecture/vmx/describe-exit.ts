/** What a VM exit is about, in words. */

import {
  describeApicAccessQualification,
  describeApicWriteQualification,
  describeCrQualification,
  describeDrQualification,
  describeEptQualification,
  describeIoQualification,
  describeTaskSwitchQualification,
} from './exit-qualifications.js';
import { ENTRY_FAILURE, EXIT_REASON } from './exit-reasons.js';

/** VM-entry failures: qualification of exit reason 33 (SDM Vol. 3C, 26.8). */
const INVALID_STATE_TEXT: ReadonlyMap<bigint, string> = new Map([
  [2n, 'PDPTE loading'],
  [3n, 'NMI injection while blocking by STI or MOV SS'],
  [4n, 'invalid VMCS link pointer'],
]);

/** Reasons that have no qualification, and whose names say less than the manual. */
const EVENT_TEXT: ReadonlyMap<number, string> = new Map([
  [EXIT_REASON.EXTERNAL_INTERRUPT, 'an interrupt for the host'],
  [EXIT_REASON.TRIPLE_FAULT, 'a fault while a double fault was delivered'],
  [EXIT_REASON.INTERRUPT_WINDOW, 'the guest can take an interrupt now'],
  [EXIT_REASON.NMI_WINDOW, 'the guest can take an NMI now'],
  [EXIT_REASON.TPR_BELOW_THRESHOLD, 'the guest lowered its task priority below a pending interrupt'],
  [EXIT_REASON.PREEMPTION_TIMER, 'the time is up'],
]);

/**
 * Words for the qualification of a VM exit, or for a reason that has none; empty where the instruction says it all.
 * @param reason value of the exit-reason field
 */
export function describeExitQualification(reason: number, qualification: bigint): string {
  const low = Number(qualification & 0xffffffffn);
  switch (reason & 0xffff) {
    case EXIT_REASON.IO_INSTRUCTION:
      return describeIoQualification(low);
    case EXIT_REASON.CR_ACCESS:
      return describeCrQualification(low);
    case EXIT_REASON.DR_ACCESS:
      return describeDrQualification(low);
    case EXIT_REASON.EPT_VIOLATION:
      return describeEptQualification(low);
    case EXIT_REASON.APIC_ACCESS:
      return describeApicAccessQualification(low);
    case EXIT_REASON.APIC_WRITE:
      return describeApicWriteQualification(low);
    case EXIT_REASON.EOI_INDUCED:
      return `vector 0x${low.toString(16)}`;
    case EXIT_REASON.TASK_SWITCH:
      return describeTaskSwitchQualification(low);
    case EXIT_REASON.INVLPG:
      return `linear address 0x${qualification.toString(16)}`;
    case EXIT_REASON.INVALID_STATE:
      return INVALID_STATE_TEXT.get(qualification) ?? '';
    case EXIT_REASON.MSR_LOAD_FAIL:
      return (reason & ENTRY_FAILURE) !== 0 ? `entry ${qualification} of the MSR-load area` : '';
    case EXIT_REASON.EXCEPTION_NMI:
      return qualification === 0n ? '' : `0x${qualification.toString(16)}`;
    default:
      return EVENT_TEXT.get(reason & 0xffff) ?? '';
  }
}
