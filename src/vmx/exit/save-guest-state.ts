/** Saving guest state (SDM Vol. 3C, 27.3), as generated code. */

import { EFER } from '../../architecture/control-registers.js';
import { RFLAGS } from '../../architecture/rflags.js';
import { ENTRY_CONTROL, EXIT_CONTROL } from '../../architecture/vmx/controls.js';
import { INTERRUPTIBILITY, PENDING_DEBUG } from '../../architecture/vmx/guest-state.js';
import { VMCS } from '../../architecture/vmx/vmcs-fields.js';
import { STATE } from '../../processor/state/layout.js';
import { type I32, i64 } from '../../wasm/expression.js';
import { DESCRIPTOR_TABLE_PLACES, REGISTER_PLACES, SEGMENT_PLACES } from '../transfer/guest-places.js';
import { RSP_OFFSET, type TransferBuilder } from '../transfer/transfer-builder.js';
import { GROUP } from '../vmcs-layout.js';

const DR7 = STATE.DEBUG + 7 * 8;

/** Saves a register of which only the low 32 bits are ever in use. */
function saveZeroExtended(t: TransferBuilder, field: number, offset: number): void {
  t.saveFieldWide(field, t.register(offset).extendUnsigned());
}

/** What the VM-exit controls decide about (27.3.1 Saving Control Registers, Debug Registers, and MSRs). */
function saveControlled(t: TransferBuilder): void {
  const controls = t.builder.bind32(t.field(VMCS.VM_EXIT_CONTROLS));
  t.builder.if(controls.and(EXIT_CONTROL.SAVE_DEBUG_CONTROLS), () => {
    saveZeroExtended(t, VMCS.GUEST_DR7, DR7);
    saveZeroExtended(t, VMCS.GUEST_IA32_DEBUGCTL, STATE.DEBUGCTL);
  });
  t.builder.if(controls.and(EXIT_CONTROL.SAVE_IA32_PAT), () =>
    t.saveRegister(VMCS.GUEST_IA32_PAT, STATE.PAT),
  );
  t.builder.if(controls.and(EXIT_CONTROL.SAVE_IA32_EFER), () =>
    saveZeroExtended(t, VMCS.GUEST_IA32_EFER, STATE.EFER),
  );
  // IA32_VMX_MISC[5]: "IA-32e mode guest" takes the value of EFER.LMA (27.2).
  const longMode = t.register(STATE.EFER).and(EFER.LMA).notEquals(0);
  t.saveField(
    VMCS.VM_ENTRY_CONTROLS,
    t
      .field(VMCS.VM_ENTRY_CONTROLS)
      .and(~ENTRY_CONTROL.IA32E_MODE_GUEST)
      .or(longMode.multiply(ENTRY_CONTROL.IA32E_MODE_GUEST)),
  );
}

const SINGLE_STEP_ON_BRANCHES = 2;

/** Processor state that is not in its block, and how RFLAGS.RF is to be saved (27.3.3). */
export interface SavedByCaller {
  /** Interruptibility state and activity state, as the fields hold them. */
  readonly interruptibility: I32;
  readonly activity: I32;
  /** RFLAGS bits that are saved as they are, and bits that are saved as 1. */
  readonly flagsKept: I32;
  readonly flagsSet: I32;
}

/** Checks of RFLAGS itself are made at every VM entry; those of segments look at VM only. */
function saveFlags(t: TransferBuilder, flags: I32, { flagsKept, flagsSet }: SavedByCaller): void {
  const saved = t.builder.bind32(flags.and(flagsKept).or(flagsSet));
  const difference = t.field(VMCS.GUEST_RFLAGS).xor(saved).and(RFLAGS.VM);
  t.noteDifference(GROUP.GUEST_SEGMENTS, difference.extendUnsigned());
  t.setField(VMCS.GUEST_RFLAGS, saved);
}

/** A single-step trap that blocking or the HLT state holds back is pending (27.3.4). */
function saveNonRegisterState(
  t: TransferBuilder,
  flags: I32,
  { interruptibility, activity }: SavedByCaller,
): void {
  t.saveField(VMCS.GUEST_INTERRUPTIBILITY_STATE, interruptibility);
  t.saveField(VMCS.GUEST_ACTIVITY_STATE, activity);
  const shadow = INTERRUPTIBILITY.BLOCKING_BY_STI | INTERRUPTIBILITY.BLOCKING_BY_MOV_SS;
  const held = interruptibility.and(shadow).or(activity).notEquals(0);
  const singleSteps = flags.and(RFLAGS.TF).notEquals(0);
  const onBranches = t.register(STATE.DEBUGCTL).and(SINGLE_STEP_ON_BRANCHES).notEquals(0);
  const pending = held.and(singleSteps).and(onBranches.not());
  t.saveFieldWide(
    VMCS.GUEST_PENDING_DEBUG_EXCEPTIONS,
    i64(0n).subtract(pending.extendUnsigned()).and(BigInt(PENDING_DEBUG.BS)),
  );
}

/** Saves all guest state, noting which groups of fields change. */
export function saveGuestState(t: TransferBuilder, caller: SavedByCaller): void {
  t.saveIfAnyDiffers(GROUP.GUEST_SEGMENTS, SEGMENT_PLACES);
  t.saveIfAnyDiffers(GROUP.GUEST_DESCRIPTOR_TABLES, DESCRIPTOR_TABLE_PLACES);
  t.saveIfAnyDiffers(GROUP.GUEST_REGISTERS, REGISTER_PLACES);
  t.saveRegister(VMCS.GUEST_RSP, RSP_OFFSET);
  t.saveRegister(VMCS.GUEST_RIP, STATE.RIP);
  saveZeroExtended(t, VMCS.GUEST_CR0, STATE.CR0);
  const flags = t.builder.bind32(t.flags.image().wrap());
  saveFlags(t, flags, caller);
  saveControlled(t);
  saveNonRegisterState(t, flags, caller);
}
