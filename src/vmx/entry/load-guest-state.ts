/** Loading guest state (SDM Vol. 3C, 26.3.2). All checks have passed. */

import { CR0, EFER } from '../../architecture/control-registers.js';
import { ENTRY_CONTROL } from '../../architecture/vmx/controls.js';
import { ACTIVITY, INTERRUPTIBILITY } from '../../architecture/vmx/guest-state.js';
import { VMCS } from '../../architecture/vmx/vmcs-fields.js';
import type { ProcessorCore } from '../../processor/core.js';
import { STATE } from '../../processor/state/layout.js';
import { fixDebugControl, loadedCr0 } from '../control-register-fixes.js';
import { loadGuestRegisters, type StateWords } from '../state-transfer.js';
import type { Vmcs } from '../vmcs.js';

const word = (offset: number): number => offset >> 2;
const DR7 = word(STATE.DEBUG + 7 * 8);

/** EFER when the VM-entry controls do not load it: LMA and LME follow "IA-32e mode guest". */
function eferOfMode(efer: number, longMode: boolean, paging: boolean): number {
  const cleared = efer & ~(paging ? EFER.LMA | EFER.LME : EFER.LMA);
  return longMode ? cleared | EFER.LMA | EFER.LME : cleared;
}

function loadControlled(vmcs: Vmcs, state: Int32Array, controls: number): void {
  if ((controls & ENTRY_CONTROL.LOAD_DEBUG_CONTROLS) !== 0) {
    state[DR7] = fixDebugControl(vmcs.low(VMCS.GUEST_DR7));
    state[word(STATE.DEBUGCTL)] = vmcs.low(VMCS.GUEST_IA32_DEBUGCTL);
  }
  if ((controls & ENTRY_CONTROL.LOAD_IA32_PAT) !== 0) {
    state[word(STATE.PAT)] = vmcs.low(VMCS.GUEST_IA32_PAT);
    state[word(STATE.PAT) + 1] = vmcs.high(VMCS.GUEST_IA32_PAT);
  }
  state[word(STATE.EFER)] =
    (controls & ENTRY_CONTROL.LOAD_IA32_EFER) !== 0
      ? vmcs.low(VMCS.GUEST_IA32_EFER)
      : eferOfMode(
          state[word(STATE.EFER)]!,
          (controls & ENTRY_CONTROL.IA32E_MODE_GUEST) !== 0,
          (vmcs.low(VMCS.GUEST_CR0) & CR0.PG) !== 0,
        );
}

export function loadGuestState(core: ProcessorCore, vmcs: Vmcs, block: StateWords): void {
  loadGuestRegisters(vmcs, block);
  const state = block.words;
  const cr0 = word(STATE.CR0);
  state[cr0] = loadedCr0(vmcs.low(VMCS.GUEST_CR0), state[cr0]!);
  loadControlled(vmcs, state, vmcs.low(VMCS.VM_ENTRY_CONTROLS));
  core.state.rflags = vmcs.unsigned(VMCS.GUEST_RFLAGS);

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
