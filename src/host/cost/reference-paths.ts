/**
 * How often each operation is charged on the paths that published figures are for, in the era of the figure's machine. A
 * test runs these paths and compares: a count that is wrong here, or a path that changes, fails it.
 */

import type { OperationName } from './operations.js';

export type OperationCounts = { readonly [Name in OperationName]?: number };

/**
 * Stage 4 of a port write that user space handles: 64-bit guest with SYSCALL enabled and its FPU in use, 2.6.32. Five
 * live MSRs, EFER as the host's.
 */
export const HOST_STATE_RESTORED: OperationCounts = {
  'locked operation': 1,
  RDMSR: 5,
  WRMSR: 5,
  LTR: 1,
  LGDT: 1,
  FXSAVE: 1,
  FXRSTOR: 1,
  'preemption toggle': 1,
  mutex: 1,
  'ioctl path': 1,
};

/** Stage 6 of the same exit. */
export const GUEST_STATE_RELOADED: OperationCounts = {
  'ioctl path': 1,
  mutex: 1,
  'preemption toggle': 1,
  'locked operation': 1,
  SLDT: 1,
  'read segment register': 2,
  RDMSR: 3,
  WRMSR: 5,
  VMWRITE: 4,
  FXSAVE: 1,
  FXRSTOR: 1,
};

/** Stage 5 of the same exit: one port access by a device model. */
export const USER_SPACE: OperationCounts = {
  'system call exit': 1,
  'system call entry': 1,
  SWAPGS: 2,
  'user-space run loop': 1,
  'user-space device model': 1,
};

/** A light exit for WRMSR 0x80b, complete: from the VM exit to the end of the VM entry. */
export const X2APIC_END_OF_INTERRUPT: OperationCounts = {
  'VM exit': 1,
  'VM entry': 1,
  'save guest GPRs': 1,
  'load guest GPRs': 1,
  'MOV from CR': 3,
  VMREAD: 6,
  VMWRITE: 4,
  'load segment register': 2,
  'enable interrupts': 1,
  'disable interrupts': 1,
  'preemption toggle': 2,
  'locked operation': 2,
  'exit dispatch': 1,
  'MSR exit handler': 1,
  'MSR list compare': 6,
  'local APIC register access': 1,
  'run-loop pass': 1,
  'request check': 1,
  'event injection check': 1,
};

/**
 * A light exit for `mov [rdi + 0xb0], imm32` to the xAPIC page: RAM in slot 0, code and the APIC's page mapped by 2-MiB
 * pages (three levels each).
 */
export const XAPIC_END_OF_INTERRUPT: OperationCounts = {
  'VM exit': 1,
  'VM entry': 1,
  'save guest GPRs': 1,
  'load guest GPRs': 1,
  'MOV from CR': 3,
  VMREAD: 10,
  VMWRITE: 6,
  'load segment register': 2,
  'enable interrupts': 1,
  'disable interrupts': 1,
  'preemption toggle': 2,
  'locked operation': 2,
  'exit dispatch': 1,
  'APIC access handler': 1,
  'local APIC register access': 1,
  'device search step': 1,
  'memslot look-up step': 7,
  'emulator set-up': 1,
  'emulator page-walk step': 6,
  'emulator fetch': 1,
  'emulator decode': 1,
  'emulator operand access': 1,
  'emulator execute': 1,
  'emulator write-back': 1,
  'run-loop pass': 1,
  'request check': 1,
  'event injection check': 1,
};
