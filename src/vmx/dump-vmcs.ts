/** The current VMCS as text, in the layout of Linux's `dump_vmcs` (arch/x86/kvm/vmx). For people; never parsed here. */

import { SEGMENT } from '../architecture/registers.js';
import { PRIMARY, SECONDARY } from '../architecture/vmx/controls.js';
import { VMCS } from '../architecture/vmx/vmcs-fields.js';
import { hasPrimary, hasSecondary, secondaryControls } from './entry/field-tests.js';
import { GUEST_SEGMENTS, type SegmentFields } from './segment-fields.js';
import type { Vmcs } from './vmcs.js';

type Reader = (field: number) => string;

const CODE_AND_DATA_ORDER = [SEGMENT.CS, SEGMENT.DS, SEGMENT.SS, SEGMENT.ES, SEGMENT.FS, SEGMENT.GS];

function segmentLine(name: string, s: SegmentFields, vmcs: Vmcs): string {
  const hex = (field: number, digits: number): string => vmcs.value(field).toString(16).padStart(digits, '0');
  return `${`${name}:`.padEnd(6)}sel=0x${hex(s.selector, 4)}, attr=0x${hex(s.accessRights, 5)}, limit=0x${hex(s.limit, 8)}, base=0x${hex(s.base, 16)}`;
}

function guestState(vmcs: Vmcs, n: Reader, w: Reader): string[] {
  const table = (name: string, limit: number, base: number): string =>
    `${`${name}:`.padEnd(6)}                           limit=0x${w(limit)}, base=0x${n(base)}`;
  const segment = (number: number): string =>
    segmentLine(GUEST_SEGMENTS[number]!.name, GUEST_SEGMENTS[number]!, vmcs);
  return [
    '*** Guest State ***',
    `CR0: actual=0x${n(VMCS.GUEST_CR0)}, shadow=0x${n(VMCS.CR0_READ_SHADOW)}, gh_mask=${n(VMCS.CR0_GUEST_HOST_MASK)}`,
    `CR4: actual=0x${n(VMCS.GUEST_CR4)}, shadow=0x${n(VMCS.CR4_READ_SHADOW)}, gh_mask=${n(VMCS.CR4_GUEST_HOST_MASK)}`,
    `CR3 = 0x${n(VMCS.GUEST_CR3)}`,
    `RSP = 0x${n(VMCS.GUEST_RSP)}  RIP = 0x${n(VMCS.GUEST_RIP)}`,
    `RFLAGS=0x${w(VMCS.GUEST_RFLAGS)}         DR7 = 0x${n(VMCS.GUEST_DR7)}`,
    `Sysenter RSP=${n(VMCS.GUEST_IA32_SYSENTER_ESP)} CS:RIP=${w(VMCS.GUEST_IA32_SYSENTER_CS)}:${n(VMCS.GUEST_IA32_SYSENTER_EIP)}`,
    ...CODE_AND_DATA_ORDER.map(segment),
    table('GDTR', VMCS.GUEST_GDTR_LIMIT, VMCS.GUEST_GDTR_BASE),
    segment(SEGMENT.LDTR),
    table('IDTR', VMCS.GUEST_IDTR_LIMIT, VMCS.GUEST_IDTR_BASE),
    segment(SEGMENT.TR),
    `EFER =     0x${n(VMCS.GUEST_IA32_EFER)}  PAT = 0x${n(VMCS.GUEST_IA32_PAT)}`,
    `DebugCtl = 0x${n(VMCS.GUEST_IA32_DEBUGCTL)}  DebugExceptions = 0x${n(VMCS.GUEST_PENDING_DEBUG_EXCEPTIONS)}`,
    `Interruptibility = ${w(VMCS.GUEST_INTERRUPTIBILITY_STATE)}  ActivityState = ${w(VMCS.GUEST_ACTIVITY_STATE)}`,
  ];
}

function hostState(n: Reader, w: Reader): string[] {
  const selector = (field: number): string => w(field).slice(-4);
  return [
    '*** Host State ***',
    `RIP = 0x${n(VMCS.HOST_RIP)}  RSP = 0x${n(VMCS.HOST_RSP)}`,
    `CS=${selector(VMCS.HOST_CS_SELECTOR)} SS=${selector(VMCS.HOST_SS_SELECTOR)} DS=${selector(VMCS.HOST_DS_SELECTOR)} ES=${selector(VMCS.HOST_ES_SELECTOR)} FS=${selector(VMCS.HOST_FS_SELECTOR)} GS=${selector(VMCS.HOST_GS_SELECTOR)} TR=${selector(VMCS.HOST_TR_SELECTOR)}`,
    `FSBase=${n(VMCS.HOST_FS_BASE)} GSBase=${n(VMCS.HOST_GS_BASE)} TRBase=${n(VMCS.HOST_TR_BASE)}`,
    `GDTBase=${n(VMCS.HOST_GDTR_BASE)} IDTBase=${n(VMCS.HOST_IDTR_BASE)}`,
    `CR0=${n(VMCS.HOST_CR0)} CR3=${n(VMCS.HOST_CR3)} CR4=${n(VMCS.HOST_CR4)}`,
    `Sysenter RSP=${n(VMCS.HOST_IA32_SYSENTER_ESP)} CS:RIP=${w(VMCS.HOST_IA32_SYSENTER_CS)}:${n(VMCS.HOST_IA32_SYSENTER_EIP)}`,
    `EFER = 0x${n(VMCS.HOST_IA32_EFER)}  PAT = 0x${n(VMCS.HOST_IA32_PAT)}`,
  ];
}

function controlState(vmcs: Vmcs, n: Reader, w: Reader): string[] {
  const lines = [
    '*** Control State ***',
    `PinBased=${w(VMCS.PIN_BASED_VM_EXECUTION_CONTROLS)} CPUBased=${w(VMCS.PRIMARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS)} SecondaryExec=${(secondaryControls(vmcs) >>> 0).toString(16).padStart(8, '0')}`,
    `EntryControls=${w(VMCS.VM_ENTRY_CONTROLS)} ExitControls=${w(VMCS.VM_EXIT_CONTROLS)}`,
    `ExceptionBitmap=${w(VMCS.EXCEPTION_BITMAP)} PFECmask=${w(VMCS.PAGE_FAULT_ERROR_CODE_MASK)} PFECmatch=${w(VMCS.PAGE_FAULT_ERROR_CODE_MATCH)}`,
    `VMEntry: intr_info=${w(VMCS.VM_ENTRY_INTERRUPTION_INFORMATION)} errcode=${w(VMCS.VM_ENTRY_EXCEPTION_ERROR_CODE)} ilen=${w(VMCS.VM_ENTRY_INSTRUCTION_LENGTH)}`,
    `VMExit: intr_info=${w(VMCS.VM_EXIT_INTERRUPTION_INFORMATION)} errcode=${w(VMCS.VM_EXIT_INTERRUPTION_ERROR_CODE)} ilen=${w(VMCS.VM_EXIT_INSTRUCTION_LENGTH)}`,
    `        reason=${w(VMCS.EXIT_REASON)} qualification=${n(VMCS.EXIT_QUALIFICATION)}`,
    `IDTVectoring: info=${w(VMCS.IDT_VECTORING_INFORMATION)} errcode=${w(VMCS.IDT_VECTORING_ERROR_CODE)}`,
    `TSC Offset = 0x${n(VMCS.TSC_OFFSET)}`,
  ];
  if (hasPrimary(vmcs, PRIMARY.USE_TPR_SHADOW))
    lines.push(`TPR Threshold = 0x${w(VMCS.TPR_THRESHOLD).slice(-2)}`);
  if (hasSecondary(vmcs, SECONDARY.VIRTUALIZE_APIC_ACCESSES))
    lines.push(
      `APIC-access addr = 0x${n(VMCS.APIC_ACCESS_ADDRESS)} virt-APIC addr = 0x${n(VMCS.VIRTUAL_APIC_ADDRESS)}`,
    );
  if (hasSecondary(vmcs, SECONDARY.ENABLE_EPT)) lines.push(`EPT pointer = 0x${n(VMCS.EPT_POINTER)}`);
  for (let index = 0; index < vmcs.unsigned(VMCS.CR3_TARGET_COUNT); index++)
    lines.push(`CR3 target${index}=${n(VMCS.CR3_TARGET_VALUE_0 + index * 2)}`);
  if (hasSecondary(vmcs, SECONDARY.ENABLE_VPID))
    lines.push(`Virtual processor ID = 0x${w(VMCS.VIRTUAL_PROCESSOR_IDENTIFIER).slice(-4)}`);
  return lines;
}

/** All of it, lines joined by newlines; there must be a current VMCS. */
export function dumpVmcs(vmcs: Vmcs): string {
  const natural: Reader = (field) => vmcs.value(field).toString(16).padStart(16, '0');
  const word: Reader = (field) => vmcs.unsigned(field).toString(16).padStart(8, '0');
  return [
    ...guestState(vmcs, natural, word),
    ...hostState(natural, word),
    ...controlState(vmcs, natural, word),
  ].join('\n');
}
