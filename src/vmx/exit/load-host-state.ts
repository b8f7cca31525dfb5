/** Loading host state (SDM Vol. 3C, 27.5). */

import { CR4, EFER } from '../../architecture/control-registers.js';
import { SEGMENT } from '../../architecture/registers.js';
import { RFLAGS } from '../../architecture/rflags.js';
import { EXIT_CONTROL } from '../../architecture/vmx/controls.js';
import { VMCS } from '../../architecture/vmx/vmcs-fields.js';
import type { ProcessorCore } from '../../processor/core.js';
import { SEGMENT_FIELD, SEGMENT_STRIDE, STATE } from '../../processor/state/layout.js';
import { CR0_KEPT, DR7_RESET } from '../control-register-fixes.js';
import { HOST_REGISTER_WORDS, loadWords } from '../state-transfer.js';
import type { Vmcs } from '../vmcs.js';

const word = (offset: number): number => offset >> 2;
const DR7 = word(STATE.DEBUG + 7 * 8);

/** 27.5.2 Loading Host Segment and Descriptor-Table Registers. */
const CODE_64 = 0xa09b;
const CODE_32 = 0xc09b;
const DATA = 0xc093;
const BUSY_TSS = 0x8b;
const UNUSABLE = 0x10000;
const FLAT_LIMIT = -1;
const TSS_LIMIT = 0x67;
const TABLE_LIMIT = 0xffff;

function setSegment(
  state: Int32Array,
  number: number,
  selector: number,
  limit: number,
  accessRights: number,
): void {
  const at = word(STATE.SEGMENTS + number * SEGMENT_STRIDE);
  state[at + word(SEGMENT_FIELD.SELECTOR)] = selector;
  state[at + word(SEGMENT_FIELD.LIMIT)] = limit;
  state[at + word(SEGMENT_FIELD.ACCESS_RIGHTS)] = accessRights;
}

function clearBase(state: Int32Array, number: number): void {
  const at = word(STATE.SEGMENTS + number * SEGMENT_STRIDE + SEGMENT_FIELD.BASE);
  state[at] = 0;
  state[at + 1] = 0;
}

const dataRights = (selector: number): number => (selector === 0 ? DATA | UNUSABLE : DATA);

function loadSegments(vmcs: Vmcs, state: Int32Array, longMode: boolean): void {
  const es = vmcs.low(VMCS.HOST_ES_SELECTOR);
  const ss = vmcs.low(VMCS.HOST_SS_SELECTOR);
  const ds = vmcs.low(VMCS.HOST_DS_SELECTOR);
  const fs = vmcs.low(VMCS.HOST_FS_SELECTOR);
  const gs = vmcs.low(VMCS.HOST_GS_SELECTOR);
  setSegment(state, SEGMENT.CS, vmcs.low(VMCS.HOST_CS_SELECTOR), FLAT_LIMIT, longMode ? CODE_64 : CODE_32);
  setSegment(state, SEGMENT.ES, es, FLAT_LIMIT, dataRights(es));
  // SS stays a usable-looking DPL-0 segment even with a null selector: its DPL is the privilege level.
  setSegment(state, SEGMENT.SS, ss, FLAT_LIMIT, dataRights(ss));
  setSegment(state, SEGMENT.DS, ds, FLAT_LIMIT, dataRights(ds));
  setSegment(state, SEGMENT.FS, fs, FLAT_LIMIT, dataRights(fs));
  setSegment(state, SEGMENT.GS, gs, FLAT_LIMIT, dataRights(gs));
  setSegment(state, SEGMENT.TR, vmcs.low(VMCS.HOST_TR_SELECTOR), TSS_LIMIT, BUSY_TSS);
  setSegment(state, SEGMENT.LDTR, 0, 0, UNUSABLE);
  clearBase(state, SEGMENT.CS);
  clearBase(state, SEGMENT.ES);
  clearBase(state, SEGMENT.SS);
  clearBase(state, SEGMENT.DS);
  clearBase(state, SEGMENT.LDTR);
  state[word(STATE.GDTR_LIMIT)] = TABLE_LIMIT;
  state[word(STATE.IDTR_LIMIT)] = TABLE_LIMIT;
}

function loadModelSpecific(vmcs: Vmcs, state: Int32Array, controls: number, longMode: boolean): void {
  state[word(STATE.DEBUGCTL)] = 0;
  const efer = word(STATE.EFER);
  if ((controls & EXIT_CONTROL.LOAD_IA32_EFER) !== 0) state[efer] = vmcs.low(VMCS.HOST_IA32_EFER);
  else state[efer] = (state[efer]! & ~(EFER.LMA | EFER.LME)) | (longMode ? EFER.LMA | EFER.LME : 0);
  if ((controls & EXIT_CONTROL.LOAD_IA32_PAT) !== 0) {
    state[word(STATE.PAT)] = vmcs.low(VMCS.HOST_IA32_PAT);
    state[word(STATE.PAT) + 1] = vmcs.high(VMCS.HOST_IA32_PAT);
  }
}

/** @param state the processor's block as words */
export function loadHostState(core: ProcessorCore, vmcs: Vmcs, state: Int32Array): void {
  const controls = vmcs.low(VMCS.VM_EXIT_CONTROLS);
  const longMode = (controls & EXIT_CONTROL.HOST_ADDRESS_SPACE_SIZE) !== 0;
  loadWords(HOST_REGISTER_WORDS, vmcs, state);
  const cr0 = word(STATE.CR0);
  state[cr0] = (vmcs.low(VMCS.HOST_CR0) & ~CR0_KEPT) | (state[cr0]! & CR0_KEPT);
  if (longMode) state[word(STATE.CR4)] = state[word(STATE.CR4)]! | CR4.PAE;
  state[DR7] = DR7_RESET;
  state[DR7 + 1] = 0;
  loadSegments(vmcs, state, longMode);
  loadModelSpecific(vmcs, state, controls, longMode);
  core.state.rflags = RFLAGS.FIXED;
  core.interruptShadow = 'none';
  core.halted = false;
}
