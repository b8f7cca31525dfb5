/** Small questions about VMCS fields that several rules ask. */

import { ENTRY_CONTROL, PRIMARY, SECONDARY } from '../../architecture/vmx/controls.js';
import { VMCS } from '../../architecture/vmx/vmcs-fields.js';
import { type ControlCapability, PHYSICAL_ADDRESS_WIDTH } from '../../architecture/vmx/vmx-capabilities.js';
import type { Vmcs } from '../vmcs.js';

export const hasPrimary = (vmcs: Vmcs, bit: number): boolean =>
  (vmcs.low(VMCS.PRIMARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS) & bit) !== 0;

/** Secondary controls count as 0 unless they are activated (24.6.2). */
export const secondaryControls = (vmcs: Vmcs): number =>
  hasPrimary(vmcs, PRIMARY.ACTIVATE_SECONDARY_CONTROLS)
    ? vmcs.low(VMCS.SECONDARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS)
    : 0;

export const hasSecondary = (vmcs: Vmcs, bit: number): boolean => (secondaryControls(vmcs) & bit) !== 0;

export const isUnrestrictedGuest = (vmcs: Vmcs): boolean => hasSecondary(vmcs, SECONDARY.UNRESTRICTED_GUEST);

export const hasEntryControl = (vmcs: Vmcs, bit: number): boolean =>
  (vmcs.low(VMCS.VM_ENTRY_CONTROLS) & bit) !== 0;

export const isLongModeGuest = (vmcs: Vmcs): boolean => hasEntryControl(vmcs, ENTRY_CONTROL.IA32E_MODE_GUEST);

export const hasExitControl = (vmcs: Vmcs, bit: number): boolean =>
  (vmcs.low(VMCS.VM_EXIT_CONTROLS) & bit) !== 0;

/** Some bit of `value` has a setting that the capability does not allow (A.2). */
export const violates = (capability: ControlCapability, value: number): boolean =>
  (capability.mustBeOne & ~value) !== 0 || (value & ~capability.mayBeOne) !== 0;

/** Bits 63:47 of an address with this upper half are not all alike. */
export const isNotCanonical = (high: number): boolean => {
  const upper = high >> 15;
  return upper !== 0 && upper !== -1;
};

/** Bits of the upper half beyond the physical-address width. */
export const HIGH_RESERVED = ~((1 << (PHYSICAL_ADDRESS_WIDTH - 32)) - 1);
export const exceedsPhysicalAddressWidth = (high: number): boolean => (high & HIGH_RESERVED) !== 0;

/** A byte of IA32_PAT that is no memory type: only 0, 1, 4, 5, 6 and 7 are. */
export function isInvalidPat(low: number, high: number): boolean {
  for (let shift = 0; shift < 32; shift += 8) {
    for (const half of [low, high]) {
      const type = (half >>> shift) & 0xff;
      if (type > 7 || type === 2 || type === 3) return true;
    }
  }
  return false;
}

/** IA32_EFER bits that the modelled processor has: SCE, LME, LMA, NXE. */
export const EFER_SUPPORTED = 0xd01;
