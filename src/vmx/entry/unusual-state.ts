/**
 * State that rules of VM entry ask about at every VM entry, because it changes without being marked. Nearly always it
 * is plain, and one look tells that none of these rules can be broken.
 */

import { ACCESS_RIGHTS } from '../../architecture/descriptors.js';
import { RFLAGS } from '../../architecture/rflags.js';
import { ENTRY_CONTROL } from '../../architecture/vmx/controls.js';
import { INTERRUPTION_INFORMATION } from '../../architecture/vmx/interruption-information.js';
import { VMCS } from '../../architecture/vmx/vmcs-fields.js';
import type { I32 } from '../../wasm/expression.js';
import type { TransferBuilder } from '../transfer/transfer-builder.js';

export const UNUSUAL = {
  /** An event is to be injected. */
  EVENT: 1 << 0,
  /** Anything but plain RFLAGS and a RIP that suits the code size. */
  FLAGS: 1 << 1,
  /** Anything but an active processor without blocking, pending debug exceptions and link pointer. */
  NON_REGISTER: 1 << 2,
} as const;

/** Bits of RFLAGS that must be 0: 15, 5 and 3, and all above 21. */
export const RFLAGS_RESERVED = 0xffc08028;

function hasUnusualFlags(t: TransferBuilder): I32 {
  const { builder } = t;
  const long = t
    .field(VMCS.VM_ENTRY_CONTROLS)
    .and(ENTRY_CONTROL.IA32E_MODE_GUEST)
    .notEquals(0)
    .and(t.field(VMCS.GUEST_CS_ACCESS_RIGHTS).and(ACCESS_RIGHTS.LONG).notEquals(0));
  const ripHigh = builder.bind32(t.fieldHigh(VMCS.GUEST_RIP));
  const unlike = ripHigh.shiftRightSigned(16).add(1).greaterThanUnsigned(1);
  const flags = t.field(VMCS.GUEST_RFLAGS).and(RFLAGS_RESERVED | RFLAGS.VM | RFLAGS.FIXED);
  return flags
    .notEquals(RFLAGS.FIXED)
    .or(t.fieldHigh(VMCS.GUEST_RFLAGS).notEquals(0))
    .or(ripHigh.notEquals(0).and(unlike.or(long.not())));
}

function hasNonRegisterState(t: TransferBuilder): I32 {
  return t
    .field(VMCS.GUEST_ACTIVITY_STATE)
    .or(t.field(VMCS.GUEST_INTERRUPTIBILITY_STATE))
    .extendUnsigned()
    .or(t.fieldWide(VMCS.GUEST_PENDING_DEBUG_EXCEPTIONS))
    .or(t.fieldWide(VMCS.VMCS_LINK_POINTER).complement())
    .notEquals(0n);
}

/** `UNUSUAL` bits of the guest that is to be entered. */
export function unusualState(t: TransferBuilder): I32 {
  const event = t.field(VMCS.VM_ENTRY_INTERRUPTION_INFORMATION).and(INTERRUPTION_INFORMATION.VALID);
  return event
    .notEquals(0)
    .multiply(UNUSUAL.EVENT)
    .or(hasUnusualFlags(t).multiply(UNUSUAL.FLAGS))
    .or(hasNonRegisterState(t).multiply(UNUSUAL.NON_REGISTER));
}
