/** Checks on guest RIP, RFLAGS, non-register state and PDPTEs (SDM Vol. 3C, 26.3.1.4 to 26.3.1.6). */

import { CR0, CR4 } from '../../architecture/control-registers.js';
import { ACCESS_RIGHTS } from '../../architecture/descriptors.js';
import { RFLAGS } from '../../architecture/rflags.js';
import { VECTOR } from '../../architecture/vectors.js';
import { PIN_BASED, SECONDARY } from '../../architecture/vmx/controls.js';
import { ACTIVITY, INTERRUPTIBILITY, PENDING_DEBUG } from '../../architecture/vmx/guest-state.js';
import {
  INTERRUPTION_TYPE,
  interruptionType,
  interruptionVector,
} from '../../architecture/vmx/interruption-information.js';
import { VMCS } from '../../architecture/vmx/vmcs-fields.js';
import { PHYSICAL_ADDRESS_WIDTH, VMCS_REVISION_IDENTIFIER } from '../../architecture/vmx/vmx-capabilities.js';
import { hostPhysical } from '../../memory/addresses.js';
import type { Vmcs } from '../vmcs.js';
import { injectsEvent } from './check-controls.js';
import type { EntryEnvironment, EntryRule, RuleSection } from './entry-rule.js';
import { exceedsPhysicalAddressWidth, hasSecondary, isLongModeGuest } from './field-tests.js';
import { RFLAGS_RESERVED } from './unusual-state.js';

const flags = (v: Vmcs): number => v.low(VMCS.GUEST_RFLAGS);
const injects = (v: Vmcs, type: number): boolean =>
  injectsEvent(v) && interruptionType(v.low(VMCS.VM_ENTRY_INTERRUPTION_INFORMATION)) === type;

const runs64BitCode = (v: Vmcs): boolean =>
  isLongModeGuest(v) && (v.low(VMCS.GUEST_CS_ACCESS_RIGHTS) & ACCESS_RIGHTS.LONG) !== 0;

export const GUEST_FLAG_RULES: RuleSection = {
  stage: 'guest-state',
  section: '26.3.1.4',
  title: 'Checks on Guest RIP, RFLAGS, and SSP',
  rules: [
    {
      field: VMCS.GUEST_RIP,
      rule: 'outside 64-bit mode, bits 63:32 of RIP must be 0',
      broken: (v) => !runs64BitCode(v) && v.high(VMCS.GUEST_RIP) !== 0,
    },
    {
      field: VMCS.GUEST_RIP,
      // RIP need not be canonical: bit 47 may differ.
      rule: 'in 64-bit mode, bits 63:48 of RIP must be identical',
      broken: (v) => {
        const upper = v.high(VMCS.GUEST_RIP) >> 16;
        return runs64BitCode(v) && upper !== 0 && upper !== -1;
      },
    },
    {
      field: VMCS.GUEST_RFLAGS,
      rule: 'reserved bits 63:22, 15, 5 and 3 of RFLAGS must be 0, and bit 1 must be 1',
      broken: (v) =>
        (flags(v) & RFLAGS_RESERVED) !== 0 ||
        v.high(VMCS.GUEST_RFLAGS) !== 0 ||
        (flags(v) & RFLAGS.FIXED) === 0,
    },
    {
      field: VMCS.GUEST_RFLAGS,
      rule: 'RFLAGS.VM must be 0 if "IA-32e mode guest" is 1 or CR0.PE is 0',
      broken: (v) =>
        (flags(v) & RFLAGS.VM) !== 0 && (isLongModeGuest(v) || (v.low(VMCS.GUEST_CR0) & CR0.PE) === 0),
    },
    {
      field: VMCS.GUEST_RFLAGS,
      rule: 'RFLAGS.IF must be 1 if an external interrupt is injected',
      broken: (v) => injects(v, INTERRUPTION_TYPE.EXTERNAL_INTERRUPT) && (flags(v) & RFLAGS.IF) === 0,
    },
  ],
};

const activity = (v: Vmcs): number => v.unsigned(VMCS.GUEST_ACTIVITY_STATE);
const blocking = (v: Vmcs): number => v.low(VMCS.GUEST_INTERRUPTIBILITY_STATE);
const STI_OR_MOV_SS = INTERRUPTIBILITY.BLOCKING_BY_STI | INTERRUPTIBILITY.BLOCKING_BY_MOV_SS;

/** Events that may be injected into the HLT state: external interrupts, NMIs, #DB and #MC. */
function mayInterruptHalt(v: Vmcs): boolean {
  const event = v.low(VMCS.VM_ENTRY_INTERRUPTION_INFORMATION);
  const vector = interruptionVector(event);
  switch (interruptionType(event)) {
    case INTERRUPTION_TYPE.EXTERNAL_INTERRUPT:
    case INTERRUPTION_TYPE.NMI:
      return true;
    case INTERRUPTION_TYPE.HARDWARE_EXCEPTION:
      return vector === VECTOR.DB || vector === VECTOR.MC;
    default:
      return false;
  }
}

const activityRules: EntryRule[] = [
  {
    field: VMCS.GUEST_ACTIVITY_STATE,
    rule: 'the activity state must be supported: active (0) or HLT (1)',
    broken: (v) => activity(v) > ACTIVITY.HLT,
  },
  {
    field: VMCS.GUEST_ACTIVITY_STATE,
    rule: 'the activity state must not be HLT if the DPL of SS is not 0',
    broken: (v) => activity(v) === ACTIVITY.HLT && ((v.low(VMCS.GUEST_SS_ACCESS_RIGHTS) >> 5) & 3) !== 0,
  },
  {
    field: VMCS.GUEST_ACTIVITY_STATE,
    rule: 'the activity state must be active while there is blocking by STI or by MOV SS',
    broken: (v) => activity(v) !== ACTIVITY.ACTIVE && (blocking(v) & STI_OR_MOV_SS) !== 0,
  },
  {
    field: VMCS.GUEST_ACTIVITY_STATE,
    rule: 'in the HLT state only external interrupts, NMIs, #DB and #MC may be injected',
    broken: (v) => activity(v) === ACTIVITY.HLT && injectsEvent(v) && !mayInterruptHalt(v),
  },
];

/** Exit qualification of a failure due to blocking by STI while an NMI is injected (26.8). */
const NMI_BLOCKED = 3;

const interruptibilityRules: EntryRule[] = [
  {
    field: VMCS.GUEST_INTERRUPTIBILITY_STATE,
    rule: 'reserved bits 31:5 of the interruptibility state must be 0, and bit 4 without SGX',
    broken: (v) => (blocking(v) & (INTERRUPTIBILITY.RESERVED | INTERRUPTIBILITY.ENCLAVE)) !== 0,
  },
  {
    field: VMCS.GUEST_INTERRUPTIBILITY_STATE,
    rule: 'there must not be blocking by STI and by MOV SS at once',
    broken: (v) => (blocking(v) & STI_OR_MOV_SS) === STI_OR_MOV_SS,
  },
  {
    field: VMCS.GUEST_INTERRUPTIBILITY_STATE,
    rule: 'there must be no blocking by STI if RFLAGS.IF is 0',
    broken: (v) => (blocking(v) & INTERRUPTIBILITY.BLOCKING_BY_STI) !== 0 && (flags(v) & RFLAGS.IF) === 0,
  },
  {
    field: VMCS.GUEST_INTERRUPTIBILITY_STATE,
    rule: 'there must be no blocking by STI or MOV SS if an external interrupt is injected',
    broken: (v) => (blocking(v) & STI_OR_MOV_SS) !== 0 && injects(v, INTERRUPTION_TYPE.EXTERNAL_INTERRUPT),
  },
  {
    field: VMCS.GUEST_INTERRUPTIBILITY_STATE,
    rule: 'there must be no blocking by MOV SS if an NMI is injected',
    broken: (v) =>
      (blocking(v) & INTERRUPTIBILITY.BLOCKING_BY_MOV_SS) !== 0 && injects(v, INTERRUPTION_TYPE.NMI),
  },
  {
    field: VMCS.GUEST_INTERRUPTIBILITY_STATE,
    rule: 'there must be no blocking by SMI outside system-management mode',
    broken: (v) => (blocking(v) & INTERRUPTIBILITY.BLOCKING_BY_SMI) !== 0,
  },
  {
    field: VMCS.GUEST_INTERRUPTIBILITY_STATE,
    rule: 'with "virtual NMIs", there must be no blocking by NMI if an NMI is injected',
    broken: (v) =>
      (blocking(v) & INTERRUPTIBILITY.BLOCKING_BY_NMI) !== 0 &&
      (v.low(VMCS.PIN_BASED_VM_EXECUTION_CONTROLS) & PIN_BASED.VIRTUAL_NMIS) !== 0 &&
      injects(v, INTERRUPTION_TYPE.NMI),
  },
  {
    field: VMCS.GUEST_INTERRUPTIBILITY_STATE,
    // The manual leaves this one to the processor.
    rule: 'there must be no blocking by STI if an NMI is injected',
    broken: (v) =>
      (blocking(v) & INTERRUPTIBILITY.BLOCKING_BY_STI) !== 0 && injects(v, INTERRUPTION_TYPE.NMI),
    qualification: NMI_BLOCKED,
  },
];

const pendingDebug = (v: Vmcs): number => v.low(VMCS.GUEST_PENDING_DEBUG_EXCEPTIONS);
const PENDING_DEBUG_RESERVED = ~(PENDING_DEBUG.B | PENDING_DEBUG.ENABLED_BREAKPOINT | PENDING_DEBUG.BS);
/** IA32_DEBUGCTL.BTF */
const SINGLE_STEP_ON_BRANCHES = 2;

/** A single-step trap must be pending exactly if the last instruction would have left one. */
const singleSteps = (v: Vmcs): boolean =>
  (flags(v) & RFLAGS.TF) !== 0 && (v.low(VMCS.GUEST_IA32_DEBUGCTL) & SINGLE_STEP_ON_BRANCHES) === 0;

const pendingDebugRules: EntryRule[] = [
  {
    field: VMCS.GUEST_PENDING_DEBUG_EXCEPTIONS,
    rule: 'reserved bits 11:4, 13 and 63:15 of the pending debug exceptions must be 0',
    broken: (v) =>
      (pendingDebug(v) & PENDING_DEBUG_RESERVED) !== 0 || v.high(VMCS.GUEST_PENDING_DEBUG_EXCEPTIONS) !== 0,
  },
  {
    field: VMCS.GUEST_PENDING_DEBUG_EXCEPTIONS,
    rule: 'under blocking by STI or MOV SS or in the HLT state, BS (bit 14) must be 1 exactly if RFLAGS.TF is 1 and IA32_DEBUGCTL.BTF is 0',
    broken: (v) =>
      ((blocking(v) & STI_OR_MOV_SS) !== 0 || activity(v) === ACTIVITY.HLT) &&
      ((pendingDebug(v) & PENDING_DEBUG.BS) !== 0) !== singleSteps(v),
  },
];

/** Exit qualification of a failure due to the VMCS link pointer (26.8). */
const LINK_POINTER = 4;
const hasLinkPointer = (v: Vmcs): boolean =>
  v.low(VMCS.VMCS_LINK_POINTER) !== -1 || v.high(VMCS.VMCS_LINK_POINTER) !== -1;

/** The 32 bits at the link pointer; undefined where there is no RAM. */
function linkedRevision(v: Vmcs, { memory }: EntryEnvironment): number | undefined {
  const address = v.number(VMCS.VMCS_LINK_POINTER);
  return memory.contains(address, 4) ? memory.read32(hostPhysical(address)) : undefined;
}

const linkPointerRules: EntryRule[] = [
  {
    field: VMCS.VMCS_LINK_POINTER,
    rule: 'bits 11:0 of the VMCS link pointer must be 0',
    broken: (v) => hasLinkPointer(v) && (v.low(VMCS.VMCS_LINK_POINTER) & 0xfff) !== 0,
    qualification: LINK_POINTER,
  },
  {
    field: VMCS.VMCS_LINK_POINTER,
    rule: "the VMCS link pointer must not set any bits beyond the processor's physical-address width",
    broken: (v) => hasLinkPointer(v) && exceedsPhysicalAddressWidth(v.high(VMCS.VMCS_LINK_POINTER)),
    qualification: LINK_POINTER,
  },
  {
    field: VMCS.VMCS_LINK_POINTER,
    rule: "the 32 bits at the VMCS link pointer must be the processor's VMCS revision identifier",
    broken: (v, environment) =>
      hasLinkPointer(v) && linkedRevision(v, environment) !== VMCS_REVISION_IDENTIFIER,
    qualification: LINK_POINTER,
  },
  {
    field: VMCS.VMCS_LINK_POINTER,
    rule: 'the VMCS link pointer must not be the current-VMCS pointer',
    broken: (v) => hasLinkPointer(v) && v.number(VMCS.VMCS_LINK_POINTER) === v.base * 4,
    qualification: LINK_POINTER,
  },
];

export const GUEST_NON_REGISTER_RULES: RuleSection = {
  stage: 'guest-state',
  section: '26.3.1.5',
  title: 'Checks on Guest Non-Register State',
  rules: [...activityRules, ...interruptibilityRules, ...pendingDebugRules, ...linkPointerRules],
};

/** PAE paging: CR0.PG and CR4.PAE are 1 and the guest is not in IA-32e mode. */
export const usesPaePaging = (v: Vmcs): boolean =>
  !isLongModeGuest(v) && (v.low(VMCS.GUEST_CR0) & CR0.PG) !== 0 && (v.low(VMCS.GUEST_CR4) & CR4.PAE) !== 0;

const PDPTE_FIELDS = [VMCS.GUEST_PDPTE0, VMCS.GUEST_PDPTE1, VMCS.GUEST_PDPTE2, VMCS.GUEST_PDPTE3];
/** Reserved bits of a present PDPTE: 2:1, 8:5 and those beyond the physical-address width (Vol. 3A, Table 4-8). */
const PDPTE_RESERVED = 0x1e6n | (((1n << 64n) - 1n) ^ ((1n << BigInt(PHYSICAL_ADDRESS_WIDTH)) - 1n));

function pdpteOf(v: Vmcs, index: number, { memory }: EntryEnvironment): bigint {
  if (hasSecondary(v, SECONDARY.ENABLE_EPT)) return v.value(PDPTE_FIELDS[index]!);
  const address = (v.unsigned(VMCS.GUEST_CR3) & ~31) + index * 8;
  return memory.contains(address, 8) ? memory.read64(hostPhysical(address)) : 0n;
}

/** Asked only for guests with PAE paging. */
export const GUEST_PDPTE_RULES: RuleSection = {
  stage: 'guest-state',
  section: '26.3.1.6',
  title: 'Checks on Guest Page-Directory-Pointer-Table Entries',
  rules: PDPTE_FIELDS.map((field, index) => ({
    field,
    rule: `reserved bits of PDPTE${index} must be 0 if its present bit is 1 (from the VMCS with EPT, otherwise from memory at CR3)`,
    broken: (v: Vmcs, environment: EntryEnvironment) => {
      const entry = pdpteOf(v, index, environment);
      return (entry & 1n) !== 0n && (entry & PDPTE_RESERVED) !== 0n;
    },
    qualification: 2,
  })),
};
