/** Checks on the host-state area (SDM Vol. 3C, 26.2.2 to 26.2.4); a broken rule is VM-instruction error 8. */

import { CR4, EFER } from '../../architecture/control-registers.js';
import { ENTRY_CONTROL, EXIT_CONTROL } from '../../architecture/vmx/controls.js';
import { fieldName, VMCS } from '../../architecture/vmx/vmcs-fields.js';
import { CR0_FIXED0, CR4_FIXED0, CR4_FIXED1 } from '../../architecture/vmx/vmx-capabilities.js';
import type { Vmcs } from '../vmcs.js';
import type { EntryRule, RuleSection } from './entry-rule.js';
import {
  EFER_SUPPORTED,
  exceedsPhysicalAddressWidth,
  hasEntryControl,
  hasExitControl,
  isInvalidPat,
  isNotCanonical,
} from './field-tests.js';

const hostIsLongMode = (v: Vmcs): boolean => hasExitControl(v, EXIT_CONTROL.HOST_ADDRESS_SPACE_SIZE);

const canonicalRule = (field: number): EntryRule => ({
  field,
  rule: `${fieldName(field)} must contain a canonical address`,
  broken: (v) => isNotCanonical(v.high(field)),
});

const loadsEfer = (v: Vmcs): boolean => hasExitControl(v, EXIT_CONTROL.LOAD_IA32_EFER);

export const HOST_REGISTER_RULES: RuleSection = {
  stage: 'host-state',
  section: '26.2.2',
  title: 'Checks on Host Control Registers, MSRs, and SSP',
  rules: [
    {
      field: VMCS.HOST_CR0,
      rule: 'CR0 must not set any bit to a value not supported in VMX operation',
      broken: (v) => (CR0_FIXED0 & ~v.low(VMCS.HOST_CR0)) !== 0 || v.high(VMCS.HOST_CR0) !== 0,
    },
    {
      field: VMCS.HOST_CR4,
      rule: 'CR4 must not set any bit to a value not supported in VMX operation',
      broken: (v) =>
        (CR4_FIXED0 & ~v.low(VMCS.HOST_CR4)) !== 0 ||
        (v.low(VMCS.HOST_CR4) & ~CR4_FIXED1) !== 0 ||
        v.high(VMCS.HOST_CR4) !== 0,
    },
    {
      field: VMCS.HOST_CR3,
      rule: 'bits of CR3 beyond the physical-address width must be 0',
      broken: (v) => exceedsPhysicalAddressWidth(v.high(VMCS.HOST_CR3)),
    },
    canonicalRule(VMCS.HOST_IA32_SYSENTER_ESP),
    canonicalRule(VMCS.HOST_IA32_SYSENTER_EIP),
    {
      field: VMCS.HOST_IA32_PAT,
      rule: 'if "load IA32_PAT" is 1, each byte of IA32_PAT must be 0, 1, 4, 5, 6 or 7',
      broken: (v) =>
        hasExitControl(v, EXIT_CONTROL.LOAD_IA32_PAT) &&
        isInvalidPat(v.low(VMCS.HOST_IA32_PAT), v.high(VMCS.HOST_IA32_PAT)),
    },
    {
      field: VMCS.HOST_IA32_EFER,
      rule: 'if "load IA32_EFER" is 1, bits reserved in IA32_EFER must be 0',
      broken: (v) =>
        loadsEfer(v) &&
        ((v.low(VMCS.HOST_IA32_EFER) & ~EFER_SUPPORTED) !== 0 || v.high(VMCS.HOST_IA32_EFER) !== 0),
    },
    {
      field: VMCS.HOST_IA32_EFER,
      rule: 'if "load IA32_EFER" is 1, LMA and LME must each equal "host address-space size"',
      broken: (v) =>
        loadsEfer(v) &&
        (v.low(VMCS.HOST_IA32_EFER) & (EFER.LMA | EFER.LME)) !==
          (hostIsLongMode(v) ? EFER.LMA | EFER.LME : 0),
    },
  ],
};

const selectorRule = (field: number): EntryRule => ({
  field,
  rule: `RPL (bits 1:0) and TI (bit 2) of ${fieldName(field)} must be 0`,
  broken: (v) => (v.low(field) & 7) !== 0,
});

const notNullRule = (field: number): EntryRule => ({
  field,
  rule: `${fieldName(field)} must not be 0000H`,
  broken: (v) => v.low(field) === 0,
});

export const HOST_SEGMENT_RULES: RuleSection = {
  stage: 'host-state',
  section: '26.2.3',
  title: 'Checks on Host Segment and Descriptor-Table Registers',
  rules: [
    selectorRule(VMCS.HOST_CS_SELECTOR),
    selectorRule(VMCS.HOST_SS_SELECTOR),
    selectorRule(VMCS.HOST_DS_SELECTOR),
    selectorRule(VMCS.HOST_ES_SELECTOR),
    selectorRule(VMCS.HOST_FS_SELECTOR),
    selectorRule(VMCS.HOST_GS_SELECTOR),
    selectorRule(VMCS.HOST_TR_SELECTOR),
    notNullRule(VMCS.HOST_CS_SELECTOR),
    notNullRule(VMCS.HOST_TR_SELECTOR),
    {
      field: VMCS.HOST_SS_SELECTOR,
      rule: 'HOST_SS_SELECTOR must not be 0000H if "host address-space size" is 0',
      broken: (v) => !hostIsLongMode(v) && v.low(VMCS.HOST_SS_SELECTOR) === 0,
    },
    canonicalRule(VMCS.HOST_FS_BASE),
    canonicalRule(VMCS.HOST_GS_BASE),
    canonicalRule(VMCS.HOST_TR_BASE),
    canonicalRule(VMCS.HOST_GDTR_BASE),
    canonicalRule(VMCS.HOST_IDTR_BASE),
  ],
};

/** Asked at every VM entry, as they look at the processor's mode. */
export const ADDRESS_SPACE_SIZE_RULES: RuleSection = {
  stage: 'host-state',
  section: '26.2.4',
  title: 'Checks Related to Address-Space Size',
  rules: [
    {
      field: VMCS.VM_ENTRY_CONTROLS,
      rule: 'outside IA-32e mode, "IA-32e mode guest" must be 0',
      broken: (v, { hostInLongMode }) =>
        !hostInLongMode && hasEntryControl(v, ENTRY_CONTROL.IA32E_MODE_GUEST),
    },
    {
      field: VMCS.VM_EXIT_CONTROLS,
      rule: 'outside IA-32e mode, "host address-space size" must be 0',
      broken: (v, { hostInLongMode }) => !hostInLongMode && hostIsLongMode(v),
    },
    {
      field: VMCS.VM_EXIT_CONTROLS,
      rule: 'in IA-32e mode, "host address-space size" must be 1',
      broken: (v, { hostInLongMode }) => hostInLongMode && !hostIsLongMode(v),
    },
    {
      field: VMCS.HOST_RIP,
      rule: 'if "host address-space size" is 0, bits 63:32 of RIP must be 0',
      broken: (v) => !hostIsLongMode(v) && v.high(VMCS.HOST_RIP) !== 0,
    },
    {
      field: VMCS.HOST_CR4,
      rule: 'if "host address-space size" is 1, CR4.PAE must be 1',
      broken: (v) => hostIsLongMode(v) && (v.low(VMCS.HOST_CR4) & CR4.PAE) === 0,
    },
    {
      field: VMCS.HOST_RIP,
      rule: 'if "host address-space size" is 1, RIP must contain a canonical address',
      broken: (v) => hostIsLongMode(v) && isNotCanonical(v.high(VMCS.HOST_RIP)),
    },
  ],
};
