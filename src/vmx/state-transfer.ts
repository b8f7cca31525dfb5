/**
 * Copies between the VMCS and the processor's block of state: guest segment and descriptor-table registers in one
 * piece, other registers as a list of 32-bit words worked out once. VM entries and VM exits consist mostly of this.
 */

import { VMCS } from '../architecture/vmx/vmcs-fields.js';
import { SEGMENT_STRIDE, STATE } from '../processor/state/layout.js';
import type { ProcessorState } from '../processor/state/processor-state.js';
import { GUEST_SEGMENTS } from './segment-fields.js';
import type { Vmcs } from './vmcs.js';
import { FIELD_GROUP, GROUP, has64Bits, MIRROR, SLOT } from './vmcs-layout.js';

/** The processor's block as 32-bit words. */
export interface StateWords {
  /** Index = byte offset in the block / 4. */
  readonly words: Int32Array;
  /** The whole linear memory, which RAM shares; the block starts at index `place`. */
  readonly all: Int32Array;
  readonly place: number;
}

export function stateWords(state: ProcessorState): StateWords {
  const { buffer, byteOffset, byteLength } = state.bytes;
  return {
    words: new Int32Array(buffer, byteOffset, byteLength >> 2),
    all: new Int32Array(buffer),
    place: byteOffset >> 2,
  };
}

/** Word `n` of the VMCS region goes with word `n` of the processor's block; `group` is the field's `GROUP`. */
export interface WordPairs {
  readonly vmcs: Int32Array;
  readonly state: Int32Array;
  readonly group: Int32Array;
}

/** @param fields encodings with byte offsets in the processor's block */
export function wordPairs(fields: readonly (readonly [field: number, offset: number])[]): WordPairs {
  const words = fields.flatMap(([field, offset]) =>
    Array.from({ length: has64Bits(field) ? 2 : 1 }, (_, n) => ({
      vmcs: SLOT[field]! + n,
      state: (offset >> 2) + n,
      group: FIELD_GROUP[field]!,
    })),
  );
  return {
    vmcs: Int32Array.from(words, (w) => w.vmcs),
    state: Int32Array.from(words, (w) => w.state),
    group: Int32Array.from(words, (w) => w.group),
  };
}

/** Byte offset of RSP in the processor's block. */
export const RSP_OFFSET = STATE.GPR + 4 * 8;

/** What VM entry loads and VM exit saves whatever the controls are, beside the mirrored registers, CR0 and RFLAGS. */
const GUEST_REGISTER_WORDS: WordPairs = wordPairs([
  [VMCS.GUEST_CR3, STATE.CR3],
  [VMCS.GUEST_CR4, STATE.CR4],
  [VMCS.GUEST_RSP, RSP_OFFSET],
  [VMCS.GUEST_RIP, STATE.RIP],
  [VMCS.GUEST_IA32_SYSENTER_CS, STATE.SYSENTER_CS],
  [VMCS.GUEST_IA32_SYSENTER_ESP, STATE.SYSENTER_ESP],
  [VMCS.GUEST_IA32_SYSENTER_EIP, STATE.SYSENTER_EIP],
]);

/** VMCS → processor. */
export function loadWords(pairs: WordPairs, vmcs: Vmcs, state: Int32Array): void {
  const { words, base } = vmcs;
  const from = pairs.vmcs;
  const to = pairs.state;
  for (let n = 0; n < from.length; n++) state[to[n]!] = words[base + from[n]!]!;
}

/** Processor → VMCS; marks the groups of what changed. */
function saveWords(pairs: WordPairs, vmcs: Vmcs, state: Int32Array): void {
  const { words, base } = vmcs;
  const to = pairs.vmcs;
  const from = pairs.state;
  let changed = 0;
  for (let n = 0; n < to.length; n++) {
    const value = state[from[n]!]!;
    const target = base + to[n]!;
    if (words[target] !== value) {
      words[target] = value;
      changed |= pairs.group[n]!;
    }
  }
  vmcs.dirty |= changed;
}

const { REGION_WORD, STATE_WORD, WORDS } = MIRROR;
const SEGMENT_WORDS = (GUEST_SEGMENTS.length * SEGMENT_STRIDE) >> 2;

/** Loads all guest registers that do not depend on controls. */
export function loadGuestRegisters(vmcs: Vmcs, state: StateWords): void {
  const from = vmcs.place + REGION_WORD;
  state.all.copyWithin(state.place + STATE_WORD, from, from + WORDS);
  loadWords(GUEST_REGISTER_WORDS, vmcs, state.words);
}

/** Saves them. */
export function saveGuestRegisters(vmcs: Vmcs, state: StateWords): void {
  const { words } = vmcs;
  const registers = state.words;
  const to = vmcs.base + REGION_WORD;
  let difference = 0;
  // Base, limit, access rights and selector of each segment register; the rest of its eight words is padding.
  for (let n = 0; n < SEGMENT_WORDS; n += SEGMENT_STRIDE >> 2) {
    const a = to + n;
    const b = STATE_WORD + n;
    difference |=
      (words[a]! ^ registers[b]!) |
      (words[a + 1]! ^ registers[b + 1]!) |
      (words[a + 2]! ^ registers[b + 2]!) |
      (words[a + 3]! ^ registers[b + 3]!) |
      (words[a + 4]! ^ registers[b + 4]!);
  }
  for (let n = SEGMENT_WORDS; n < WORDS; n++) difference |= words[to + n]! ^ registers[STATE_WORD + n]!;
  if (difference !== 0) {
    const from = state.place + STATE_WORD;
    state.all.copyWithin(vmcs.place + REGION_WORD, from, from + WORDS);
    vmcs.dirty |= GROUP.GUEST_SEGMENTS | GROUP.GUEST_DESCRIPTOR_TABLES;
  }
  saveWords(GUEST_REGISTER_WORDS, vmcs, registers);
}
