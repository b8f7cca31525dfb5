/** Saving guest state (SDM Vol. 3C, 27.3). */

import { EFER } from '../../architecture/control-registers.js';
import { RFLAGS } from '../../architecture/rflags.js';
import { ENTRY_CONTROL, EXIT_CONTROL } from '../../architecture/vmx/controls.js';
import { ACTIVITY, INTERRUPTIBILITY } from '../../architecture/vmx/guest-state.js';
import { VMCS } from '../../architecture/vmx/vmcs-fields.js';
import type { ProcessorCore } from '../../processor/core.js';
import { STATE } from '../../processor/state/layout.js';
import { type StateWords, saveGuestRegisters } from '../state-transfer.js';
import type { Vmcs } from '../vmcs.js';
import { GROUP, SLOT } from '../vmcs-layout.js';
import type { ResumeFlag } from './exit-information.js';

const word = (offset: number): number => offset >> 2;
const DR7 = word(STATE.DEBUG + 7 * 8);
const RFLAGS_SLOT = SLOT[VMCS.GUEST_RFLAGS]!;

function saveFlags(vmcs: Vmcs, flags: number, resume: ResumeFlag): void {
  const saved = resume === 'keep' ? flags : resume === 'set' ? flags | RFLAGS.RF : flags & ~RFLAGS.RF;
  const target = vmcs.base + RFLAGS_SLOT;
  const before = vmcs.words[target]!;
  vmcs.words[target] = saved;
  // Checks of RFLAGS itself are made at every VM entry; those of segments look at VM only.
  if (((before ^ saved) & RFLAGS.VM) !== 0) vmcs.dirty |= GROUP.GUEST_SEGMENTS;
}

function saveControlled(vmcs: Vmcs, state: Int32Array): void {
  const controls = vmcs.low(VMCS.VM_EXIT_CONTROLS);
  if ((controls & EXIT_CONTROL.SAVE_DEBUG_CONTROLS) !== 0) {
    vmcs.store64(VMCS.GUEST_DR7, state[DR7]!, 0);
    vmcs.store64(VMCS.GUEST_IA32_DEBUGCTL, state[word(STATE.DEBUGCTL)]!, 0);
  }
  if ((controls & EXIT_CONTROL.SAVE_IA32_PAT) !== 0)
    vmcs.store64(VMCS.GUEST_IA32_PAT, state[word(STATE.PAT)]!, state[word(STATE.PAT) + 1]!);
  const efer = state[word(STATE.EFER)]!;
  if ((controls & EXIT_CONTROL.SAVE_IA32_EFER) !== 0) vmcs.store64(VMCS.GUEST_IA32_EFER, efer, 0);
  // IA32_VMX_MISC[5]: "IA-32e mode guest" takes the value of EFER.LMA (27.2).
  const entryControls = vmcs.low(VMCS.VM_ENTRY_CONTROLS);
  const longMode = (efer & EFER.LMA) !== 0 ? ENTRY_CONTROL.IA32E_MODE_GUEST : 0;
  vmcs.store32(VMCS.VM_ENTRY_CONTROLS, (entryControls & ~ENTRY_CONTROL.IA32E_MODE_GUEST) | longMode);
}

const blockingBy = (core: ProcessorCore): number =>
  (core.interruptShadow === 'sti'
    ? INTERRUPTIBILITY.BLOCKING_BY_STI
    : core.interruptShadow === 'mov-ss'
      ? INTERRUPTIBILITY.BLOCKING_BY_MOV_SS
      : 0) | (core.nmiBlocked ? INTERRUPTIBILITY.BLOCKING_BY_NMI : 0);

/** A single-step trap that blocking or the HLT state holds back (27.3.4). */
const SINGLE_STEP_PENDING = 1 << 14;

/**
 * @param resume how RFLAGS.RF is saved
 */
export function saveGuestState(core: ProcessorCore, vmcs: Vmcs, block: StateWords, resume: ResumeFlag): void {
  saveGuestRegisters(vmcs, block);
  const state = block.words;
  vmcs.store64(VMCS.GUEST_CR0, state[word(STATE.CR0)]!, 0);
  const flags = core.state.rflags;
  saveFlags(vmcs, flags, resume);
  saveControlled(vmcs, state);
  const blocking = blockingBy(core);
  vmcs.store32(VMCS.GUEST_INTERRUPTIBILITY_STATE, blocking);
  vmcs.store32(VMCS.GUEST_ACTIVITY_STATE, core.halted ? ACTIVITY.HLT : ACTIVITY.ACTIVE);
  const held = core.halted || core.interruptShadow !== 'none';
  const pending = held && (flags & RFLAGS.TF) !== 0 && (state[word(STATE.DEBUGCTL)]! & 2) === 0;
  vmcs.store64(VMCS.GUEST_PENDING_DEBUG_EXCEPTIONS, pending ? SINGLE_STEP_PENDING : 0, 0);
}
