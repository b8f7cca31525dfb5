/**
 * The fields of the VMCS with their encodings (SDM Vol. 3D, Appendix B, Field Encoding in VMCS). Section numbers
 * in all VMX files are those of the manual's revision 075 (June 2021): chapter 24 Virtual-Machine Control
 * Structures, 26 VM Entries, 27 VM Exits, 28 VMX Support for Address Translation, 29 APIC Virtualization.
 */

/** Names follow the manual's, in upper case. This list gives both names and numbers. */
export const VMCS = {
  // B.1.1 16-Bit Control Fields
  VIRTUAL_PROCESSOR_IDENTIFIER: 0x0000,
  POSTED_INTERRUPT_NOTIFICATION_VECTOR: 0x0002,
  EPTP_INDEX: 0x0004,
  // B.1.2 16-Bit Guest-State Fields
  GUEST_ES_SELECTOR: 0x0800,
  GUEST_CS_SELECTOR: 0x0802,
  GUEST_SS_SELECTOR: 0x0804,
  GUEST_DS_SELECTOR: 0x0806,
  GUEST_FS_SELECTOR: 0x0808,
  GUEST_GS_SELECTOR: 0x080a,
  GUEST_LDTR_SELECTOR: 0x080c,
  GUEST_TR_SELECTOR: 0x080e,
  GUEST_INTERRUPT_STATUS: 0x0810,
  PML_INDEX: 0x0812,
  // B.1.3 16-Bit Host-State Fields
  HOST_ES_SELECTOR: 0x0c00,
  HOST_CS_SELECTOR: 0x0c02,
  HOST_SS_SELECTOR: 0x0c04,
  HOST_DS_SELECTOR: 0x0c06,
  HOST_FS_SELECTOR: 0x0c08,
  HOST_GS_SELECTOR: 0x0c0a,
  HOST_TR_SELECTOR: 0x0c0c,
  // B.2.1 64-Bit Control Fields
  ADDRESS_OF_IO_BITMAP_A: 0x2000,
  ADDRESS_OF_IO_BITMAP_B: 0x2002,
  ADDRESS_OF_MSR_BITMAPS: 0x2004,
  VM_EXIT_MSR_STORE_ADDRESS: 0x2006,
  VM_EXIT_MSR_LOAD_ADDRESS: 0x2008,
  VM_ENTRY_MSR_LOAD_ADDRESS: 0x200a,
  EXECUTIVE_VMCS_POINTER: 0x200c,
  PML_ADDRESS: 0x200e,
  TSC_OFFSET: 0x2010,
  VIRTUAL_APIC_ADDRESS: 0x2012,
  APIC_ACCESS_ADDRESS: 0x2014,
  POSTED_INTERRUPT_DESCRIPTOR_ADDRESS: 0x2016,
  VM_FUNCTION_CONTROLS: 0x2018,
  EPT_POINTER: 0x201a,
  EOI_EXIT_BITMAP_0: 0x201c,
  EOI_EXIT_BITMAP_1: 0x201e,
  EOI_EXIT_BITMAP_2: 0x2020,
  EOI_EXIT_BITMAP_3: 0x2022,
  EPTP_LIST_ADDRESS: 0x2024,
  VMREAD_BITMAP_ADDRESS: 0x2026,
  VMWRITE_BITMAP_ADDRESS: 0x2028,
  VIRTUALIZATION_EXCEPTION_INFORMATION_ADDRESS: 0x202a,
  XSS_EXITING_BITMAP: 0x202c,
  ENCLS_EXITING_BITMAP: 0x202e,
  SUB_PAGE_PERMISSION_TABLE_POINTER: 0x2030,
  TSC_MULTIPLIER: 0x2032,
  ENCLV_EXITING_BITMAP: 0x2036,
  // B.2.2 64-Bit Read-Only Data Field
  GUEST_PHYSICAL_ADDRESS: 0x2400,
  // B.2.3 64-Bit Guest-State Fields
  VMCS_LINK_POINTER: 0x2800,
  GUEST_IA32_DEBUGCTL: 0x2802,
  GUEST_IA32_PAT: 0x2804,
  GUEST_IA32_EFER: 0x2806,
  GUEST_IA32_PERF_GLOBAL_CTRL: 0x2808,
  GUEST_PDPTE0: 0x280a,
  GUEST_PDPTE1: 0x280c,
  GUEST_PDPTE2: 0x280e,
  GUEST_PDPTE3: 0x2810,
  GUEST_IA32_BNDCFGS: 0x2812,
  GUEST_IA32_RTIT_CTL: 0x2814,
  GUEST_IA32_PKRS: 0x2818,
  // B.2.4 64-Bit Host-State Fields
  HOST_IA32_PAT: 0x2c00,
  HOST_IA32_EFER: 0x2c02,
  HOST_IA32_PERF_GLOBAL_CTRL: 0x2c04,
  HOST_IA32_PKRS: 0x2c06,
  // B.3.1 32-Bit Control Fields
  PIN_BASED_VM_EXECUTION_CONTROLS: 0x4000,
  PRIMARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS: 0x4002,
  EXCEPTION_BITMAP: 0x4004,
  PAGE_FAULT_ERROR_CODE_MASK: 0x4006,
  PAGE_FAULT_ERROR_CODE_MATCH: 0x4008,
  CR3_TARGET_COUNT: 0x400a,
  VM_EXIT_CONTROLS: 0x400c,
  VM_EXIT_MSR_STORE_COUNT: 0x400e,
  VM_EXIT_MSR_LOAD_COUNT: 0x4010,
  VM_ENTRY_CONTROLS: 0x4012,
  VM_ENTRY_MSR_LOAD_COUNT: 0x4014,
  VM_ENTRY_INTERRUPTION_INFORMATION: 0x4016,
  VM_ENTRY_EXCEPTION_ERROR_CODE: 0x4018,
  VM_ENTRY_INSTRUCTION_LENGTH: 0x401a,
  TPR_THRESHOLD: 0x401c,
  SECONDARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS: 0x401e,
  PLE_GAP: 0x4020,
  PLE_WINDOW: 0x4022,
  // B.3.2 32-Bit Read-Only Data Fields
  VM_INSTRUCTION_ERROR: 0x4400,
  EXIT_REASON: 0x4402,
  VM_EXIT_INTERRUPTION_INFORMATION: 0x4404,
  VM_EXIT_INTERRUPTION_ERROR_CODE: 0x4406,
  IDT_VECTORING_INFORMATION: 0x4408,
  IDT_VECTORING_ERROR_CODE: 0x440a,
  VM_EXIT_INSTRUCTION_LENGTH: 0x440c,
  VM_EXIT_INSTRUCTION_INFORMATION: 0x440e,
  // B.3.3 32-Bit Guest-State Fields
  GUEST_ES_LIMIT: 0x4800,
  GUEST_CS_LIMIT: 0x4802,
  GUEST_SS_LIMIT: 0x4804,
  GUEST_DS_LIMIT: 0x4806,
  GUEST_FS_LIMIT: 0x4808,
  GUEST_GS_LIMIT: 0x480a,
  GUEST_LDTR_LIMIT: 0x480c,
  GUEST_TR_LIMIT: 0x480e,
  GUEST_GDTR_LIMIT: 0x4810,
  GUEST_IDTR_LIMIT: 0x4812,
  GUEST_ES_ACCESS_RIGHTS: 0x4814,
  GUEST_CS_ACCESS_RIGHTS: 0x4816,
  GUEST_SS_ACCESS_RIGHTS: 0x4818,
  GUEST_DS_ACCESS_RIGHTS: 0x481a,
  GUEST_FS_ACCESS_RIGHTS: 0x481c,
  GUEST_GS_ACCESS_RIGHTS: 0x481e,
  GUEST_LDTR_ACCESS_RIGHTS: 0x4820,
  GUEST_TR_ACCESS_RIGHTS: 0x4822,
  GUEST_INTERRUPTIBILITY_STATE: 0x4824,
  GUEST_ACTIVITY_STATE: 0x4826,
  GUEST_SMBASE: 0x4828,
  GUEST_IA32_SYSENTER_CS: 0x482a,
  VMX_PREEMPTION_TIMER_VALUE: 0x482e,
  // B.3.4 32-Bit Host-State Field
  HOST_IA32_SYSENTER_CS: 0x4c00,
  // B.4.1 Natural-Width Control Fields
  CR0_GUEST_HOST_MASK: 0x6000,
  CR4_GUEST_HOST_MASK: 0x6002,
  CR0_READ_SHADOW: 0x6004,
  CR4_READ_SHADOW: 0x6006,
  CR3_TARGET_VALUE_0: 0x6008,
  CR3_TARGET_VALUE_1: 0x600a,
  CR3_TARGET_VALUE_2: 0x600c,
  CR3_TARGET_VALUE_3: 0x600e,
  // B.4.2 Natural-Width Read-Only Data Fields
  EXIT_QUALIFICATION: 0x6400,
  IO_RCX: 0x6402,
  IO_RSI: 0x6404,
  IO_RDI: 0x6406,
  IO_RIP: 0x6408,
  GUEST_LINEAR_ADDRESS: 0x640a,
  // B.4.3 Natural-Width Guest-State Fields
  GUEST_CR0: 0x6800,
  GUEST_CR3: 0x6802,
  GUEST_CR4: 0x6804,
  GUEST_ES_BASE: 0x6806,
  GUEST_CS_BASE: 0x6808,
  GUEST_SS_BASE: 0x680a,
  GUEST_DS_BASE: 0x680c,
  GUEST_FS_BASE: 0x680e,
  GUEST_GS_BASE: 0x6810,
  GUEST_LDTR_BASE: 0x6812,
  GUEST_TR_BASE: 0x6814,
  GUEST_GDTR_BASE: 0x6816,
  GUEST_IDTR_BASE: 0x6818,
  GUEST_DR7: 0x681a,
  GUEST_RSP: 0x681c,
  GUEST_RIP: 0x681e,
  GUEST_RFLAGS: 0x6820,
  GUEST_PENDING_DEBUG_EXCEPTIONS: 0x6822,
  GUEST_IA32_SYSENTER_ESP: 0x6824,
  GUEST_IA32_SYSENTER_EIP: 0x6826,
  GUEST_IA32_S_CET: 0x6828,
  GUEST_SSP: 0x682a,
  GUEST_IA32_INTERRUPT_SSP_TABLE_ADDR: 0x682c,
  // B.4.4 Natural-Width Host-State Fields
  HOST_CR0: 0x6c00,
  HOST_CR3: 0x6c02,
  HOST_CR4: 0x6c04,
  HOST_FS_BASE: 0x6c06,
  HOST_GS_BASE: 0x6c08,
  HOST_TR_BASE: 0x6c0a,
  HOST_GDTR_BASE: 0x6c0c,
  HOST_IDTR_BASE: 0x6c0e,
  HOST_IA32_SYSENTER_ESP: 0x6c10,
  HOST_IA32_SYSENTER_EIP: 0x6c12,
  HOST_RSP: 0x6c14,
  HOST_RIP: 0x6c16,
  HOST_IA32_S_CET: 0x6c18,
  HOST_SSP: 0x6c1a,
  HOST_IA32_INTERRUPT_SSP_TABLE_ADDR: 0x6c1c,
} as const;

export type VmcsFieldName = keyof typeof VMCS;

/** Parts of VT-x that not all modelled processors have. */
export type VmxFeature = 'preemptionTimer' | 'apicVirtualization';

/** Fields that exist on processors with a feature only. */
export const OPTIONAL_FIELDS: ReadonlyMap<number, VmxFeature> = new Map([
  [VMCS.VMX_PREEMPTION_TIMER_VALUE, 'preemptionTimer'],
  [VMCS.POSTED_INTERRUPT_NOTIFICATION_VECTOR, 'apicVirtualization'],
  [VMCS.GUEST_INTERRUPT_STATUS, 'apicVirtualization'],
  [VMCS.POSTED_INTERRUPT_DESCRIPTOR_ADDRESS, 'apicVirtualization'],
  [VMCS.EOI_EXIT_BITMAP_0, 'apicVirtualization'],
  [VMCS.EOI_EXIT_BITMAP_1, 'apicVirtualization'],
  [VMCS.EOI_EXIT_BITMAP_2, 'apicVirtualization'],
  [VMCS.EOI_EXIT_BITMAP_3, 'apicVirtualization'],
]);

/**
 * Fields of features that no modelled processor has: VMREAD and VMWRITE fail on them with error 12. (A field exists
 * exactly on processors that support the 1-setting of the control that uses it; footnotes of Appendix B.)
 */
export const UNSUPPORTED_FIELDS: ReadonlySet<number> = new Set<number>([
  VMCS.EPTP_INDEX,
  VMCS.PML_INDEX,
  VMCS.PML_ADDRESS,
  VMCS.VM_FUNCTION_CONTROLS,
  VMCS.EPTP_LIST_ADDRESS,
  VMCS.VMREAD_BITMAP_ADDRESS,
  VMCS.VMWRITE_BITMAP_ADDRESS,
  VMCS.VIRTUALIZATION_EXCEPTION_INFORMATION_ADDRESS,
  VMCS.XSS_EXITING_BITMAP,
  VMCS.ENCLS_EXITING_BITMAP,
  VMCS.SUB_PAGE_PERMISSION_TABLE_POINTER,
  VMCS.TSC_MULTIPLIER,
  VMCS.ENCLV_EXITING_BITMAP,
  VMCS.GUEST_IA32_PERF_GLOBAL_CTRL,
  VMCS.GUEST_IA32_BNDCFGS,
  VMCS.GUEST_IA32_RTIT_CTL,
  VMCS.GUEST_IA32_PKRS,
  VMCS.HOST_IA32_PERF_GLOBAL_CTRL,
  VMCS.HOST_IA32_PKRS,
  VMCS.PLE_GAP,
  VMCS.PLE_WINDOW,
  VMCS.GUEST_IA32_S_CET,
  VMCS.GUEST_SSP,
  VMCS.GUEST_IA32_INTERRUPT_SSP_TABLE_ADDR,
  VMCS.HOST_IA32_S_CET,
  VMCS.HOST_SSP,
  VMCS.HOST_IA32_INTERRUPT_SSP_TABLE_ADDR,
]);

export const FIELD_TYPE = { CONTROL: 0, READ_ONLY_DATA: 1, GUEST_STATE: 2, HOST_STATE: 3 } as const;
/** Bits 14:13 of an encoding. Natural-width fields have 64 bits here, as the processor supports Intel 64. */
export const FIELD_WIDTH = { BITS_16: 0, BITS_64: 1, BITS_32: 2, NATURAL: 3 } as const;

/** Structure of VMCS component encodings (SDM Vol. 3C, 24.11.2 VMREAD, VMWRITE, and Encodings of VMCS Fields). */
export const fieldWidth = (encoding: number): number => (encoding >> 13) & 3;
export const fieldType = (encoding: number): number => (encoding >> 10) & 3;
export const fieldIndex = (encoding: number): number => (encoding >> 1) & 0x1ff;
/** Bit 0: access to the upper half of a 64-bit field. */
export const isHighAccess = (encoding: number): boolean => (encoding & 1) !== 0;

/** Bits of the value of a field: 16, 32 or 64. */
export function fieldWidthInBits(encoding: number): 16 | 32 | 64 {
  switch (fieldWidth(encoding)) {
    case FIELD_WIDTH.BITS_16:
      return 16;
    case FIELD_WIDTH.BITS_32:
      return 32;
    default:
      return isHighAccess(encoding) ? 32 : 64;
  }
}

const NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(VMCS).map(([name, encoding]) => [encoding, name]),
);

/** Name of a field, with `_HIGH` for the access to an upper half; unknown encodings give their number in hex. */
export function fieldName(encoding: number): string {
  const name = NAMES.get(encoding & ~1);
  if (name === undefined) return `0x${encoding.toString(16).padStart(4, '0')}`;
  return isHighAccess(encoding) ? `${name}_HIGH` : name;
}
