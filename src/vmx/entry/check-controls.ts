/** Checks on VMX controls (SDM Vol. 3C, 26.2.1); a broken rule is VM-instruction error 7. */

import { CR0 } from '../../architecture/control-registers.js';
import { VECTORS_WITH_ERROR_CODE } from '../../architecture/vectors.js';
import { EXIT_CONTROL, PIN_BASED, PRIMARY, SECONDARY } from '../../architecture/vmx/controls.js';
import { EPTP, MEMORY_TYPE } from '../../architecture/vmx/ept.js';
import {
  ENTRY_INTERRUPTION_RESERVED,
  INTERRUPTION_INFORMATION,
  INTERRUPTION_TYPE,
  interruptionType,
  interruptionValid,
  interruptionVector,
} from '../../architecture/vmx/interruption-information.js';
import { fieldName, VMCS } from '../../architecture/vmx/vmcs-fields.js';
import { CR3_TARGET_VALUES, PHYSICAL_ADDRESS_WIDTH } from '../../architecture/vmx/vmx-capabilities.js';
import { hostPhysical } from '../../memory/addresses.js';
import type { Vmcs } from '../vmcs.js';
import type { EntryRule, RuleSection } from './entry-rule.js';
import {
  exceedsPhysicalAddressWidth,
  hasPrimary,
  hasSecondary,
  isUnrestrictedGuest,
  violates,
} from './field-tests.js';

const PIN = VMCS.PIN_BASED_VM_EXECUTION_CONTROLS;
const PROCESSOR = VMCS.PRIMARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS;
const PROCESSOR_2 = VMCS.SECONDARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS;

/** A page that the processor uses under a control: 4-KByte aligned, within the physical-address width. */
function pageRules(field: number, applies: (vmcs: Vmcs) => boolean): EntryRule[] {
  const name = fieldName(field);
  return [
    {
      field,
      rule: `bits 11:0 of ${name} must be 0`,
      broken: (v) => applies(v) && (v.low(field) & 0xfff) !== 0,
    },
    {
      field,
      rule: `${name} must not set any bits beyond the processor's physical-address width`,
      broken: (v) => applies(v) && exceedsPhysicalAddressWidth(v.high(field)),
    },
  ];
}

const usesIoBitmaps = (v: Vmcs): boolean => hasPrimary(v, PRIMARY.USE_IO_BITMAPS);
const usesMsrBitmaps = (v: Vmcs): boolean => hasPrimary(v, PRIMARY.USE_MSR_BITMAPS);
const usesTprShadow = (v: Vmcs): boolean => hasPrimary(v, PRIMARY.USE_TPR_SHADOW);
const virtualizesApic = (v: Vmcs): boolean => hasSecondary(v, SECONDARY.VIRTUALIZE_APIC_ACCESSES);
const deliversInterrupts = (v: Vmcs): boolean => hasSecondary(v, SECONDARY.VIRTUAL_INTERRUPT_DELIVERY);
const processesPosted = (v: Vmcs): boolean => (v.low(PIN) & PIN_BASED.PROCESS_POSTED_INTERRUPTS) !== 0;
const usesEpt = (v: Vmcs): boolean => hasSecondary(v, SECONDARY.ENABLE_EPT);

export const EXECUTION_CONTROL_RULES: RuleSection = {
  stage: 'controls',
  section: '26.2.1.1',
  title: 'VM-Execution Control Fields',
  rules: [
    {
      field: PIN,
      rule: 'reserved bits in the pin-based VM-execution controls must be set properly',
      broken: (v, { capabilities }) => violates(capabilities.controls.pinBased, v.low(PIN)),
    },
    {
      field: PROCESSOR,
      rule: 'reserved bits in the primary processor-based VM-execution controls must be set properly',
      broken: (v, { capabilities }) => violates(capabilities.controls.primary, v.low(PROCESSOR)),
    },
    {
      field: PROCESSOR_2,
      rule: 'if "activate secondary controls" is 1, reserved bits in the secondary processor-based VM-execution controls must be cleared',
      broken: (v, { capabilities }) =>
        hasPrimary(v, PRIMARY.ACTIVATE_SECONDARY_CONTROLS) &&
        violates(capabilities.controls.secondary, v.low(PROCESSOR_2)),
    },
    {
      field: VMCS.CR3_TARGET_COUNT,
      rule: `the CR3-target count must not be greater than ${CR3_TARGET_VALUES}`,
      broken: (v) => v.unsigned(VMCS.CR3_TARGET_COUNT) > CR3_TARGET_VALUES,
    },
    ...pageRules(VMCS.ADDRESS_OF_IO_BITMAP_A, usesIoBitmaps),
    ...pageRules(VMCS.ADDRESS_OF_IO_BITMAP_B, usesIoBitmaps),
    ...pageRules(VMCS.ADDRESS_OF_MSR_BITMAPS, usesMsrBitmaps),
    ...pageRules(VMCS.VIRTUAL_APIC_ADDRESS, usesTprShadow),
    {
      field: VMCS.TPR_THRESHOLD,
      rule: 'if "use TPR shadow" is 1 and "virtual-interrupt delivery" is 0, bits 31:4 of the TPR threshold must be 0',
      broken: (v) => usesTprShadow(v) && !deliversInterrupts(v) && (v.low(VMCS.TPR_THRESHOLD) & ~15) !== 0,
    },
    {
      field: PIN,
      rule: 'if "NMI exiting" is 0, "virtual NMIs" must be 0',
      broken: (v) =>
        (v.low(PIN) & (PIN_BASED.NMI_EXITING | PIN_BASED.VIRTUAL_NMIS)) === PIN_BASED.VIRTUAL_NMIS,
    },
    {
      field: PROCESSOR,
      rule: 'if "virtual NMIs" is 0, "NMI-window exiting" must be 0',
      broken: (v) => (v.low(PIN) & PIN_BASED.VIRTUAL_NMIS) === 0 && hasPrimary(v, PRIMARY.NMI_WINDOW_EXITING),
    },
    {
      field: PROCESSOR_2,
      rule: 'if "use TPR shadow" is 0, "virtualize x2APIC mode", "APIC-register virtualization" and "virtual-interrupt delivery" must be 0',
      broken: (v) =>
        !usesTprShadow(v) &&
        hasSecondary(
          v,
          SECONDARY.VIRTUALIZE_X2APIC_MODE |
            SECONDARY.APIC_REGISTER_VIRTUALIZATION |
            SECONDARY.VIRTUAL_INTERRUPT_DELIVERY,
        ),
    },
    {
      field: PROCESSOR_2,
      rule: 'if "virtualize x2APIC mode" is 1, "virtualize APIC accesses" must be 0',
      broken: (v) => virtualizesApic(v) && hasSecondary(v, SECONDARY.VIRTUALIZE_X2APIC_MODE),
    },
    {
      field: PIN,
      rule: 'if "virtual-interrupt delivery" is 1, "external-interrupt exiting" must be 1',
      broken: (v) => deliversInterrupts(v) && (v.low(PIN) & PIN_BASED.EXTERNAL_INTERRUPT_EXITING) === 0,
    },
    {
      field: PIN,
      rule: 'if "process posted interrupts" is 1, "virtual-interrupt delivery" must be 1',
      broken: (v) => processesPosted(v) && !deliversInterrupts(v),
    },
    {
      field: VMCS.VM_EXIT_CONTROLS,
      rule: 'if "process posted interrupts" is 1, "acknowledge interrupt on exit" must be 1',
      broken: (v) =>
        processesPosted(v) &&
        (v.low(VMCS.VM_EXIT_CONTROLS) & EXIT_CONTROL.ACKNOWLEDGE_INTERRUPT_ON_EXIT) === 0,
    },
    {
      field: VMCS.POSTED_INTERRUPT_NOTIFICATION_VECTOR,
      rule: 'if "process posted interrupts" is 1, bits 15:8 of the notification vector must be 0',
      broken: (v) => processesPosted(v) && v.low(VMCS.POSTED_INTERRUPT_NOTIFICATION_VECTOR) > 0xff,
    },
    {
      field: VMCS.POSTED_INTERRUPT_DESCRIPTOR_ADDRESS,
      rule: 'if "process posted interrupts" is 1, bits 5:0 of the descriptor address must be 0, and none may be set beyond the physical-address width',
      broken: (v) =>
        processesPosted(v) &&
        ((v.low(VMCS.POSTED_INTERRUPT_DESCRIPTOR_ADDRESS) & 63) !== 0 ||
          exceedsPhysicalAddressWidth(v.high(VMCS.POSTED_INTERRUPT_DESCRIPTOR_ADDRESS))),
    },
    ...pageRules(VMCS.APIC_ACCESS_ADDRESS, virtualizesApic),
    {
      field: VMCS.VIRTUAL_PROCESSOR_IDENTIFIER,
      rule: 'if "enable VPID" is 1, the VPID must not be 0000H',
      broken: (v) => hasSecondary(v, SECONDARY.ENABLE_VPID) && v.low(VMCS.VIRTUAL_PROCESSOR_IDENTIFIER) === 0,
    },
    {
      field: VMCS.EPT_POINTER,
      rule: 'if "enable EPT" is 1, the EPT memory type (bits 2:0) must be uncacheable (0) or write-back (6)',
      broken: (v) => {
        const type = v.low(VMCS.EPT_POINTER) & EPTP.MEMORY_TYPE;
        return usesEpt(v) && type !== MEMORY_TYPE.UC && type !== MEMORY_TYPE.WB;
      },
    },
    {
      field: VMCS.EPT_POINTER,
      rule: 'if "enable EPT" is 1, bits 5:3 of the EPTP (page-walk length minus 1) must be 3',
      broken: (v) => usesEpt(v) && ((v.low(VMCS.EPT_POINTER) >> EPTP.WALK_LENGTH_SHIFT) & 7) !== 3,
    },
    {
      field: VMCS.EPT_POINTER,
      rule: 'bit 6 of the EPTP must be 0 as the processor has no accessed and dirty flags for EPT',
      broken: (v) => usesEpt(v) && (v.low(VMCS.EPT_POINTER) & EPTP.ACCESSED_DIRTY) !== 0,
    },
    {
      field: VMCS.EPT_POINTER,
      rule: `reserved bits 11:7 and 63:${PHYSICAL_ADDRESS_WIDTH} of the EPTP must be 0`,
      broken: (v) =>
        usesEpt(v) &&
        ((v.low(VMCS.EPT_POINTER) & EPTP.RESERVED_LOW) !== 0 ||
          exceedsPhysicalAddressWidth(v.high(VMCS.EPT_POINTER))),
    },
    {
      field: PROCESSOR_2,
      rule: 'if "unrestricted guest" is 1, "enable EPT" must be 1',
      broken: (v) => isUnrestrictedGuest(v) && !usesEpt(v),
    },
  ],
};

/** Offset of VTPR within the virtual-APIC page (29.1.1). */
const VIRTUAL_TPR = 0x80;

/** The TPR threshold is compared with VTPR at every VM entry. */
export const comparesVirtualTpr = (v: Vmcs): boolean =>
  usesTprShadow(v) && !virtualizesApic(v) && !deliversInterrupts(v);

/** The one rule of 26.2.1.1 that looks at memory, so that it has to be asked at every VM entry. */
export const VIRTUAL_TPR_RULES: RuleSection = {
  stage: 'controls',
  section: '26.2.1.1',
  title: 'VM-Execution Control Fields',
  rules: [
    {
      field: VMCS.TPR_THRESHOLD,
      rule: 'if "use TPR shadow" is 1, and "virtualize APIC accesses" and "virtual-interrupt delivery" are 0, the TPR threshold must not be greater than bits 7:4 of VTPR',
      broken: (v, { memory }) => {
        if (!comparesVirtualTpr(v)) return false;
        const address = v.number(VMCS.VIRTUAL_APIC_ADDRESS) + VIRTUAL_TPR;
        const priority = memory.contains(address, 4) ? (memory.read8(hostPhysical(address)) >> 4) & 15 : 15;
        return (v.low(VMCS.TPR_THRESHOLD) & 15) > priority;
      },
    },
  ],
};

/** An MSR area of `count` 16-byte entries: aligned, and within the physical-address width to its last byte. */
function msrAreaRules(address: number, count: number): EntryRule[] {
  const name = fieldName(address);
  const limit = 2 ** PHYSICAL_ADDRESS_WIDTH;
  return [
    {
      field: address,
      rule: `if ${fieldName(count)} is not 0, bits 3:0 of ${name} must be 0`,
      broken: (v) => v.low(count) !== 0 && (v.low(address) & 15) !== 0,
    },
    {
      field: address,
      rule: `${name} must not set any bits beyond the processor's physical-address width`,
      broken: (v) => v.low(count) !== 0 && exceedsPhysicalAddressWidth(v.high(address)),
    },
    {
      field: address,
      rule: `the last byte of the area at ${name} must be within the processor's physical-address width`,
      broken: (v) => v.low(count) !== 0 && v.number(address) + v.unsigned(count) * 16 - 1 >= limit,
    },
  ];
}

export const EXIT_CONTROL_RULES: RuleSection = {
  stage: 'controls',
  section: '26.2.1.2',
  title: 'VM-Exit Control Fields',
  rules: [
    {
      field: VMCS.VM_EXIT_CONTROLS,
      rule: 'reserved bits in the VM-exit controls must be set properly',
      broken: (v, { capabilities }) => violates(capabilities.controls.exit, v.low(VMCS.VM_EXIT_CONTROLS)),
    },
    {
      field: VMCS.VM_EXIT_CONTROLS,
      rule: 'if "activate VMX-preemption timer" is 0, "save VMX-preemption timer value" must be 0',
      broken: (v) =>
        (v.low(VMCS.VM_EXIT_CONTROLS) & EXIT_CONTROL.SAVE_VMX_PREEMPTION_TIMER) !== 0 &&
        (v.low(PIN) & PIN_BASED.ACTIVATE_VMX_PREEMPTION_TIMER) === 0,
    },
    ...msrAreaRules(VMCS.VM_EXIT_MSR_STORE_ADDRESS, VMCS.VM_EXIT_MSR_STORE_COUNT),
    ...msrAreaRules(VMCS.VM_EXIT_MSR_LOAD_ADDRESS, VMCS.VM_EXIT_MSR_LOAD_COUNT),
  ],
};

export const ENTRY_CONTROL_RULES: RuleSection = {
  stage: 'controls',
  section: '26.2.1.3',
  title: 'VM-Entry Control Fields',
  rules: [
    {
      field: VMCS.VM_ENTRY_CONTROLS,
      rule: 'reserved bits in the VM-entry controls must be set properly',
      broken: (v, { capabilities }) => violates(capabilities.controls.entry, v.low(VMCS.VM_ENTRY_CONTROLS)),
    },
    ...msrAreaRules(VMCS.VM_ENTRY_MSR_LOAD_ADDRESS, VMCS.VM_ENTRY_MSR_LOAD_COUNT),
  ],
};

const EVENT = VMCS.VM_ENTRY_INTERRUPTION_INFORMATION;
const eventType = (v: Vmcs): number => interruptionType(v.low(EVENT));
const eventVector = (v: Vmcs): number => interruptionVector(v.low(EVENT));
const deliversErrorCode = (v: Vmcs): boolean => (v.low(EVENT) & INTERRUPTION_INFORMATION.ERROR_CODE) !== 0;

/** Hardware exceptions with an error code have one injected, except into real-address mode. */
function needsErrorCode(v: Vmcs): boolean {
  return (
    (!isUnrestrictedGuest(v) || (v.low(VMCS.GUEST_CR0) & CR0.PE) !== 0) &&
    eventType(v) === INTERRUPTION_TYPE.HARDWARE_EXCEPTION &&
    VECTORS_WITH_ERROR_CODE.has(eventVector(v))
  );
}

function hasInstructionLength(v: Vmcs): boolean {
  const type = eventType(v);
  return (
    type === INTERRUPTION_TYPE.SOFTWARE_INTERRUPT ||
    type === INTERRUPTION_TYPE.PRIVILEGED_SOFTWARE_EXCEPTION ||
    type === INTERRUPTION_TYPE.SOFTWARE_EXCEPTION
  );
}

/** Asked only when the valid bit of the field is 1. */
export const ENTRY_EVENT_RULES: RuleSection = {
  stage: 'controls',
  section: '26.2.1.3',
  title: 'VM-Entry Control Fields',
  rules: [
    {
      field: EVENT,
      rule: 'the interruption type (bits 10:8) must not be reserved (1), nor 7 without the monitor trap flag',
      broken: (v) => eventType(v) === 1 || eventType(v) === INTERRUPTION_TYPE.OTHER_EVENT,
    },
    {
      field: EVENT,
      rule: 'the vector must be 2 if the interruption type is non-maskable interrupt',
      broken: (v) => eventType(v) === INTERRUPTION_TYPE.NMI && eventVector(v) !== 2,
    },
    {
      field: EVENT,
      rule: 'the vector must be at most 31 if the interruption type is hardware exception',
      broken: (v) => eventType(v) === INTERRUPTION_TYPE.HARDWARE_EXCEPTION && eventVector(v) > 31,
    },
    {
      field: EVENT,
      rule: 'the deliver-error-code bit must be 1 exactly for a hardware exception that delivers an error code',
      broken: (v) => deliversErrorCode(v) !== needsErrorCode(v),
    },
    {
      field: EVENT,
      rule: 'reserved bits 30:12 must be 0',
      broken: (v) => (v.low(EVENT) & ENTRY_INTERRUPTION_RESERVED) !== 0,
    },
    {
      field: VMCS.VM_ENTRY_EXCEPTION_ERROR_CODE,
      rule: 'if an error code is delivered, bits 31:16 of the VM-entry exception error code must be 0',
      broken: (v) => deliversErrorCode(v) && v.unsigned(VMCS.VM_ENTRY_EXCEPTION_ERROR_CODE) > 0xffff,
    },
    {
      field: VMCS.VM_ENTRY_INSTRUCTION_LENGTH,
      rule: 'for software interrupts and exceptions the VM-entry instruction length must be in the range 1 to 15',
      broken: (v) => {
        const length = v.unsigned(VMCS.VM_ENTRY_INSTRUCTION_LENGTH);
        return hasInstructionLength(v) && (length < 1 || length > 15);
      },
    },
  ],
};

/** An event is to be injected. */
export const injectsEvent = (v: Vmcs): boolean => interruptionValid(v.low(EVENT));
