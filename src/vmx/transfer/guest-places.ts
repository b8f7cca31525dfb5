/** Guest registers that VM entry loads and VM exit saves whatever the controls are, with their places in the block. */

import { VMCS } from '../../architecture/vmx/vmcs-fields.js';
import { SEGMENT_FIELD, SEGMENT_STRIDE, STATE } from '../../processor/state/layout.js';
import { GUEST_SEGMENTS } from '../segment-fields.js';

/** A field, or several that lie side by side in the region as their registers do in the block. */
export interface Place {
  readonly field: number;
  readonly offset: number;
  readonly bits: 32 | 64 | 128;
}

export const SEGMENT_PLACES: readonly Place[] = GUEST_SEGMENTS.flatMap((segment): Place[] => {
  const offset = STATE.SEGMENTS + segment.number * SEGMENT_STRIDE;
  return [
    // Base, limit and access rights.
    { field: segment.base, offset: offset + SEGMENT_FIELD.BASE, bits: 128 },
    // The 16 bits behind a selector are padding, zero in both places.
    { field: segment.selector, offset: offset + SEGMENT_FIELD.SELECTOR, bits: 32 },
  ];
});

/** Base, limit, and 32 bits of padding, zero in both places. */
export const DESCRIPTOR_TABLE_PLACES: readonly Place[] = [
  { field: VMCS.GUEST_GDTR_BASE, offset: STATE.GDTR_BASE, bits: 128 },
  { field: VMCS.GUEST_IDTR_BASE, offset: STATE.IDTR_BASE, bits: 128 },
];

export const REGISTER_PLACES: readonly Place[] = [
  { field: VMCS.GUEST_CR3, offset: STATE.CR3, bits: 64 },
  { field: VMCS.GUEST_CR4, offset: STATE.CR4, bits: 64 },
  { field: VMCS.GUEST_IA32_SYSENTER_CS, offset: STATE.SYSENTER_CS, bits: 32 },
  { field: VMCS.GUEST_IA32_SYSENTER_ESP, offset: STATE.SYSENTER_ESP, bits: 64 },
  { field: VMCS.GUEST_IA32_SYSENTER_EIP, offset: STATE.SYSENTER_EIP, bits: 64 },
];
