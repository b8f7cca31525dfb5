/** Loading host state (SDM Vol. 3C, 27.5). */

import { CR4, EFER } from '../../architecture/control-registers.js';
import { SEGMENT } from '../../architecture/registers.js';
import { RFLAGS } from '../../architecture/rflags.js';
import { EXIT_CONTROL } from '../../architecture/vmx/controls.js';
import { VMCS } from '../../architecture/vmx/vmcs-fields.js';
import type { ProcessorCore } from '../../processor/core.js';
import { SEGMENT_FIELD, SEGMENT_STRIDE, STATE } from '../../processor/state/layout.js';
import { DR7_RESET, loadedCr0 } from '../control-register-fixes.js';
import { loadWords, RSP_OFFSET, wordPairs } from '../state-transfer.js';
import type { Vmcs } from '../vmcs.js';
import { MIRROR } from '../vmcs-layout.js';

const word = (offset: number): number => offset >> 2;
const DR7 = word(STATE.DEBUG + 7 * 8);

/** What is loaded from the host-state area as it is. */
const HOST_REGISTER_WORDS = wordPairs([
  [VMCS.HOST_CR3, STATE.CR3],
  [VMCS.HOST_CR4, STATE.CR4],
  [VMCS.HOST_RSP, RSP_OFFSET],
  [VMCS.HOST_RIP, STATE.RIP],
  [VMCS.HOST_IA32_SYSENTER_CS, STATE.SYSENTER_CS],
  [VMCS.HOST_IA32_SYSENTER_ESP, STATE.SYSENTER_ESP],
  [VMCS.HOST_IA32_SYSENTER_EIP, STATE.SYSENTER_EIP],
]);

/** Access rights and limits that every VM exit gives (27.5.2 Loading Host Segment and Descriptor-Table Registers). */
const CODE_64 = 0xa09b;
const CODE_32 = 0xc09b;
const DATA = 0xc093;
const BUSY_TSS = 0x8b;
const UNUSABLE = 0x10000;
const FLAT_LIMIT = -1;
const TSS_LIMIT = 0x67;
const TABLE_LIMIT = 0xffff;

const dataRights = (selector: number): number => (selector === 0 ? DATA | UNUSABLE : DATA);

const isLongModeHost = (vmcs: Vmcs): boolean =>
  (vmcs.low(VMCS.VM_EXIT_CONTROLS) & EXIT_CONTROL.HOST_ADDRESS_SPACE_SIZE) !== 0;

/** Host values of segment and descriptor-table registers, made when a VM entry finds host fields changed. */
export class HostSegments {
  private readonly image = new Int32Array(MIRROR.WORDS);

  build(vmcs: Vmcs): void {
    this.image.fill(0);
    const code = isLongModeHost(vmcs) ? CODE_64 : CODE_32;
    this.segment(SEGMENT.CS, vmcs.low(VMCS.HOST_CS_SELECTOR), FLAT_LIMIT, code);
    this.data(vmcs, SEGMENT.ES, VMCS.HOST_ES_SELECTOR);
    this.data(vmcs, SEGMENT.SS, VMCS.HOST_SS_SELECTOR);
    this.data(vmcs, SEGMENT.DS, VMCS.HOST_DS_SELECTOR);
    this.data(vmcs, SEGMENT.FS, VMCS.HOST_FS_SELECTOR);
    this.data(vmcs, SEGMENT.GS, VMCS.HOST_GS_SELECTOR);
    this.segment(SEGMENT.TR, vmcs.low(VMCS.HOST_TR_SELECTOR), TSS_LIMIT, BUSY_TSS);
    this.segment(SEGMENT.LDTR, 0, 0, UNUSABLE);
    this.base(vmcs, this.segmentOffset(SEGMENT.FS), VMCS.HOST_FS_BASE);
    this.base(vmcs, this.segmentOffset(SEGMENT.GS), VMCS.HOST_GS_BASE);
    this.base(vmcs, this.segmentOffset(SEGMENT.TR), VMCS.HOST_TR_BASE);
    this.base(vmcs, STATE.GDTR_BASE, VMCS.HOST_GDTR_BASE);
    this.base(vmcs, STATE.IDTR_BASE, VMCS.HOST_IDTR_BASE);
    this.image[word(STATE.GDTR_LIMIT) - MIRROR.STATE_WORD] = TABLE_LIMIT;
    this.image[word(STATE.IDTR_LIMIT) - MIRROR.STATE_WORD] = TABLE_LIMIT;
  }

  load(state: Int32Array): void {
    state.set(this.image, MIRROR.STATE_WORD);
  }

  private segmentOffset(number: number): number {
    return STATE.SEGMENTS + number * SEGMENT_STRIDE;
  }
  private segment(number: number, selector: number, limit: number, accessRights: number): void {
    const at = word(this.segmentOffset(number)) - MIRROR.STATE_WORD;
    this.image[at + word(SEGMENT_FIELD.SELECTOR)] = selector;
    this.image[at + word(SEGMENT_FIELD.LIMIT)] = limit;
    this.image[at + word(SEGMENT_FIELD.ACCESS_RIGHTS)] = accessRights;
  }
  private data(vmcs: Vmcs, number: number, selectorField: number): void {
    const selector = vmcs.low(selectorField);
    this.segment(number, selector, FLAT_LIMIT, dataRights(selector));
  }
  private base(vmcs: Vmcs, offset: number, field: number): void {
    const at = word(offset) - MIRROR.STATE_WORD;
    this.image[at] = vmcs.low(field);
    this.image[at + 1] = vmcs.high(field);
  }
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

/**
 * @param segments built from the same VMCS
 * @param state the processor's block as words
 */
export function loadHostState(
  core: ProcessorCore,
  vmcs: Vmcs,
  segments: HostSegments,
  state: Int32Array,
): void {
  const longMode = isLongModeHost(vmcs);
  segments.load(state);
  loadWords(HOST_REGISTER_WORDS, vmcs, state);
  const cr0 = word(STATE.CR0);
  state[cr0] = loadedCr0(vmcs.low(VMCS.HOST_CR0), state[cr0]!);
  if (longMode) state[word(STATE.CR4)] = state[word(STATE.CR4)]! | CR4.PAE;
  state[DR7] = DR7_RESET;
  state[DR7 + 1] = 0;
  loadModelSpecific(vmcs, state, vmcs.low(VMCS.VM_EXIT_CONTROLS), longMode);
  core.state.rflags = RFLAGS.FIXED;
  core.interruptShadow = 'none';
  core.halted = false;
}
