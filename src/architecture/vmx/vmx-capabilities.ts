/**
 * The VMX capability MSRs of the modelled processor (SDM Vol. 3D, Appendix A). Nehalem-class with unrestricted guest.
 * Only what is implemented is advertised: no monitor trap flag, VM functions or IA32_PERF_GLOBAL_CTRL loading; activity
 * states are active and HLT. The VMX-preemption timer and APIC virtualization are features of some processors only.
 */

import { ENTRY_CONTROL, EXIT_CONTROL, PIN_BASED, PRIMARY, SECONDARY } from './controls.js';
import { fieldIndex, OPTIONAL_FIELDS, UNSUPPORTED_FIELDS, VMCS, type VmxFeature } from './vmcs-fields.js';

/** Which settings of a set of controls are supported: a bit may be 0 if clear in `mustBeOne`, 1 if set in `mayBeOne`. */
export interface ControlCapability {
  readonly mustBeOne: number;
  readonly mayBeOne: number;
}

const anyOf = (bits: Record<string, number>): number =>
  Object.values(bits).reduce((sum, bit) => (sum | bit) >>> 0, 0);

/** Reserved bits that are always 1 ("default1" class, A.2), without those that the TRUE MSRs give up. */
const PIN_DEFAULT1 = 0x16;
const PRIMARY_DEFAULT1 = 0x0401e172;
const EXIT_DEFAULT1 = 0x36dff;
const ENTRY_DEFAULT1 = 0x11ff;

const PIN_SUPPORTED = PIN_BASED.EXTERNAL_INTERRUPT_EXITING | PIN_BASED.NMI_EXITING | PIN_BASED.VIRTUAL_NMIS;
const PRIMARY_SUPPORTED = (anyOf(PRIMARY) & ~PRIMARY.MONITOR_TRAP_FLAG) >>> 0;
const SECONDARY_SUPPORTED =
  SECONDARY.VIRTUALIZE_APIC_ACCESSES |
  SECONDARY.ENABLE_EPT |
  SECONDARY.DESCRIPTOR_TABLE_EXITING |
  SECONDARY.ENABLE_RDTSCP |
  SECONDARY.ENABLE_VPID |
  SECONDARY.WBINVD_EXITING |
  SECONDARY.UNRESTRICTED_GUEST;
const EXIT_SUPPORTED =
  EXIT_CONTROL.SAVE_DEBUG_CONTROLS |
  EXIT_CONTROL.HOST_ADDRESS_SPACE_SIZE |
  EXIT_CONTROL.ACKNOWLEDGE_INTERRUPT_ON_EXIT |
  EXIT_CONTROL.SAVE_IA32_PAT |
  EXIT_CONTROL.LOAD_IA32_PAT |
  EXIT_CONTROL.SAVE_IA32_EFER |
  EXIT_CONTROL.LOAD_IA32_EFER;
const ENTRY_SUPPORTED =
  ENTRY_CONTROL.LOAD_DEBUG_CONTROLS |
  ENTRY_CONTROL.IA32E_MODE_GUEST |
  ENTRY_CONTROL.LOAD_IA32_PAT |
  ENTRY_CONTROL.LOAD_IA32_EFER;

/** Controls that come with a feature. */
const FEATURE_CONTROLS: Readonly<
  Record<VmxFeature, { readonly pinBased: number; readonly secondary: number; readonly exit: number }>
> = {
  preemptionTimer: {
    pinBased: PIN_BASED.ACTIVATE_VMX_PREEMPTION_TIMER,
    secondary: 0,
    exit: EXIT_CONTROL.SAVE_VMX_PREEMPTION_TIMER,
  },
  apicVirtualization: {
    pinBased: PIN_BASED.PROCESS_POSTED_INTERRUPTS,
    secondary:
      SECONDARY.VIRTUALIZE_X2APIC_MODE |
      SECONDARY.APIC_REGISTER_VIRTUALIZATION |
      SECONDARY.VIRTUAL_INTERRUPT_DELIVERY,
    exit: 0,
  },
};

const capability = (mustBeOne: number, supported: number): ControlCapability => ({
  mustBeOne,
  mayBeOne: (mustBeOne | supported) >>> 0,
});

/** What VM entry accepts: the TRUE capabilities, in which the default1 controls with a meaning may be 0 (A.2). */
export interface ControlCapabilities {
  readonly pinBased: ControlCapability;
  readonly primary: ControlCapability;
  readonly secondary: ControlCapability;
  readonly exit: ControlCapability;
  readonly entry: ControlCapability;
}

/** Those of a processor without optional features. */
export const CONTROL_CAPABILITIES: ControlCapabilities = {
  pinBased: capability(PIN_DEFAULT1, PIN_SUPPORTED),
  primary: capability(
    PRIMARY_DEFAULT1 & ~(PRIMARY.CR3_LOAD_EXITING | PRIMARY.CR3_STORE_EXITING),
    PRIMARY_SUPPORTED,
  ),
  secondary: capability(0, SECONDARY_SUPPORTED),
  exit: capability(EXIT_DEFAULT1 & ~EXIT_CONTROL.SAVE_DEBUG_CONTROLS, EXIT_SUPPORTED),
  entry: capability(ENTRY_DEFAULT1 & ~ENTRY_CONTROL.LOAD_DEBUG_CONTROLS, ENTRY_SUPPORTED),
};

/** VMCS revision identifier: bits 30:0 of IA32_VMX_BASIC (A.1). */
export const VMCS_REVISION_IDENTIFIER = 0x0000000f;
/** Size in bytes of the VMXON and VMCS regions. */
export const VMCS_REGION_SIZE = 4096;
/** IA32_VMX_MISC[24:16]: number of CR3-target values. */
export const CR3_TARGET_VALUES = 4;
/** IA32_VMX_MISC[27:25] = 0: at most 512 MSRs in an MSR list (A.6). */
export const MSR_LIST_LIMIT = 512;
/** Bits of a physical address (CPUID 80000008H:EAX[7:0]). */
export const PHYSICAL_ADDRESS_WIDTH = 40;

/** Bits that VMX operation fixes in CR0 and CR4 (A.7, A.8): fixed0 bits must be 1, bits clear in fixed1 must be 0. */
export const CR0_FIXED0 = 0x80000021;
export const CR0_FIXED1 = 0xffffffff;
export const CR4_FIXED0 = 0x2000;
/** VME … OSXMMEXCPT, VMXE, PCIDE and OSXSAVE clear: what the modelled processor has. */
export const CR4_FIXED1 = 0x27ff;

const controls = (c: ControlCapability, mustBeOne: number): bigint =>
  (BigInt((c.mayBeOne | mustBeOne) >>> 0) << 32n) | BigInt((c.mustBeOne | mustBeOne) >>> 0);

const highestFieldIndex = Math.max(
  ...Object.values(VMCS)
    .filter((encoding) => !UNSUPPORTED_FIELDS.has(encoding) && !OPTIONAL_FIELDS.has(encoding))
    .map(fieldIndex),
);

/** IA32_VMX_EPT_VPID_CAP (A.10): execute-only, 4-level walks, UC and WB, 2-MByte and 1-GByte pages, INVEPT, INVVPID. */
const EPT_VPID_CAPABILITIES =
  (1n << 0n) |
  (1n << 6n) |
  (1n << 8n) |
  (1n << 14n) |
  (1n << 16n) |
  (1n << 17n) |
  (1n << 20n) |
  (1n << 25n) |
  (1n << 26n) |
  (1n << 32n) |
  (1n << 40n) |
  (1n << 41n) |
  (1n << 42n) |
  (1n << 43n);

/** IA32_VMX_BASIC: write-back VMCS, INS/OUTS information in the instruction-information field, TRUE control MSRs. */
const BASIC =
  BigInt(VMCS_REVISION_IDENTIFIER) |
  (BigInt(VMCS_REGION_SIZE) << 32n) |
  (6n << 50n) |
  (1n << 54n) |
  (1n << 55n);

/** IA32_VMX_MISC: EFER.LMA stored in the VM-entry controls (5), HLT activity state (6), CR3-target count (24:16). */
const MISC = (1n << 5n) | (1n << 6n) | (BigInt(CR3_TARGET_VALUES) << 16n);

/** IA32_VMX_MISC[4:0]: the VMX-preemption timer counts down when this bit of the time-stamp counter changes (A.6). */
export const PREEMPTION_TIMER_RATE = 5;

/** What a processor can do in VMX operation. */
export interface VmxCapabilities {
  readonly features: ReadonlySet<VmxFeature>;
  readonly controls: ControlCapabilities;
  /** Value of a VMX capability MSR; undefined when `index` is none. */
  msr(index: number): bigint | undefined;
}

/** Values of the capability MSRs 480H … 490H. */
function capabilityMsrs(c: ControlCapabilities, misc: bigint): ReadonlyMap<number, bigint> {
  return new Map([
    [0x480, BASIC],
    [0x481, controls(c.pinBased, PIN_DEFAULT1)],
    [0x482, controls(c.primary, PRIMARY_DEFAULT1)],
    [0x483, controls(c.exit, EXIT_DEFAULT1)],
    [0x484, controls(c.entry, ENTRY_DEFAULT1)],
    [0x485, misc],
    [0x486, BigInt(CR0_FIXED0)],
    [0x487, BigInt(CR0_FIXED1)],
    [0x488, BigInt(CR4_FIXED0)],
    [0x489, BigInt(CR4_FIXED1)],
    [0x48a, BigInt(highestFieldIndex << 1)],
    [0x48b, controls(c.secondary, 0)],
    [0x48c, EPT_VPID_CAPABILITIES],
    [0x48d, controls(c.pinBased, 0)],
    [0x48e, controls(c.primary, 0)],
    [0x48f, controls(c.exit, 0)],
    [0x490, controls(c.entry, 0)],
  ]);
}

const extended = (base: ControlCapability, bits: number): ControlCapability => ({
  mustBeOne: base.mustBeOne,
  mayBeOne: (base.mayBeOne | bits) >>> 0,
});

/** Capabilities of a processor with optional features. */
export function vmxCapabilities(features: readonly VmxFeature[] = []): VmxCapabilities {
  let set: ControlCapabilities = CONTROL_CAPABILITIES;
  for (const feature of features) {
    const { pinBased, secondary, exit } = FEATURE_CONTROLS[feature];
    set = {
      ...set,
      pinBased: extended(set.pinBased, pinBased),
      secondary: extended(set.secondary, secondary),
      exit: extended(set.exit, exit),
    };
  }
  const msrs = capabilityMsrs(
    set,
    features.includes('preemptionTimer') ? MISC | BigInt(PREEMPTION_TIMER_RATE) : MISC,
  );
  return { features: new Set(features), controls: set, msr: (index) => msrs.get(index) };
}

/** A processor without optional features. */
export const BASE_CAPABILITIES: VmxCapabilities = vmxCapabilities();

/** Value of a VMX capability MSR of such a processor; undefined when `index` is none. */
export const vmxCapability = (index: number): bigint | undefined => BASE_CAPABILITIES.msr(index);
