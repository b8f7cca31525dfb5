/**
 * Copies between VMCS slots and the processor's block of state, as lists of 32-bit words worked out once: VM
 * entries and VM exits consist mostly of this.
 */

import { SEGMENT } from '../architecture/registers.js';
import { VMCS } from '../architecture/vmx/vmcs-fields.js';
import { SEGMENT_FIELD, SEGMENT_STRIDE, STATE } from '../processor/state/layout.js';
import type { ProcessorState } from '../processor/state/processor-state.js';
import { GUEST_SEGMENTS } from './segment-fields.js';
import type { Vmcs } from './vmcs.js';
import { FIELD_GROUP, SLOT } from './vmcs-layout.js';

/** The processor's block as 32-bit words; index = byte offset / 4. */
export function stateWords(state: ProcessorState): Int32Array {
  return new Int32Array(state.bytes.buffer, state.bytes.byteOffset, state.bytes.byteLength >> 2);
}

/** Word `n` of the VMCS region goes with word `n` of the processor's block; `group` is the field's `GROUP`. */
export interface WordPairs {
  readonly vmcs: Int32Array;
  readonly state: Int32Array;
  readonly group: Int32Array;
}

interface Field {
  readonly field: number;
  /** Byte offset in the processor's block. */
  readonly offset: number;
  readonly words: 1 | 2;
}

function wordPairs(fields: readonly Field[]): WordPairs {
  const words = fields.flatMap(({ field, offset, words: count }) =>
    Array.from({ length: count }, (_, n) => ({
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

const natural = (field: number, offset: number): Field => ({ field, offset, words: 2 });
const word32 = (field: number, offset: number): Field => ({ field, offset, words: 1 });

const RSP_OFFSET = STATE.GPR + 4 * 8;

/** Registers that VM entry loads and VM exit saves whatever the controls are; RFLAGS and CR0 aside. */
export const GUEST_REGISTER_WORDS: WordPairs = wordPairs([
  natural(VMCS.GUEST_CR3, STATE.CR3),
  natural(VMCS.GUEST_CR4, STATE.CR4),
  natural(VMCS.GUEST_RSP, RSP_OFFSET),
  natural(VMCS.GUEST_RIP, STATE.RIP),
  natural(VMCS.GUEST_GDTR_BASE, STATE.GDTR_BASE),
  word32(VMCS.GUEST_GDTR_LIMIT, STATE.GDTR_LIMIT),
  natural(VMCS.GUEST_IDTR_BASE, STATE.IDTR_BASE),
  word32(VMCS.GUEST_IDTR_LIMIT, STATE.IDTR_LIMIT),
  word32(VMCS.GUEST_IA32_SYSENTER_CS, STATE.SYSENTER_CS),
  natural(VMCS.GUEST_IA32_SYSENTER_ESP, STATE.SYSENTER_ESP),
  natural(VMCS.GUEST_IA32_SYSENTER_EIP, STATE.SYSENTER_EIP),
  ...GUEST_SEGMENTS.flatMap((s) => {
    const offset = STATE.SEGMENTS + s.number * SEGMENT_STRIDE;
    return [
      // The 16 bits after a selector are padding, which selectors of the VMCS keep zero.
      word32(s.selector, offset + SEGMENT_FIELD.SELECTOR),
      natural(s.base, offset + SEGMENT_FIELD.BASE),
      word32(s.limit, offset + SEGMENT_FIELD.LIMIT),
      word32(s.accessRights, offset + SEGMENT_FIELD.ACCESS_RIGHTS),
    ];
  }),
]);

const segmentBase = (number: number): number => STATE.SEGMENTS + number * SEGMENT_STRIDE + SEGMENT_FIELD.BASE;

/** What VM exit loads from the host-state area as it is. */
export const HOST_REGISTER_WORDS: WordPairs = wordPairs([
  natural(VMCS.HOST_CR3, STATE.CR3),
  natural(VMCS.HOST_CR4, STATE.CR4),
  natural(VMCS.HOST_RSP, RSP_OFFSET),
  natural(VMCS.HOST_RIP, STATE.RIP),
  natural(VMCS.HOST_FS_BASE, segmentBase(SEGMENT.FS)),
  natural(VMCS.HOST_GS_BASE, segmentBase(SEGMENT.GS)),
  natural(VMCS.HOST_TR_BASE, segmentBase(SEGMENT.TR)),
  natural(VMCS.HOST_GDTR_BASE, STATE.GDTR_BASE),
  natural(VMCS.HOST_IDTR_BASE, STATE.IDTR_BASE),
  word32(VMCS.HOST_IA32_SYSENTER_CS, STATE.SYSENTER_CS),
  natural(VMCS.HOST_IA32_SYSENTER_ESP, STATE.SYSENTER_ESP),
  natural(VMCS.HOST_IA32_SYSENTER_EIP, STATE.SYSENTER_EIP),
]);

/** VMCS → processor. */
export function loadWords(pairs: WordPairs, vmcs: Vmcs, state: Int32Array): void {
  const { words, base } = vmcs;
  const from = pairs.vmcs;
  const to = pairs.state;
  for (let n = 0; n < from.length; n++) state[to[n]!] = words[base + from[n]!]!;
}

/** Processor → VMCS; marks the groups of what changed. */
export function saveWords(pairs: WordPairs, vmcs: Vmcs, state: Int32Array): void {
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
