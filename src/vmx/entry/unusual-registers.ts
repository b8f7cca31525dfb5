/** Control registers, MSRs and descriptor-table registers that no rule of 26.3.1.1 and 26.3.1.3 objects to, as generated code. */

import { CR0, CR4, EFER } from '../../architecture/control-registers.js';
import { ENTRY_CONTROL } from '../../architecture/vmx/controls.js';
import { VMCS } from '../../architecture/vmx/vmcs-fields.js';
import { CR0_FIXED0, CR4_FIXED0, CR4_FIXED1 } from '../../architecture/vmx/vmx-capabilities.js';
import { type I32, i32 } from '../../wasm/expression.js';
import { areNotAlike, type TransferBuilder } from '../transfer/transfer-builder.js';
import { DEBUGCTL_SUPPORTED } from './check-guest-registers.js';
import { EFER_SUPPORTED, HIGH_RESERVED } from './field-tests.js';

/** Bits 47 and up decide whether an address is canonical. */
const isNotCanonical = (t: TransferBuilder, field: number): I32 => areNotAlike(t.fieldHigh(field), 15);

/** Protected mode with paging: every bit that VMX operation fixes to 1 is 1. */
function controlRegisters(t: TransferBuilder): I32 {
  const fixed0 = CR0_FIXED0 | CR0.PE | CR0.PG;
  const fixed4 = CR4_FIXED0 | CR4.PAE;
  const cr4 = t.builder.bind32(t.field(VMCS.GUEST_CR4));
  return t
    .field(VMCS.GUEST_CR0)
    .and(fixed0)
    .xor(fixed0)
    .or(cr4.and(fixed4).xor(fixed4))
    .or(cr4.and(~CR4_FIXED1))
    .or(t.fieldHigh(VMCS.GUEST_CR0))
    .or(t.fieldHigh(VMCS.GUEST_CR4))
    .or(t.fieldHigh(VMCS.GUEST_CR3).and(HIGH_RESERVED))
    .notEquals(0);
}

function debugControls(t: TransferBuilder): I32 {
  return t
    .field(VMCS.GUEST_IA32_DEBUGCTL)
    .and(~DEBUGCTL_SUPPORTED)
    .or(t.fieldHigh(VMCS.GUEST_IA32_DEBUGCTL))
    .or(t.fieldHigh(VMCS.GUEST_DR7))
    .notEquals(0);
}

const EACH_BYTE = 0x0101010101010101n;

/** Bytes of IA32_PAT are below 8, and bit 1 comes with bit 2 only: 0, 1, 4, 5, 6 and 7 are memory types. */
function memoryTypes(t: TransferBuilder): I32 {
  const pat = t.builder.bind64(t.fieldWide(VMCS.GUEST_IA32_PAT));
  const withBit2 = pat.shiftRightUnsigned(1n).and(EACH_BYTE * 2n);
  return pat
    .and(EACH_BYTE * 0xf8n)
    .or(pat.and(EACH_BYTE * 2n).and(withBit2.complement()))
    .notEquals(0n);
}

/** IA32_EFER counts if it is loaded: LMA and LME have to be as "IA-32e mode guest", since paging is on. */
function extendedFeatures(t: TransferBuilder): I32 {
  const controls = t.builder.bind32(t.field(VMCS.VM_ENTRY_CONTROLS));
  const longMode = controls.and(ENTRY_CONTROL.IA32E_MODE_GUEST).notEquals(0);
  const modes = EFER.LMA | EFER.LME;
  const efer = t.builder.bind32(t.field(VMCS.GUEST_IA32_EFER));
  const wrong = efer
    .and(modes)
    .xor(longMode.multiply(modes))
    .or(efer.and(~EFER_SUPPORTED))
    .or(t.fieldHigh(VMCS.GUEST_IA32_EFER))
    .notEquals(0);
  return wrong.and(controls.and(ENTRY_CONTROL.LOAD_IA32_EFER).notEquals(0));
}

export function hasUnusualRegisters(t: TransferBuilder): I32 {
  return controlRegisters(t)
    .or(debugControls(t))
    .or(isNotCanonical(t, VMCS.GUEST_IA32_SYSENTER_ESP))
    .or(isNotCanonical(t, VMCS.GUEST_IA32_SYSENTER_EIP))
    .or(memoryTypes(t))
    .or(extendedFeatures(t));
}

export function hasUnusualDescriptorTables(t: TransferBuilder): I32 {
  let unusual = i32(0);
  for (const field of [VMCS.GUEST_GDTR_BASE, VMCS.GUEST_IDTR_BASE])
    unusual = unusual.or(isNotCanonical(t, field));
  for (const field of [VMCS.GUEST_GDTR_LIMIT, VMCS.GUEST_IDTR_LIMIT])
    unusual = unusual.or(t.field(field).greaterThanUnsigned(0xffff));
  return unusual;
}
