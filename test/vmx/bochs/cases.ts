/**
 * What is asked of Bochs and of our processor alike: for each scenario, every bit of every field is flipped alone and
 * the outcome of VMLAUNCH noted.
 */

import {
  ENTRY_CONTROL,
  EXIT_CONTROL,
  PIN_BASED,
  PRIMARY,
  SECONDARY,
} from '../../../src/architecture/vmx/controls.js';
import { encodeEptPointer } from '../../../src/architecture/vmx/ept.js';
import { fieldWidthInBits, VMCS } from '../../../src/architecture/vmx/vmcs-fields.js';
import { CONTROL_CAPABILITIES } from '../../../src/architecture/vmx/vmx-capabilities.js';
import { Vmcs } from '../../../src/vmx/vmcs.js';
import { SUPPORTED_FIELDS } from '../../../src/vmx/vmcs-layout.js';
import { APIC_ACCESS_PAGE, baseFields, MSR_AREA, VIRTUAL_APIC_PAGE } from '../vmx-machine.js';

/** Where the ROM builds an EPT identity map of the first gigabyte (PML4 and PDPT). */
export const ORACLE_EPT_PML4 = 0x34000;
export const ORACLE_EPT_PDPT = 0x35000;

const PIN = VMCS.PIN_BASED_VM_EXECUTION_CONTROLS;
const PRIMARY_FIELD = VMCS.PRIMARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS;
const SECONDARY_FIELD = VMCS.SECONDARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS;

export interface Scenario {
  readonly name: string;
  /** Written over the base fields. */
  readonly fields: readonly (readonly [field: number, value: bigint])[];
}

const base = new Map(baseFields());
const plus = (field: number, bits: number): readonly [number, bigint] => [
  field,
  (base.get(field) ?? 0n) | BigInt(bits >>> 0),
];
const minus = (field: number, bits: number): readonly [number, bigint] => [
  field,
  (base.get(field) ?? 0n) & ~BigInt(bits >>> 0),
];
const withSecondary = (bits: number, more = 0): (readonly [number, bigint])[] => [
  plus(PRIMARY_FIELD, PRIMARY.ACTIVATE_SECONDARY_CONTROLS | more),
  [SECONDARY_FIELD, BigInt(bits)],
];
const EPT: (readonly [number, bigint])[] = [[VMCS.EPT_POINTER, encodeEptPointer(ORACLE_EPT_PML4)]];

export const SCENARIOS: readonly Scenario[] = [
  { name: '64-bit guest', fields: [] },
  {
    name: 'EPT and VPID',
    fields: [
      ...withSecondary(SECONDARY.ENABLE_EPT | SECONDARY.ENABLE_VPID),
      ...EPT,
      [VMCS.VIRTUAL_PROCESSOR_IDENTIFIER, 1n],
    ],
  },
  {
    name: 'unrestricted guest',
    fields: [...withSecondary(SECONDARY.ENABLE_EPT | SECONDARY.UNRESTRICTED_GUEST), ...EPT],
  },
  {
    name: 'unrestricted guest in real mode',
    fields: [
      ...withSecondary(SECONDARY.ENABLE_EPT | SECONDARY.UNRESTRICTED_GUEST),
      ...EPT,
      minus(VMCS.VM_ENTRY_CONTROLS, ENTRY_CONTROL.IA32E_MODE_GUEST),
      [VMCS.GUEST_CR0, 0x30n],
      [VMCS.GUEST_CR4, 0x2000n],
      [VMCS.GUEST_CS_ACCESS_RIGHTS, 0x9bn],
      [VMCS.GUEST_CS_LIMIT, 0xffffn],
    ],
  },
  {
    name: '32-bit guest',
    fields: [
      minus(VMCS.VM_ENTRY_CONTROLS, ENTRY_CONTROL.IA32E_MODE_GUEST),
      [VMCS.GUEST_CR4, 0x2200n],
      [VMCS.GUEST_CS_ACCESS_RIGHTS, 0xc09bn],
    ],
  },
  {
    name: 'virtual-8086 guest',
    fields: [
      minus(VMCS.VM_ENTRY_CONTROLS, ENTRY_CONTROL.IA32E_MODE_GUEST),
      [VMCS.GUEST_CR4, 0x2200n],
      [VMCS.GUEST_RFLAGS, 0x20002n],
      ...[0, 1, 2, 3, 4, 5].flatMap((n): (readonly [number, bigint])[] => [
        [VMCS.GUEST_ES_SELECTOR + n * 2, 0x123n],
        [VMCS.GUEST_ES_BASE + n * 2, 0x1230n],
        [VMCS.GUEST_ES_LIMIT + n * 2, 0xffffn],
        [VMCS.GUEST_ES_ACCESS_RIGHTS + n * 2, 0xf3n],
      ]),
    ],
  },
  {
    name: 'user-mode guest with LDT',
    fields: [
      [VMCS.GUEST_CS_SELECTOR, 0x33n],
      [VMCS.GUEST_CS_ACCESS_RIGHTS, 0xa0fbn],
      ...[0, 2, 3, 4, 5].flatMap((n): (readonly [number, bigint])[] => [
        [VMCS.GUEST_ES_SELECTOR + n * 2, 0x2bn],
        [VMCS.GUEST_ES_ACCESS_RIGHTS + n * 2, 0xc0f3n],
      ]),
      [VMCS.GUEST_LDTR_SELECTOR, 0x40n],
      [VMCS.GUEST_LDTR_ACCESS_RIGHTS, 0x82n],
      [VMCS.GUEST_LDTR_LIMIT, 0x7fn],
    ],
  },
  {
    name: 'external interrupt injected',
    fields: [
      [VMCS.VM_ENTRY_INTERRUPTION_INFORMATION, 0x80000030n],
      [VMCS.GUEST_RFLAGS, 0x202n],
    ],
  },
  {
    name: 'NMI injected under virtual NMIs',
    fields: [
      plus(PIN, PIN_BASED.NMI_EXITING | PIN_BASED.VIRTUAL_NMIS),
      [VMCS.VM_ENTRY_INTERRUPTION_INFORMATION, 0x80000202n],
      [VMCS.GUEST_RFLAGS, 0x202n],
    ],
  },
  {
    name: 'page fault injected',
    fields: [
      [VMCS.VM_ENTRY_INTERRUPTION_INFORMATION, 0x80000b0en],
      [VMCS.VM_ENTRY_EXCEPTION_ERROR_CODE, 5n],
    ],
  },
  {
    name: 'software interrupt injected',
    fields: [
      [VMCS.VM_ENTRY_INTERRUPTION_INFORMATION, 0x80000480n],
      [VMCS.VM_ENTRY_INSTRUCTION_LENGTH, 2n],
    ],
  },
  {
    name: 'halted guest that single-steps',
    fields: [
      [VMCS.GUEST_ACTIVITY_STATE, 1n],
      [VMCS.GUEST_RFLAGS, 0x302n],
      [VMCS.GUEST_PENDING_DEBUG_EXCEPTIONS, 0x4000n],
    ],
  },
  {
    name: 'blocking by STI',
    fields: [
      [VMCS.GUEST_INTERRUPTIBILITY_STATE, 1n],
      [VMCS.GUEST_RFLAGS, 0x202n],
    ],
  },
  {
    name: 'TPR shadow and APIC-access page',
    fields: [
      ...withSecondary(SECONDARY.VIRTUALIZE_APIC_ACCESSES, PRIMARY.USE_TPR_SHADOW),
      [VMCS.VIRTUAL_APIC_ADDRESS, BigInt(VIRTUAL_APIC_PAGE)],
      [VMCS.APIC_ACCESS_ADDRESS, BigInt(APIC_ACCESS_PAGE)],
    ],
  },
  {
    name: 'EFER and PAT loaded',
    fields: [
      plus(VMCS.VM_ENTRY_CONTROLS, ENTRY_CONTROL.LOAD_IA32_EFER | ENTRY_CONTROL.LOAD_IA32_PAT),
      plus(VMCS.VM_EXIT_CONTROLS, EXIT_CONTROL.LOAD_IA32_EFER | EXIT_CONTROL.LOAD_IA32_PAT),
      [VMCS.GUEST_IA32_EFER, 0xd01n],
      [VMCS.HOST_IA32_EFER, 0xd01n],
      [VMCS.GUEST_IA32_PAT, 0x0007040600070406n],
      [VMCS.HOST_IA32_PAT, 0x0007040600070406n],
    ],
  },
  {
    name: 'MSR areas',
    fields: [
      [VMCS.VM_ENTRY_MSR_LOAD_ADDRESS, BigInt(MSR_AREA)],
      [VMCS.VM_EXIT_MSR_LOAD_ADDRESS, BigInt(MSR_AREA)],
      [VMCS.VM_EXIT_MSR_STORE_ADDRESS, BigInt(MSR_AREA)],
      [VMCS.VM_ENTRY_MSR_LOAD_COUNT, 1n],
      [VMCS.VM_EXIT_MSR_LOAD_COUNT, 1n],
      [VMCS.VM_EXIT_MSR_STORE_COUNT, 1n],
    ],
  },
];

/** The controls that both processors have; bits of others are not flipped. */
const COMMON_CONTROLS: ReadonlyMap<number, number> = new Map([
  [PIN, CONTROL_CAPABILITIES.pinBased.mayBeOne],
  [PRIMARY_FIELD, CONTROL_CAPABILITIES.primary.mayBeOne],
  [SECONDARY_FIELD, CONTROL_CAPABILITIES.secondary.mayBeOne],
  [VMCS.VM_EXIT_CONTROLS, CONTROL_CAPABILITIES.exit.mayBeOne],
  [VMCS.VM_ENTRY_CONTROLS, CONTROL_CAPABILITIES.entry.mayBeOne],
]);

const ALL = (1n << 64n) - 1n;
const from = (bit: number): bigint => (ALL << BigInt(bit)) & ALL;
/** CR4 bits that Bochs's model has and ours has not: FSGSBASE, PCIDE, OSXSAVE, SMEP. */
const CR4_DIFFERENT = (1n << 16n) | (1n << 17n) | (1n << 18n) | (1n << 20n);

/**
 * Bits that must stay as they are: the host would not survive the exit, or the two processors differ in features rather
 * than in rules.
 */
const EXCLUDED: ReadonlyMap<number, bigint> = new Map([
  // The host runs on these.
  [VMCS.HOST_CR3, ALL & ~from(40)],
  [VMCS.HOST_RIP, ALL & ~from(48)],
  [VMCS.HOST_CR4, CR4_DIFFERENT],
  [VMCS.GUEST_CR4, CR4_DIFFERENT],
  // Where the guest would run, other things lie in Bochs's memory.
  [VMCS.GUEST_RIP, ALL & ~from(47)],
  // Shutdown and wait-for-SIPI are activity states of Bochs only.
  [VMCS.GUEST_ACTIVITY_STATE, 2n],
  // Where the area would be loaded from other memory, its contents decide.
  [VMCS.VM_ENTRY_MSR_LOAD_ADDRESS, ALL & ~from(40) & ~0xfn],
  [VMCS.VM_EXIT_MSR_LOAD_ADDRESS, ALL & ~from(40) & ~0xfn],
  [VMCS.VM_EXIT_MSR_STORE_ADDRESS, ALL & ~from(40) & ~0xfn],
  [VMCS.VM_ENTRY_MSR_LOAD_COUNT, ALL],
  [VMCS.VM_EXIT_MSR_LOAD_COUNT, ALL],
  [VMCS.VM_EXIT_MSR_STORE_COUNT, ALL],
]);

/** Every writable field with the bits that are flipped. */
export const FLIPPED: readonly (readonly [field: number, mask: bigint])[] = SUPPORTED_FIELDS.filter(
  (field) => !Vmcs.isReadOnly(field),
).map((field) => {
  const width = (1n << BigInt(fieldWidthInBits(field))) - 1n;
  const common = COMMON_CONTROLS.get(field);
  const mask = width & ~(EXCLUDED.get(field) ?? 0n) & (common === undefined ? ALL : BigInt(common >>> 0));
  return [field, mask] as const;
});

/** One letter per outcome. */
export const OUTCOME_LETTER = {
  entered: '-',
  failInvalid: 'I',
  controls: '7',
  hostState: '8',
  otherError: 'E',
  invalidGuestState: 'G',
  pdpte: 'P',
  nmiBlocked: 'N',
  linkPointer: 'L',
  msrLoad: 'M',
  notFlipped: '.',
} as const;
