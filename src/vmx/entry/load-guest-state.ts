/** Loading guest state (SDM Vol. 3C, 26.3.2). All checks have passed. */

import { CR0, EFER } from '../../architecture/control-registers.js';
import { ENTRY_CONTROL } from '../../architecture/vmx/controls.js';
import { ACTIVITY, INTERRUPTIBILITY } from '../../architecture/vmx/guest-state.js';
import { VMCS } from '../../architecture/vmx/vmcs-fields.js';
import type { ProcessorCore } from '../../processor/core.js';
import { STATE } from '../../processor/state/layout.js';
import { fixDebugControl, loadedCr0 } from '../control-register-fixes.js';
import { DESCRIPTOR_TABLE_PLACES, REGISTER_PLACES, SEGMENT_PLACES } from '../transfer/guest-places.js';
import { ALL_FLAGS, RSP_OFFSET, type TransferBuilder } from '../transfer/transfer-builder.js';
import type { Vmcs } from '../vmcs.js';

/** What the VM-entry controls decide about (26.3.2.1 Loading Guest Control Registers, Debug Registers, and MSRs). */
function loadControlled(t: TransferBuilder): void {
  const { builder } = t;
  const controls = builder.bind32(t.field(VMCS.VM_ENTRY_CONTROLS));
  builder.if(controls.and(ENTRY_CONTROL.LOAD_DEBUG_CONTROLS), () => {
    t.setRegister(STATE.DEBUG + 7 * 8, fixDebugControl(t.field(VMCS.GUEST_DR7)));
    t.setRegister(STATE.DEBUGCTL, t.field(VMCS.GUEST_IA32_DEBUGCTL));
  });
  builder.if(controls.and(ENTRY_CONTROL.LOAD_IA32_PAT), () => t.loadRegister(STATE.PAT, VMCS.GUEST_IA32_PAT));
  builder.if(
    controls.and(ENTRY_CONTROL.LOAD_IA32_EFER),
    () => t.setRegister(STATE.EFER, t.field(VMCS.GUEST_IA32_EFER)),
    () => {
      // LMA follows "IA-32e mode guest", and so does LME with paging on.
      const paging = t.field(VMCS.GUEST_CR0).and(CR0.PG).notEquals(0);
      const kept = paging.multiply(EFER.LME).or(EFER.LMA).xor(-1);
      const longMode = controls.and(ENTRY_CONTROL.IA32E_MODE_GUEST).notEquals(0);
      t.setRegister(
        STATE.EFER,
        t
          .register(STATE.EFER)
          .and(kept)
          .or(longMode.multiply(EFER.LMA | EFER.LME)),
      );
    },
  );
}

/** Code that loads the registers. */
export function loadGuestRegisters(t: TransferBuilder): void {
  for (const place of [...SEGMENT_PLACES, ...DESCRIPTOR_TABLE_PLACES, ...REGISTER_PLACES]) t.load(place);
  t.setRegister(STATE.CR0, loadedCr0(t.field(VMCS.GUEST_CR0), t.register(STATE.CR0)));
  t.loadRegister(RSP_OFFSET, VMCS.GUEST_RSP);
  t.loadRegister(STATE.RIP, VMCS.GUEST_RIP);
  loadControlled(t);
  t.flags.load(t.field(VMCS.GUEST_RFLAGS).extendUnsigned(), ALL_FLAGS);
}

/** Loads interruptibility and activity state, which the processor keeps outside of its block. */
export function loadNonRegisterState(core: ProcessorCore, vmcs: Vmcs): void {
  const blocking = vmcs.low(VMCS.GUEST_INTERRUPTIBILITY_STATE);
  core.interruptShadow =
    (blocking & INTERRUPTIBILITY.BLOCKING_BY_MOV_SS) !== 0
      ? 'mov-ss'
      : (blocking & INTERRUPTIBILITY.BLOCKING_BY_STI) !== 0
        ? 'sti'
        : 'none';
  core.nmiBlocked = (blocking & INTERRUPTIBILITY.BLOCKING_BY_NMI) !== 0;
  core.halted = vmcs.low(VMCS.GUEST_ACTIVITY_STATE) === ACTIVITY.HLT;
}
