/** Checks on guest control registers, debug registers, MSRs and descriptor-table registers (SDM Vol. 3C, 26.3.1.1, 26.3.1.3). */

import { CR0, CR4, EFER } from '../../architecture/control-registers.js';
import { ENTRY_CONTROL } from '../../architecture/vmx/controls.js';
import { fieldName, VMCS } from '../../architecture/vmx/vmcs-fields.js';
import { CR0_FIXED0, CR4_FIXED0, CR4_FIXED1 } from '../../architecture/vmx/vmx-capabilities.js';
import type { Vmcs } from '../vmcs.js';
import type { EntryRule, RuleSection } from './entry-rule.js';
import {
  EFER_SUPPORTED,
  exceedsPhysicalAddressWidth,
  hasEntryControl,
  isInvalidPat,
  isLongModeGuest,
  isNotCanonical,
  isUnrestrictedGuest,
} from './field-tests.js';

/** IA32_DEBUGCTL bits that are not reserved on a Nehalem-class processor. */
export const DEBUGCTL_SUPPORTED = 0x7fc3;

const loadsDebugControls = (v: Vmcs): boolean => hasEntryControl(v, ENTRY_CONTROL.LOAD_DEBUG_CONTROLS);
const loadsEfer = (v: Vmcs): boolean => hasEntryControl(v, ENTRY_CONTROL.LOAD_IA32_EFER);

/** CR0 bits that must be 1; "unrestricted guest" frees PE and PG. */
const cr0MustBeOne = (v: Vmcs): number =>
  isUnrestrictedGuest(v) ? CR0_FIXED0 & ~(CR0.PE | CR0.PG) : CR0_FIXED0;

const canonicalRule = (field: number): EntryRule => ({
  field,
  rule: `${fieldName(field)} must contain a canonical address`,
  broken: (v) => isNotCanonical(v.high(field)),
});

export const GUEST_REGISTER_RULES: RuleSection = {
  stage: 'guest-state',
  section: '26.3.1.1',
  title: 'Checks on Guest Control Registers, Debug Registers, and MSRs',
  rules: [
    {
      field: VMCS.GUEST_CR0,
      rule: 'CR0 must not set any bit to a value not supported in VMX operation',
      broken: (v) => (cr0MustBeOne(v) & ~v.low(VMCS.GUEST_CR0)) !== 0 || v.high(VMCS.GUEST_CR0) !== 0,
    },
    {
      field: VMCS.GUEST_CR0,
      rule: 'if CR0.PG is 1, CR0.PE must be 1',
      broken: (v) => (v.low(VMCS.GUEST_CR0) & (CR0.PG | CR0.PE)) === (CR0.PG | 0),
    },
    {
      field: VMCS.GUEST_CR4,
      rule: 'CR4 must not set any bit to a value not supported in VMX operation',
      broken: (v) =>
        (CR4_FIXED0 & ~v.low(VMCS.GUEST_CR4)) !== 0 ||
        (v.low(VMCS.GUEST_CR4) & ~CR4_FIXED1) !== 0 ||
        v.high(VMCS.GUEST_CR4) !== 0,
    },
    {
      field: VMCS.GUEST_IA32_DEBUGCTL,
      rule: 'if "load debug controls" is 1, bits reserved in IA32_DEBUGCTL must be 0',
      broken: (v) =>
        loadsDebugControls(v) &&
        ((v.low(VMCS.GUEST_IA32_DEBUGCTL) & ~DEBUGCTL_SUPPORTED) !== 0 ||
          v.high(VMCS.GUEST_IA32_DEBUGCTL) !== 0),
    },
    {
      field: VMCS.GUEST_CR0,
      rule: 'if "IA-32e mode guest" is 1, CR0.PG must be 1',
      broken: (v) => isLongModeGuest(v) && (v.low(VMCS.GUEST_CR0) & CR0.PG) === 0,
    },
    {
      field: VMCS.GUEST_CR4,
      rule: 'if "IA-32e mode guest" is 1, CR4.PAE must be 1',
      broken: (v) => isLongModeGuest(v) && (v.low(VMCS.GUEST_CR4) & CR4.PAE) === 0,
    },
    {
      field: VMCS.GUEST_CR3,
      rule: 'bits of CR3 beyond the physical-address width must be 0',
      broken: (v) => exceedsPhysicalAddressWidth(v.high(VMCS.GUEST_CR3)),
    },
    {
      field: VMCS.GUEST_DR7,
      rule: 'if "load debug controls" is 1, bits 63:32 of DR7 must be 0',
      broken: (v) => loadsDebugControls(v) && v.high(VMCS.GUEST_DR7) !== 0,
    },
    canonicalRule(VMCS.GUEST_IA32_SYSENTER_ESP),
    canonicalRule(VMCS.GUEST_IA32_SYSENTER_EIP),
    {
      field: VMCS.GUEST_IA32_PAT,
      rule: 'if "load IA32_PAT" is 1, each byte of IA32_PAT must be 0, 1, 4, 5, 6 or 7',
      broken: (v) =>
        hasEntryControl(v, ENTRY_CONTROL.LOAD_IA32_PAT) &&
        isInvalidPat(v.low(VMCS.GUEST_IA32_PAT), v.high(VMCS.GUEST_IA32_PAT)),
    },
    {
      field: VMCS.GUEST_IA32_EFER,
      rule: 'if "load IA32_EFER" is 1, bits reserved in IA32_EFER must be 0',
      broken: (v) =>
        loadsEfer(v) &&
        ((v.low(VMCS.GUEST_IA32_EFER) & ~EFER_SUPPORTED) !== 0 || v.high(VMCS.GUEST_IA32_EFER) !== 0),
    },
    {
      field: VMCS.GUEST_IA32_EFER,
      rule: 'if "load IA32_EFER" is 1, LMA must equal "IA-32e mode guest"',
      broken: (v) => loadsEfer(v) && ((v.low(VMCS.GUEST_IA32_EFER) & EFER.LMA) !== 0) !== isLongModeGuest(v),
    },
    {
      field: VMCS.GUEST_IA32_EFER,
      rule: 'if "load IA32_EFER" is 1 and CR0.PG is 1, LMA must equal LME',
      broken: (v) => {
        const efer = v.low(VMCS.GUEST_IA32_EFER);
        return (
          loadsEfer(v) &&
          (v.low(VMCS.GUEST_CR0) & CR0.PG) !== 0 &&
          ((efer & EFER.LMA) !== 0) !== ((efer & EFER.LME) !== 0)
        );
      },
    },
  ],
};

const tableLimitRule = (field: number): EntryRule => ({
  field,
  rule: `bits 31:16 of ${fieldName(field)} must be 0`,
  broken: (v) => v.unsigned(field) > 0xffff,
});

export const GUEST_DESCRIPTOR_TABLE_RULES: RuleSection = {
  stage: 'guest-state',
  section: '26.3.1.3',
  title: 'Checks on Guest Descriptor-Table Registers',
  rules: [
    canonicalRule(VMCS.GUEST_GDTR_BASE),
    canonicalRule(VMCS.GUEST_IDTR_BASE),
    tableLimitRule(VMCS.GUEST_GDTR_LIMIT),
    tableLimitRule(VMCS.GUEST_IDTR_LIMIT),
  ],
};
