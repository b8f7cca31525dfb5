/**
 * One look at guest state that tells which sections of rules cannot be broken, because what they are about is plain: it
 * nearly always is. As generated code.
 */

import { ACCESS_RIGHTS } from '../../architecture/descriptors.js';
import { RFLAGS } from '../../architecture/rflags.js';
import { ENTRY_CONTROL } from '../../architecture/vmx/controls.js';
import { INTERRUPTIBILITY } from '../../architecture/vmx/guest-state.js';
import { INTERRUPTION_INFORMATION } from '../../architecture/vmx/interruption-information.js';
import { VMCS } from '../../architecture/vmx/vmcs-fields.js';
import type { I32 } from '../../wasm/expression.js';
import { areNotAlike, type TransferBuilder } from '../transfer/transfer-builder.js';
import { hasUnusualDescriptorTables, hasUnusualRegisters } from './unusual-registers.js';
import { hasUnusualSegments } from './unusual-segments.js';

/** What is not plain. The first four are about what changes without being marked, so that they matter at every VM entry. */
export const UNUSUAL = {
  /** An event is to be injected. */
  EVENT: 1 << 0,
  /** Anything but plain RFLAGS and a RIP that suits the code size. */
  FLAGS: 1 << 1,
  /** Non-register state that some rule could object to. */
  NON_REGISTER: 1 << 2,
  /** Blocking by STI, by MOV SS or by NMI. */
  BLOCKING: 1 << 3,
  /** Anything that the rules on control registers, debug registers and MSRs could object to. */
  REGISTERS: 1 << 4,
  /** Anything but valid segments of protected mode. */
  SEGMENTS: 1 << 5,
  DESCRIPTOR_TABLES: 1 << 6,
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
  const flags = t.field(VMCS.GUEST_RFLAGS).and(RFLAGS_RESERVED | RFLAGS.VM | RFLAGS.FIXED);
  return flags
    .notEquals(RFLAGS.FIXED)
    .or(t.fieldHigh(VMCS.GUEST_RFLAGS).notEquals(0))
    .or(ripHigh.notEquals(0).and(areNotAlike(ripHigh, 16).or(long.not())));
}

const { BLOCKING_BY_STI, BLOCKING_BY_MOV_SS, BLOCKING_BY_NMI } = INTERRUPTIBILITY;

/**
 * False for an active processor without pending debug exceptions and link pointer, even while something is blocked: by
 * STI with RFLAGS.IF = 1, or by MOV SS, or by NMI, without an event to inject and without single-stepping.
 */
function hasUnusualNonRegisterState(t: TransferBuilder, blocking: I32, event: I32): I32 {
  const flags = t.builder.bind32(t.field(VMCS.GUEST_RFLAGS));
  const both = BLOCKING_BY_STI | BLOCKING_BY_MOV_SS;
  const sti = blocking.and(BLOCKING_BY_STI).notEquals(0);
  const unusualBlocking = blocking
    .and(~(both | BLOCKING_BY_NMI))
    .or(blocking.and(both).equals(both))
    .or(sti.and(flags.and(RFLAGS.IF).isZero()))
    .or(blocking.notEquals(0).and(flags.and(RFLAGS.TF).or(event).notEquals(0)));
  return t
    .field(VMCS.GUEST_ACTIVITY_STATE)
    .or(unusualBlocking)
    .extendUnsigned()
    .or(t.fieldWide(VMCS.GUEST_PENDING_DEBUG_EXCEPTIONS))
    .or(t.fieldWide(VMCS.VMCS_LINK_POINTER).complement())
    .notEquals(0n);
}

/** The `UNUSUAL` bits that matter at every VM entry. */
export function unusualState(t: TransferBuilder): I32 {
  const { builder } = t;
  const event = builder.bind32(
    t.field(VMCS.VM_ENTRY_INTERRUPTION_INFORMATION).and(INTERRUPTION_INFORMATION.VALID).notEquals(0),
  );
  const blocking = builder.bind32(t.field(VMCS.GUEST_INTERRUPTIBILITY_STATE));
  return event
    .multiply(UNUSUAL.EVENT)
    .or(hasUnusualFlags(t).multiply(UNUSUAL.FLAGS))
    .or(hasUnusualNonRegisterState(t, blocking, event).multiply(UNUSUAL.NON_REGISTER))
    .or(blocking.notEquals(0).multiply(UNUSUAL.BLOCKING));
}

/** All `UNUSUAL` bits of the guest that is to be entered. */
export function unusualGuest(t: TransferBuilder): I32 {
  return unusualState(t)
    .or(hasUnusualRegisters(t).multiply(UNUSUAL.REGISTERS))
    .or(hasUnusualSegments(t).multiply(UNUSUAL.SEGMENTS))
    .or(hasUnusualDescriptorTables(t).multiply(UNUSUAL.DESCRIPTOR_TABLES));
}
