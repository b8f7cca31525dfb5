/** Model-specific register numbers (SDM Vol. 4, Chapter 2), named without the IA32_ prefix. */

import { APIC_REGISTER_NAMES } from './apic-registers.js';

/** One register in x2APIC mode (SDM Vol. 3A, Table 10-6). */
const X2APIC_ICR_OFFSET = 0x300;

export const MSR = {
  TIME_STAMP_COUNTER: 0x10,
  APIC_BASE: 0x1b,
  FEATURE_CONTROL: 0x3a,
  MTRRCAP: 0xfe,
  SYSENTER_CS: 0x174,
  SYSENTER_ESP: 0x175,
  SYSENTER_EIP: 0x176,
  MISC_ENABLE: 0x1a0,
  DEBUGCTL: 0x1d9,
  PAT: 0x277,
  MTRR_DEF_TYPE: 0x2ff,
  VMX_BASIC: 0x480,
  VMX_PINBASED_CTLS: 0x481,
  VMX_PROCBASED_CTLS: 0x482,
  VMX_EXIT_CTLS: 0x483,
  VMX_ENTRY_CTLS: 0x484,
  VMX_MISC: 0x485,
  VMX_CR0_FIXED0: 0x486,
  VMX_CR0_FIXED1: 0x487,
  VMX_CR4_FIXED0: 0x488,
  VMX_CR4_FIXED1: 0x489,
  VMX_VMCS_ENUM: 0x48a,
  VMX_PROCBASED_CTLS2: 0x48b,
  VMX_EPT_VPID_CAP: 0x48c,
  TSC_DEADLINE: 0x6e0,
  X2APIC_BASE: 0x800,
  EFER: 0xc0000080,
  STAR: 0xc0000081,
  LSTAR: 0xc0000082,
  CSTAR: 0xc0000083,
  SYSCALL_MASK: 0xc0000084,
  FS_BASE: 0xc0000100,
  GS_BASE: 0xc0000101,
  KERNEL_GS_BASE: 0xc0000102,
  TSC_AUX: 0xc0000103,
} as const;

/** Name of an MSR, `x2APIC EOI` for those of the x2APIC, or its number in hex when neither is listed here. */
export function msrName(index: number): string {
  for (const [name, number] of Object.entries(MSR)) if (number === index) return name;
  const offset = (index - MSR.X2APIC_BASE) * 16;
  const register = APIC_REGISTER_NAMES.get(offset);
  if (register !== undefined) return `x2APIC ${offset === X2APIC_ICR_OFFSET ? 'ICR' : register}`;
  return `0x${(index >>> 0).toString(16)}`;
}
