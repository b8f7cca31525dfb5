/** One case per rule of SDM Vol. 3C, 26.2 and 26.3: a VMCS that enters successfully, with one thing broken. */

import { describe, expect, it } from 'vitest';
import {
  ENTRY_CONTROL,
  EXIT_CONTROL,
  PIN_BASED,
  PRIMARY,
  SECONDARY,
} from '../../src/architecture/vmx/controls.js';
import { EXIT_REASON } from '../../src/architecture/vmx/exit-reasons.js';
import { fieldName, VMCS, type VmxFeature } from '../../src/architecture/vmx/vmcs-fields.js';
import { hostPhysical } from '../../src/memory/addresses.js';
import { ALL_RULE_SECTIONS } from '../../src/vmx/entry/vm-entry.js';
import {
  APIC_ACCESS_PAGE,
  activateSecondary,
  createVmxMachine,
  enableEpt,
  MSR_AREA,
  VIRTUAL_APIC_PAGE,
  VMCS_REGION,
  type VmxMachine,
} from './vmx-machine.js';

interface Case {
  /** Section number and part of the rule's text. */
  readonly section: string;
  readonly rule: RegExp;
  readonly field: number;
  readonly breakIt: (machine: VmxMachine) => void;
  /** Of the processor. */
  readonly features?: readonly VmxFeature[];
  /** For guest state: the exit qualification. */
  readonly qualification?: bigint;
}

const PIN = VMCS.PIN_BASED_VM_EXECUTION_CONTROLS;
const PRIMARY_FIELD = VMCS.PRIMARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS;
const SECONDARY_FIELD = VMCS.SECONDARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS;
const BEYOND = 1n << 40n;
const NOT_CANONICAL = 0x0000_8000_0000_0000n;

const useTprShadow = (m: VmxMachine): void => {
  m.change(PRIMARY_FIELD, PRIMARY.USE_TPR_SHADOW);
  m.write(VMCS.VIRTUAL_APIC_ADDRESS, VIRTUAL_APIC_PAGE);
};

const APICV: readonly VmxFeature[] = ['apicVirtualization'];
const deliverVirtualInterrupts = (m: VmxMachine): void => {
  useTprShadow(m);
  activateSecondary(m, SECONDARY.VIRTUAL_INTERRUPT_DELIVERY);
  m.change(PIN, PIN_BASED.EXTERNAL_INTERRUPT_EXITING);
};
const processPostedInterrupts = (m: VmxMachine): void => {
  deliverVirtualInterrupts(m);
  m.change(PIN, PIN_BASED.PROCESS_POSTED_INTERRUPTS);
  m.change(VMCS.VM_EXIT_CONTROLS, EXIT_CONTROL.ACKNOWLEDGE_INTERRUPT_ON_EXIT);
  m.write(VMCS.POSTED_INTERRUPT_DESCRIPTOR_ADDRESS, MSR_AREA);
};

/** The two rules that every 4-KByte page has. */
function pageCases(field: number, enable: (m: VmxMachine) => void): Case[] {
  return [
    {
      section: '26.2.1.1',
      rule: /bits 11:0 of/,
      field,
      breakIt: (m) => {
        enable(m);
        m.write(field, 0x20001);
      },
    },
    {
      section: '26.2.1.1',
      rule: /physical-address width/,
      field,
      breakIt: (m) => {
        enable(m);
        m.write(field, BEYOND);
      },
    },
  ];
}

const executionControls: Case[] = [
  { section: '26.2.1.1', rule: /pin-based/, field: PIN, breakIt: (m) => m.change(PIN, 0, 2) },
  {
    section: '26.2.1.1',
    rule: /pin-based/,
    field: PIN,
    breakIt: (m) => m.change(PIN, PIN_BASED.PROCESS_POSTED_INTERRUPTS),
  },
  {
    section: '26.2.1.1',
    rule: /bits in the primary/,
    field: PRIMARY_FIELD,
    breakIt: (m) => m.change(PRIMARY_FIELD, 1),
  },
  {
    section: '26.2.1.1',
    rule: /bits in the primary/,
    field: PRIMARY_FIELD,
    breakIt: (m) => m.change(PRIMARY_FIELD, 0, 1 << 8),
  },
  {
    section: '26.2.1.1',
    rule: /secondary .* must be cleared/,
    field: SECONDARY_FIELD,
    breakIt: (m) => activateSecondary(m, 0x80000000),
  },
  {
    section: '26.2.1.1',
    rule: /CR3-target count/,
    field: VMCS.CR3_TARGET_COUNT,
    breakIt: (m) => m.write(VMCS.CR3_TARGET_COUNT, 5),
  },
  ...pageCases(VMCS.ADDRESS_OF_IO_BITMAP_A, () => {}),
  ...pageCases(VMCS.ADDRESS_OF_IO_BITMAP_B, () => {}),
  ...pageCases(VMCS.ADDRESS_OF_MSR_BITMAPS, () => {}),
  ...pageCases(VMCS.VIRTUAL_APIC_ADDRESS, useTprShadow),
  {
    section: '26.2.1.1',
    rule: /if "use TPR shadow" is 0/,
    field: SECONDARY_FIELD,
    features: APICV,
    breakIt: (m) => activateSecondary(m, SECONDARY.APIC_REGISTER_VIRTUALIZATION),
  },
  {
    section: '26.2.1.1',
    rule: /"virtualize APIC accesses" must be 0/,
    field: SECONDARY_FIELD,
    features: APICV,
    breakIt: (m) => {
      useTprShadow(m);
      activateSecondary(m, SECONDARY.VIRTUALIZE_APIC_ACCESSES | SECONDARY.VIRTUALIZE_X2APIC_MODE);
    },
  },
  {
    section: '26.2.1.1',
    rule: /"external-interrupt exiting" must be 1/,
    field: PIN,
    features: APICV,
    breakIt: (m) => {
      deliverVirtualInterrupts(m);
      m.change(PIN, 0, PIN_BASED.EXTERNAL_INTERRUPT_EXITING);
    },
  },
  {
    section: '26.2.1.1',
    rule: /"virtual-interrupt delivery" must be 1/,
    field: PIN,
    features: APICV,
    breakIt: (m) => {
      processPostedInterrupts(m);
      m.change(SECONDARY_FIELD, 0, SECONDARY.VIRTUAL_INTERRUPT_DELIVERY);
    },
  },
  {
    section: '26.2.1.1',
    rule: /"acknowledge interrupt on exit" must be 1/,
    field: VMCS.VM_EXIT_CONTROLS,
    features: APICV,
    breakIt: (m) => {
      processPostedInterrupts(m);
      m.change(VMCS.VM_EXIT_CONTROLS, 0, EXIT_CONTROL.ACKNOWLEDGE_INTERRUPT_ON_EXIT);
    },
  },
  {
    section: '26.2.1.1',
    rule: /notification vector/,
    field: VMCS.POSTED_INTERRUPT_NOTIFICATION_VECTOR,
    features: APICV,
    breakIt: (m) => {
      processPostedInterrupts(m);
      m.write(VMCS.POSTED_INTERRUPT_NOTIFICATION_VECTOR, 0x1f2);
    },
  },
  ...[0x25020n, BEYOND].map(
    (address): Case => ({
      section: '26.2.1.1',
      rule: /descriptor address/,
      field: VMCS.POSTED_INTERRUPT_DESCRIPTOR_ADDRESS,
      features: APICV,
      breakIt: (m) => {
        processPostedInterrupts(m);
        m.write(VMCS.POSTED_INTERRUPT_DESCRIPTOR_ADDRESS, address);
      },
    }),
  ),
  ...pageCases(VMCS.APIC_ACCESS_ADDRESS, (m) => activateSecondary(m, SECONDARY.VIRTUALIZE_APIC_ACCESSES)),
  {
    section: '26.2.1.1',
    rule: /bits 31:4 of the TPR threshold/,
    field: VMCS.TPR_THRESHOLD,
    breakIt: (m) => {
      useTprShadow(m);
      m.write(VMCS.TPR_THRESHOLD, 16);
    },
  },
  {
    section: '26.2.1.1',
    rule: /greater than bits 7:4 of VTPR/,
    field: VMCS.TPR_THRESHOLD,
    breakIt: (m) => {
      useTprShadow(m);
      m.memory.write32(hostPhysical(VIRTUAL_APIC_PAGE + 0x80), 0x4f);
      m.write(VMCS.TPR_THRESHOLD, 5);
    },
  },
  {
    section: '26.2.1.1',
    rule: /"virtual NMIs" must be 0/,
    field: PIN,
    breakIt: (m) => m.change(PIN, PIN_BASED.VIRTUAL_NMIS),
  },
  {
    section: '26.2.1.1',
    rule: /"NMI-window exiting" must be 0/,
    field: PRIMARY_FIELD,
    breakIt: (m) => m.change(PRIMARY_FIELD, PRIMARY.NMI_WINDOW_EXITING),
  },
  {
    section: '26.2.1.1',
    rule: /VPID must not be 0000H/,
    field: VMCS.VIRTUAL_PROCESSOR_IDENTIFIER,
    breakIt: (m) => activateSecondary(m, SECONDARY.ENABLE_VPID),
  },
  ...(
    [
      [/EPT memory type/, 6n, 1n],
      [/page-walk length/, 0x38n, 0x10n],
      [/bit 6 of the EPTP/, 0n, 0x40n],
      [/reserved bits 11:7/, 0n, 0x80n],
      [/reserved bits 11:7/, 0n, BEYOND],
    ] as const
  ).map(
    ([rule, clear, set]): Case => ({
      section: '26.2.1.1',
      rule,
      field: VMCS.EPT_POINTER,
      breakIt: (m) => {
        enableEpt(m);
        m.write(VMCS.EPT_POINTER, (m.read(VMCS.EPT_POINTER) & ~clear) | set);
      },
    }),
  ),
  {
    section: '26.2.1.1',
    rule: /"enable EPT" must be 1/,
    field: SECONDARY_FIELD,
    breakIt: (m) => activateSecondary(m, SECONDARY.UNRESTRICTED_GUEST),
  },
];

function msrAreaCases(section: string, address: number, count: number): Case[] {
  const withCount = (value: bigint, entries: number) => (m: VmxMachine) => {
    m.write(address, value);
    m.write(count, entries);
  };
  return [
    { section, rule: /bits 3:0 of/, field: address, breakIt: withCount(BigInt(MSR_AREA + 8), 1) },
    { section, rule: /must not set any bits beyond/, field: address, breakIt: withCount(BEYOND, 1) },
    { section, rule: /last byte of the area/, field: address, breakIt: withCount(BEYOND - 16n, 2) },
  ];
}

const exitAndEntryControls: Case[] = [
  {
    section: '26.2.1.2',
    rule: /VM-exit controls/,
    field: VMCS.VM_EXIT_CONTROLS,
    breakIt: (m) => m.change(VMCS.VM_EXIT_CONTROLS, 0, 1),
  },
  {
    section: '26.2.1.2',
    rule: /VM-exit controls/,
    field: VMCS.VM_EXIT_CONTROLS,
    breakIt: (m) => m.change(VMCS.VM_EXIT_CONTROLS, EXIT_CONTROL.SAVE_VMX_PREEMPTION_TIMER),
  },
  {
    section: '26.2.1.2',
    rule: /"save VMX-preemption timer value" must be 0/,
    field: VMCS.VM_EXIT_CONTROLS,
    features: ['preemptionTimer'],
    breakIt: (m) => m.change(VMCS.VM_EXIT_CONTROLS, EXIT_CONTROL.SAVE_VMX_PREEMPTION_TIMER),
  },
  ...msrAreaCases('26.2.1.2', VMCS.VM_EXIT_MSR_STORE_ADDRESS, VMCS.VM_EXIT_MSR_STORE_COUNT),
  ...msrAreaCases('26.2.1.2', VMCS.VM_EXIT_MSR_LOAD_ADDRESS, VMCS.VM_EXIT_MSR_LOAD_COUNT),
  {
    section: '26.2.1.3',
    rule: /VM-entry controls/,
    field: VMCS.VM_ENTRY_CONTROLS,
    breakIt: (m) => m.change(VMCS.VM_ENTRY_CONTROLS, ENTRY_CONTROL.ENTRY_TO_SMM),
  },
  {
    section: '26.2.1.3',
    rule: /VM-entry controls/,
    field: VMCS.VM_ENTRY_CONTROLS,
    breakIt: (m) => m.change(VMCS.VM_ENTRY_CONTROLS, 0, 1),
  },
  ...msrAreaCases('26.2.1.3', VMCS.VM_ENTRY_MSR_LOAD_ADDRESS, VMCS.VM_ENTRY_MSR_LOAD_COUNT),
  ...(
    [
      [/must not be reserved/, 0x80000100],
      [/must not be reserved/, 0x80000700],
      [/vector must be 2/, 0x80000203],
      [/at most 31/, 0x80000320],
      // #GP without error code, #UD with one, external interrupt with one
      [/deliver-error-code/, 0x8000030d],
      [/deliver-error-code/, 0x80000b06],
      [/deliver-error-code/, 0x80000820],
      [/bits 30:12/, 0x80001020],
    ] as const
  ).map(
    ([rule, value]): Case => ({
      section: '26.2.1.3',
      rule,
      field: VMCS.VM_ENTRY_INTERRUPTION_INFORMATION,
      breakIt: (m) => m.write(VMCS.VM_ENTRY_INTERRUPTION_INFORMATION, value),
    }),
  ),
  {
    section: '26.2.1.3',
    rule: /bits 31:16 of the VM-entry exception error code/,
    field: VMCS.VM_ENTRY_EXCEPTION_ERROR_CODE,
    breakIt: (m) => {
      m.write(VMCS.VM_ENTRY_INTERRUPTION_INFORMATION, 0x80000b0d);
      m.write(VMCS.VM_ENTRY_EXCEPTION_ERROR_CODE, 0x10000);
    },
  },
  ...[0, 16].flatMap((length) =>
    [4, 5, 6].map(
      (type): Case => ({
        section: '26.2.1.3',
        rule: /instruction length/,
        field: VMCS.VM_ENTRY_INSTRUCTION_LENGTH,
        breakIt: (m) => {
          m.write(VMCS.VM_ENTRY_INTERRUPTION_INFORMATION, 0x80000003 + type * 0x100);
          m.write(VMCS.VM_ENTRY_INSTRUCTION_LENGTH, length);
        },
      }),
    ),
  ),
];

const one = (section: string, rule: RegExp, field: number, value: bigint | number): Case => ({
  section,
  rule,
  field,
  breakIt: (m) => m.write(field, value),
});
const withExitControl = (bit: number, c: Case): Case => ({
  ...c,
  breakIt: (m) => {
    m.change(VMCS.VM_EXIT_CONTROLS, bit);
    c.breakIt(m);
  },
});
const withEntryControl = (bit: number, c: Case): Case => ({
  ...c,
  breakIt: (m) => {
    m.change(VMCS.VM_ENTRY_CONTROLS, bit);
    c.breakIt(m);
  },
});

const hostState: Case[] = [
  one('26.2.2', /CR0 must not/, VMCS.HOST_CR0, 0x80010011),
  one('26.2.2', /CR0 must not/, VMCS.HOST_CR0, 0x10031),
  one('26.2.2', /CR0 must not/, VMCS.HOST_CR0, 0x180010031n),
  one('26.2.2', /CR4 must not/, VMCS.HOST_CR4, 0x220),
  one('26.2.2', /CR4 must not/, VMCS.HOST_CR4, 0x402220),
  one('26.2.2', /bits of CR3/, VMCS.HOST_CR3, BEYOND),
  one('26.2.2', /canonical/, VMCS.HOST_IA32_SYSENTER_ESP, NOT_CANONICAL),
  one('26.2.2', /canonical/, VMCS.HOST_IA32_SYSENTER_EIP, NOT_CANONICAL),
  withExitControl(
    EXIT_CONTROL.LOAD_IA32_PAT,
    one('26.2.2', /IA32_PAT/, VMCS.HOST_IA32_PAT, 0x0200000000000000n),
  ),
  withExitControl(EXIT_CONTROL.LOAD_IA32_PAT, one('26.2.2', /IA32_PAT/, VMCS.HOST_IA32_PAT, 0x08)),
  withExitControl(
    EXIT_CONTROL.LOAD_IA32_EFER,
    one('26.2.2', /reserved in IA32_EFER/, VMCS.HOST_IA32_EFER, 0x502),
  ),
  withExitControl(EXIT_CONTROL.LOAD_IA32_EFER, one('26.2.2', /LMA and LME/, VMCS.HOST_IA32_EFER, 0x100)),
  ...[
    VMCS.HOST_CS_SELECTOR,
    VMCS.HOST_SS_SELECTOR,
    VMCS.HOST_DS_SELECTOR,
    VMCS.HOST_ES_SELECTOR,
    VMCS.HOST_FS_SELECTOR,
    VMCS.HOST_GS_SELECTOR,
    VMCS.HOST_TR_SELECTOR,
  ].flatMap((field) => [1, 2, 4].map((bit) => one('26.2.3', /RPL .* and TI/, field, 0x10 | bit))),
  one('26.2.3', /0000H/, VMCS.HOST_CS_SELECTOR, 0),
  one('26.2.3', /0000H/, VMCS.HOST_TR_SELECTOR, 0),
  ...[VMCS.HOST_FS_BASE, VMCS.HOST_GS_BASE, VMCS.HOST_TR_BASE, VMCS.HOST_GDTR_BASE, VMCS.HOST_IDTR_BASE].map(
    (field) => one('26.2.3', /canonical/, field, NOT_CANONICAL),
  ),
  {
    section: '26.2.3',
    rule: /HOST_SS_SELECTOR must not be 0000H/,
    field: VMCS.HOST_SS_SELECTOR,
    breakIt: (m) => {
      m.change(VMCS.VM_EXIT_CONTROLS, 0, EXIT_CONTROL.HOST_ADDRESS_SPACE_SIZE);
      m.write(VMCS.HOST_SS_SELECTOR, 0);
    },
  },
  {
    section: '26.2.4',
    rule: /in IA-32e mode, "host address-space size" must be 1/,
    field: VMCS.VM_EXIT_CONTROLS,
    breakIt: (m) => m.change(VMCS.VM_EXIT_CONTROLS, 0, EXIT_CONTROL.HOST_ADDRESS_SPACE_SIZE),
  },
  {
    section: '26.2.4',
    rule: /outside IA-32e mode, "IA-32e mode guest"/,
    field: VMCS.VM_ENTRY_CONTROLS,
    breakIt: (m) => {
      m.processor.state.efer = 0;
    },
  },
  {
    section: '26.2.4',
    rule: /outside IA-32e mode, "host address-space size"/,
    field: VMCS.VM_EXIT_CONTROLS,
    breakIt: (m) => {
      m.processor.state.efer = 0;
      m.change(VMCS.VM_ENTRY_CONTROLS, 0, ENTRY_CONTROL.IA32E_MODE_GUEST);
    },
  },
  {
    section: '26.2.4',
    rule: /bits 63:32 of RIP/,
    field: VMCS.HOST_RIP,
    breakIt: (m) => {
      m.processor.state.efer = 0;
      m.change(VMCS.VM_ENTRY_CONTROLS, 0, ENTRY_CONTROL.IA32E_MODE_GUEST);
      m.change(VMCS.VM_EXIT_CONTROLS, 0, EXIT_CONTROL.HOST_ADDRESS_SPACE_SIZE);
      m.write(VMCS.HOST_RIP, 1n << 32n);
    },
  },
  one('26.2.4', /CR4.PAE must be 1/, VMCS.HOST_CR4, 0x2200),
  one('26.2.4', /RIP must contain a canonical/, VMCS.HOST_RIP, NOT_CANONICAL),
];

/** Leaves IA-32e mode: 32-bit protected mode with paging. */
const legacyGuest = (m: VmxMachine): void => {
  m.change(VMCS.VM_ENTRY_CONTROLS, 0, ENTRY_CONTROL.IA32E_MODE_GUEST);
  m.write(VMCS.GUEST_CR4, 0x2200);
  m.write(VMCS.GUEST_CS_ACCESS_RIGHTS, 0xc09b);
};
const unrestrictedGuest = (m: VmxMachine): void => {
  enableEpt(m);
  m.change(SECONDARY_FIELD, SECONDARY.UNRESTRICTED_GUEST);
};
const first = (setUp: (m: VmxMachine) => void, c: Case): Case => ({
  ...c,
  breakIt: (m) => {
    setUp(m);
    c.breakIt(m);
  },
});

const guestRegisters: Case[] = [
  one('26.3.1.1', /CR0 must not/, VMCS.GUEST_CR0, 0x80010011),
  one('26.3.1.1', /CR0 must not/, VMCS.GUEST_CR0, 0x10031),
  first(unrestrictedGuest, one('26.3.1.1', /CR0.PE must be 1/, VMCS.GUEST_CR0, 0x80010030)),
  one('26.3.1.1', /CR4 must not/, VMCS.GUEST_CR4, 0x220),
  one('26.3.1.1', /CR4 must not/, VMCS.GUEST_CR4, 0x4002220),
  one('26.3.1.1', /IA32_DEBUGCTL/, VMCS.GUEST_IA32_DEBUGCTL, 4),
  first(unrestrictedGuest, one('26.3.1.1', /CR0.PG must be 1/, VMCS.GUEST_CR0, 0x31)),
  one('26.3.1.1', /CR4.PAE must be 1/, VMCS.GUEST_CR4, 0x2200),
  one('26.3.1.1', /bits of CR3/, VMCS.GUEST_CR3, BEYOND),
  one('26.3.1.1', /DR7/, VMCS.GUEST_DR7, 1n << 32n),
  one('26.3.1.1', /canonical/, VMCS.GUEST_IA32_SYSENTER_ESP, NOT_CANONICAL),
  one('26.3.1.1', /canonical/, VMCS.GUEST_IA32_SYSENTER_EIP, NOT_CANONICAL),
  withEntryControl(ENTRY_CONTROL.LOAD_IA32_PAT, one('26.3.1.1', /IA32_PAT/, VMCS.GUEST_IA32_PAT, 3)),
  withEntryControl(
    ENTRY_CONTROL.LOAD_IA32_EFER,
    one('26.3.1.1', /reserved in IA32_EFER/, VMCS.GUEST_IA32_EFER, 0x1500),
  ),
  withEntryControl(
    ENTRY_CONTROL.LOAD_IA32_EFER,
    one('26.3.1.1', /LMA must equal "IA-32e/, VMCS.GUEST_IA32_EFER, 0),
  ),
  withEntryControl(
    ENTRY_CONTROL.LOAD_IA32_EFER,
    one('26.3.1.1', /LMA must equal LME/, VMCS.GUEST_IA32_EFER, 0x400),
  ),
  one('26.3.1.3', /canonical/, VMCS.GUEST_GDTR_BASE, NOT_CANONICAL),
  one('26.3.1.3', /canonical/, VMCS.GUEST_IDTR_BASE, NOT_CANONICAL),
  one('26.3.1.3', /31:16/, VMCS.GUEST_GDTR_LIMIT, 0x10000),
  one('26.3.1.3', /31:16/, VMCS.GUEST_IDTR_LIMIT, 0xffffffff),
];

const usableLdtr = (m: VmxMachine): void => {
  m.write(VMCS.GUEST_LDTR_ACCESS_RIGHTS, 0x82);
  m.write(VMCS.GUEST_LDTR_LIMIT, 0xff);
};
const virtual8086 = (m: VmxMachine): void => {
  legacyGuest(m);
  m.write(VMCS.GUEST_RFLAGS, 0x20002);
  for (let n = 0; n < 6; n++) {
    m.write(VMCS.GUEST_ES_BASE + n * 2, Number(m.read(VMCS.GUEST_ES_SELECTOR + n * 2)) * 16);
    m.write(VMCS.GUEST_ES_LIMIT + n * 2, 0xffff);
    m.write(VMCS.GUEST_ES_ACCESS_RIGHTS + n * 2, 0xf3);
  }
};
const NAMES = ['ES', 'CS', 'SS', 'DS', 'FS', 'GS'];
const AR = (n: number): number => VMCS.GUEST_ES_ACCESS_RIGHTS + n * 2;
const BASE = (n: number): number => VMCS.GUEST_ES_BASE + n * 2;
const LIMIT = (n: number): number => VMCS.GUEST_ES_LIMIT + n * 2;
const segment = (rule: RegExp, field: number, value: bigint | number): Case =>
  one('26.3.1.2', rule, field, value);

const guestSegments: Case[] = [
  segment(/TI .* of the TR selector/, VMCS.GUEST_TR_SELECTOR, 0x1c),
  first(usableLdtr, segment(/TI .* of the LDTR selector/, VMCS.GUEST_LDTR_SELECTOR, 0x24)),
  segment(/RPL of SS must equal RPL of CS/, VMCS.GUEST_SS_SELECTOR, 0x13),
  segment(/TR base must be canonical/, VMCS.GUEST_TR_BASE, NOT_CANONICAL),
  segment(/FS base must be canonical/, VMCS.GUEST_FS_BASE, NOT_CANONICAL),
  segment(/GS base must be canonical/, VMCS.GUEST_GS_BASE, NOT_CANONICAL),
  first(usableLdtr, segment(/LDTR base must be canonical/, VMCS.GUEST_LDTR_BASE, NOT_CANONICAL)),
  segment(/bits 63:32 of the CS base/, VMCS.GUEST_CS_BASE, 1n << 32n),
  ...[0, 2, 3].map((n) => segment(new RegExp(`bits 63:32 of the ${NAMES[n]} base`), BASE(n), 1n << 32n)),
  ...[0, 1, 2, 3, 4, 5].flatMap((n) => [
    first(virtual8086, segment(new RegExp(`${NAMES[n]} base must be the selector times 16`), BASE(n), 0)),
    first(virtual8086, segment(new RegExp(`${NAMES[n]} limit must be 0000FFFFH`), LIMIT(n), 0xfffff)),
    first(virtual8086, segment(new RegExp(`${NAMES[n]} access rights must be 000000F3H`), AR(n), 0x93)),
  ]),
  ...[0xa093, 0xa098, 0xa09a].map((rights) => segment(/CS type must be/, AR(1), rights)),
  segment(/DPL of CS must be/, AR(1), 0xa0fb),
  segment(/DPL of CS must be/, AR(1), 0xa0ff),
  first(unrestrictedGuest, segment(/DPL of CS must be/, AR(1), 0xc0b3)),
  segment(/D\/B .* must be 0/, AR(1), 0xe09b),
  segment(/SS type must be 3 or 7/, AR(2), 0xc091),
  segment(/SS type must be 3 or 7/, AR(2), 0xc09b),
  {
    section: '26.3.1.2',
    rule: /DPL of SS must equal the RPL/,
    field: AR(2),
    breakIt: (m) => {
      // Conforming code may have a lower DPL than SS.
      m.write(AR(1), 0xa09f);
      m.write(AR(2), 0xc0f3);
    },
  },
  {
    section: '26.3.1.2',
    rule: /DPL of SS must be 0 if the CS type is 3/,
    field: AR(2),
    breakIt: (m) => {
      unrestrictedGuest(m);
      m.write(AR(1), 0xc093);
      m.write(AR(2), 0xc0f3);
    },
  },
  ...[0, 3, 4, 5]
    .flatMap((n) => [
      segment(new RegExp(`${NAMES[n]} type must be accessed`), AR(n), 0xc092),
      segment(new RegExp(`${NAMES[n]} type must be accessed`), AR(n), 0xc099),
      segment(new RegExp(`DPL of ${NAMES[n]} must not be below its RPL`), AR(n), 0xc093),
    ])
    .map((c) =>
      /DPL/.test(c.rule.source)
        ? first((m) => m.write(c.field - VMCS.GUEST_ES_ACCESS_RIGHTS + VMCS.GUEST_ES_SELECTOR, 0x13), c)
        : c,
    ),
  ...[0, 1, 2, 3, 4, 5].flatMap((n) => {
    const good = n === 1 ? 0xa09b : 0xc093;
    return [
      segment(new RegExp(`S .bit 4. of ${NAMES[n]}`), AR(n), good & ~0x10),
      segment(new RegExp(`P .bit 7. of ${NAMES[n]}`), AR(n), good & ~0x80),
      segment(new RegExp(`reserved bits .* of ${NAMES[n]}`), AR(n), good | 0x100),
      ...(n === 1 ? [] : [segment(new RegExp(`reserved bits .* of ${NAMES[n]}`), AR(n), good | 0x20000)]),
      segment(new RegExp(`G .bit 15. of ${NAMES[n]}`), AR(n), good & ~0x8000),
      first((m) => m.write(LIMIT(n), 0xffffe), {
        ...segment(new RegExp(`G .bit 15. of ${NAMES[n]}`), AR(n), good),
      }),
    ];
  }),
  segment(/TR type must be 11/, VMCS.GUEST_TR_ACCESS_RIGHTS, 0x89),
  segment(/TR type must be 11/, VMCS.GUEST_TR_ACCESS_RIGHTS, 0x83),
  segment(/S .bit 4. of TR/, VMCS.GUEST_TR_ACCESS_RIGHTS, 0x9b),
  segment(/P .bit 7. of TR/, VMCS.GUEST_TR_ACCESS_RIGHTS, 0x0b),
  segment(/reserved bits .* of TR/, VMCS.GUEST_TR_ACCESS_RIGHTS, 0x18b),
  segment(/G .bit 15. of TR/, VMCS.GUEST_TR_ACCESS_RIGHTS, 0x808b),
  segment(/TR must not be unusable/, VMCS.GUEST_TR_ACCESS_RIGHTS, 0x1008b),
  first(usableLdtr, segment(/type must be 2/, VMCS.GUEST_LDTR_ACCESS_RIGHTS, 0x83)),
  first(usableLdtr, segment(/S .bit 4. of LDTR/, VMCS.GUEST_LDTR_ACCESS_RIGHTS, 0x92)),
  first(usableLdtr, segment(/P .bit 7. of LDTR/, VMCS.GUEST_LDTR_ACCESS_RIGHTS, 0x02)),
  first(usableLdtr, segment(/reserved bits .* of LDTR/, VMCS.GUEST_LDTR_ACCESS_RIGHTS, 0x282)),
  first(usableLdtr, segment(/G .bit 15. of LDTR/, VMCS.GUEST_LDTR_ACCESS_RIGHTS, 0x8082)),
];

const inject = (value: number) => (m: VmxMachine) => m.write(VMCS.VM_ENTRY_INTERRUPTION_INFORMATION, value);
const EXTERNAL_INTERRUPT = inject(0x80000020);
const NMI = inject(0x80000202);
const interruptsOn = (m: VmxMachine): void => m.write(VMCS.GUEST_RFLAGS, 0x202);
const halted = (m: VmxMachine): void => m.write(VMCS.GUEST_ACTIVITY_STATE, 1);
const all =
  (...steps: ((m: VmxMachine) => void)[]) =>
  (m: VmxMachine) => {
    for (const step of steps) step(m);
  };
const BLOCKING = VMCS.GUEST_INTERRUPTIBILITY_STATE;
const PENDING = VMCS.GUEST_PENDING_DEBUG_EXCEPTIONS;

const flagsAndNonRegister: Case[] = [
  one('26.3.1.4', /in 64-bit mode/, VMCS.GUEST_RIP, 0x1_0000_0000_0000n),
  first(legacyGuest, one('26.3.1.4', /outside 64-bit mode/, VMCS.GUEST_RIP, 1n << 32n)),
  first((m) => m.write(AR(1), 0xc09b), one('26.3.1.4', /outside 64-bit mode/, VMCS.GUEST_RIP, 1n << 32n)),
  ...[0, 0x8002, 0x22, 0xa, 0x400002, (1n << 32n) | 2n].map((flags) =>
    one('26.3.1.4', /reserved bits 63:22/, VMCS.GUEST_RFLAGS, flags),
  ),
  {
    section: '26.3.1.4',
    rule: /RFLAGS.VM must be 0/,
    field: VMCS.GUEST_RFLAGS,
    breakIt: (m) => {
      virtual8086(m);
      m.change(VMCS.VM_ENTRY_CONTROLS, ENTRY_CONTROL.IA32E_MODE_GUEST);
      m.write(VMCS.GUEST_CR4, 0x2220);
    },
  },
  { section: '26.3.1.4', rule: /RFLAGS.IF must be 1/, field: VMCS.GUEST_RFLAGS, breakIt: EXTERNAL_INTERRUPT },
  one('26.3.1.5', /activity state must be supported/, VMCS.GUEST_ACTIVITY_STATE, 2),
  {
    section: '26.3.1.5',
    rule: /DPL of SS is not 0/,
    field: VMCS.GUEST_ACTIVITY_STATE,
    breakIt: (m) => {
      halted(m);
      m.write(VMCS.GUEST_CS_SELECTOR, 0xb);
      m.write(VMCS.GUEST_SS_SELECTOR, 0x13);
      m.write(AR(1), 0xa0fb);
      m.write(AR(2), 0xc0f3);
    },
  },
  first(all(halted, interruptsOn), {
    ...one('26.3.1.5', /must be active/, BLOCKING, 1),
    field: VMCS.GUEST_ACTIVITY_STATE,
  }),
  first(halted, {
    section: '26.3.1.5',
    rule: /in the HLT state only/,
    field: VMCS.GUEST_ACTIVITY_STATE,
    breakIt: inject(0x80000306),
  }),
  one('26.3.1.5', /reserved bits 31:5/, BLOCKING, 0x20),
  one('26.3.1.5', /bit 4 without SGX/, BLOCKING, 0x10),
  first(interruptsOn, one('26.3.1.5', /at once/, BLOCKING, 3)),
  one('26.3.1.5', /if RFLAGS.IF is 0/, BLOCKING, 1),
  first(
    all(interruptsOn, EXTERNAL_INTERRUPT),
    one('26.3.1.5', /external interrupt is injected/, BLOCKING, 1),
  ),
  first(
    all(interruptsOn, EXTERNAL_INTERRUPT),
    one('26.3.1.5', /external interrupt is injected/, BLOCKING, 2),
  ),
  first(NMI, one('26.3.1.5', /MOV SS if an NMI/, BLOCKING, 2)),
  { ...first(all(NMI, interruptsOn), one('26.3.1.5', /STI if an NMI/, BLOCKING, 1)), qualification: 3n },
  one('26.3.1.5', /blocking by SMI/, BLOCKING, 4),
  first(
    all(NMI, (m) => m.change(PIN, PIN_BASED.NMI_EXITING | PIN_BASED.VIRTUAL_NMIS)),
    one('26.3.1.5', /with "virtual NMIs"/, BLOCKING, 8),
  ),
  ...[0x10, 0x2000, 0x8000, 0x10000, 1n << 32n].map((value) =>
    one('26.3.1.5', /reserved bits 11:4/, PENDING, value),
  ),
  first(halted, one('26.3.1.5', /BS .bit 14./, PENDING, 0x4000)),
  first(
    all(halted, (m) => m.write(VMCS.GUEST_RFLAGS, 0x102)),
    one('26.3.1.5', /BS .bit 14./, PENDING, 0),
  ),
  first(
    all(
      halted,
      (m) => m.write(VMCS.GUEST_RFLAGS, 0x102),
      (m) => m.write(VMCS.GUEST_IA32_DEBUGCTL, 2),
    ),
    one('26.3.1.5', /BS .bit 14./, PENDING, 0x4000),
  ),
  {
    ...one('26.3.1.5', /bits 11:0 of the VMCS link pointer/, VMCS.VMCS_LINK_POINTER, 0x12001),
    qualification: 4n,
  },
  { ...one('26.3.1.5', /width/, VMCS.VMCS_LINK_POINTER, BEYOND), qualification: 4n },
  { ...one('26.3.1.5', /revision identifier/, VMCS.VMCS_LINK_POINTER, 0x13000), qualification: 4n },
  { ...one('26.3.1.5', /current-VMCS pointer/, VMCS.VMCS_LINK_POINTER, VMCS_REGION), qualification: 4n },
  ...[0, 1, 2, 3].map(
    (n): Case => ({
      section: '26.3.1.6',
      rule: new RegExp(`PDPTE${n}`),
      field: VMCS.GUEST_PDPTE0 + n * 2,
      qualification: 2n,
      breakIt: (m) => {
        enableEpt(m);
        legacyGuest(m);
        m.write(VMCS.GUEST_CR4, 0x2220);
        m.write(VMCS.GUEST_PDPTE0 + n * 2, 3);
      },
    }),
  ),
];

const CASES = [
  ...executionControls,
  ...exitAndEntryControls,
  ...hostState,
  ...guestRegisters,
  ...guestSegments,
  ...flagsAndNonRegister,
];

const key = (rule: string, field: string): string => `${rule} | ${field}`;
const tripped = new Set<string>();

function expectFailure(c: Case): void {
  const machine = createVmxMachine({}, c.features);
  c.breakIt(machine);
  const before = { rsp: machine.processor.state.readGpr(4), error: machine.read(VMCS.VM_INSTRUCTION_ERROR) };
  const result = machine.vmx.vmlaunch();
  const failure = machine.vmx.lastEntryFailure;
  expect(failure, machine.vmx.describeEntryFailure()).toMatchObject({ field: fieldName(c.field) });
  expect(failure!.section).toMatch(new RegExp(`^${c.section.replaceAll('.', '\\.')} `));
  expect(failure!.rule).toMatch(c.rule);
  tripped.add(key(failure!.rule, failure!.field));
  expect(machine.processor.intercepts).toBeNull();
  if (c.section.startsWith('26.2')) {
    const error = c.section.startsWith('26.2.1') ? 7 : 8;
    expect(result).toEqual({ ok: false, kind: 'valid', error });
    expect(machine.read(VMCS.VM_INSTRUCTION_ERROR)).toBe(BigInt(error));
    expect(machine.processor.state.readGpr(4)).toBe(before.rsp);
  } else {
    // The VM entry failed after the host could be checked: its state is loaded.
    expect(result).toEqual({ ok: true });
    expect(machine.read(VMCS.EXIT_REASON)).toBe(BigInt(EXIT_REASON.INVALID_STATE) | 0x80000000n);
    expect(machine.read(VMCS.EXIT_QUALIFICATION)).toBe(c.qualification ?? 0n);
    expect(machine.processor.state.rip).toBe(machine.read(VMCS.HOST_RIP));
    expect(machine.read(VMCS.VM_INSTRUCTION_ERROR)).toBe(before.error);
  }
}

describe('VM-entry checks', () => {
  const bySection = new Map<string, Case[]>();
  for (const c of CASES) bySection.set(c.section, [...(bySection.get(c.section) ?? []), c]);
  for (const [section, cases] of bySection)
    describe(`${section} ${ALL_RULE_SECTIONS.find((s) => s.section === section)!.title}`, () => {
      for (const [n, c] of cases.entries())
        it(`${n + 1}: ${fieldName(c.field)}: ${c.rule.source}`, () => expectFailure(c));
    });

  it('26.3.1.6 takes PDPTEs from memory without EPT', () => {
    const machine = createVmxMachine();
    legacyGuest(machine);
    machine.write(VMCS.GUEST_CR4, 0x2220);
    machine.write(VMCS.GUEST_CR3, MSR_AREA);
    machine.memory.write64(hostPhysical(MSR_AREA + 8), 3n);
    expect(machine.vmx.vmlaunch()).toEqual({ ok: true });
    expect(machine.vmx.lastEntryFailure).toMatchObject({ field: 'GUEST_PDPTE1', qualification: 2 });
  });

  it('has a case for every rule', () => {
    const missing = ALL_RULE_SECTIONS.flatMap((section) =>
      section.rules
        .filter((rule) => !tripped.has(key(rule.rule, fieldName(rule.field))))
        .map((rule) => `${section.section}: ${rule.rule} (${fieldName(rule.field)})`),
    );
    expect(missing).toEqual([]);
  });

  it('says in words what is wrong', () => {
    const machine = createVmxMachine();
    machine.write(VMCS.GUEST_TR_ACCESS_RIGHTS, 0x89);
    machine.vmx.vmlaunch();
    expect(machine.vmx.describeEntryFailure()).toBe(
      'VM entry failed: invalid guest state GUEST_TR_ACCESS_RIGHTS = 0x89: the TR type must be 11 (64- or 32-bit busy TSS), or 3 (16-bit busy TSS) if "IA-32e mode guest" is 0 (SDM 26.3.1.2 Checks on Guest Segment Registers)',
    );
  });

  for (const [name, setUp] of [
    ['a legacy guest', legacyGuest],
    ['a virtual-8086 guest', virtual8086],
    ['an unrestricted guest', unrestrictedGuest],
    ['a guest with LDTR', usableLdtr],
    ['a halted guest', halted],
    ['a guest with TPR shadow', useTprShadow],
    [
      'a guest with virtualized APIC accesses',
      (m: VmxMachine) => {
        useTprShadow(m);
        activateSecondary(m, SECONDARY.VIRTUALIZE_APIC_ACCESSES);
        m.write(VMCS.APIC_ACCESS_ADDRESS, APIC_ACCESS_PAGE);
      },
    ],
  ] as const)
    it(`accepts ${name}, so that its cases break one rule only`, () => {
      const machine = createVmxMachine();
      setUp(machine);
      expect(machine.vmx.vmlaunch(), machine.vmx.describeEntryFailure()).toEqual({ ok: true });
      expect(machine.vmx.describeEntryFailure()).toBe('');
      expect(machine.processor.intercepts).not.toBeNull();
    });
});
