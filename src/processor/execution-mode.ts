/** The part of the state that decoded code depends on, as one number: part of every code-cache key. */

import { CR0, CR4, EFER } from '../architecture/control-registers.js';
import { SEGMENT } from '../architecture/registers.js';
import { RFLAGS } from '../architecture/rflags.js';
import { SEGMENT_FIELD, SEGMENT_STRIDE, STATE } from './state/layout.js';
import type { ProcessorState } from './state/processor-state.js';

/** Access-rights bits of a code or stack segment (VMCS format). */
const DPL = 3 << 5;
const CODE_LONG = 1 << 13;
const DEFAULT_BIG = 1 << 14;

/** Code size in bits: 64 with CS.L in IA-32e mode, otherwise by CS.D (16 in real and virtual-8086 mode). */
export function codeSizeOf(state: ProcessorState): 16 | 32 | 64 {
  const rights = state.segment(SEGMENT.CS).accessRights;
  if ((state.efer & EFER.LMA) !== 0 && (rights & CODE_LONG) !== 0) return 64;
  return (rights & DEFAULT_BIG) !== 0 ? 32 : 16;
}

const CODE_SIZE_NUMBER = { 16: 0, 32: 1, 64: 2 } as const;

/** Number of the current mode: code size, user or supervisor, stack size, alignment checks. */
export function executionMode(state: ProcessorState): number {
  const user = state.cpl === 3;
  const alignment =
    user && (state.cr0 & CR0.AM) !== 0 && (state.read32(STATE.RFLAGS_OTHER) & RFLAGS.AC) !== 0;
  const bigStack = (state.segment(SEGMENT.SS).accessRights & DEFAULT_BIG) !== 0;
  return CODE_SIZE_NUMBER[codeSizeOf(state)] | (user ? 4 : 0) | (bigStack ? 8 : 0) | (alignment ? 16 : 0);
}

const PAGING_CR0 = CR0.PG | CR0.WP;
const PAGING_CR4 = CR4.PSE | CR4.PAE | CR4.PGE | CR4.PCIDE | CR4.SMEP | CR4.SMAP;
const PAGING_EFER = EFER.NXE | EFER.LMA;

/** What translations depend on besides page tables and privilege, kept to notice changes: one empties the TLB. */
export class PagingMode {
  private cr0 = 0;
  private cr4 = 0;
  private efer = 0;

  /** Takes the current values over. @returns whether any has changed */
  update(state: ProcessorState): boolean {
    const cr0 = state.cr0 & PAGING_CR0;
    const cr4 = state.cr4 & PAGING_CR4;
    const efer = state.efer & PAGING_EFER;
    if (cr0 === this.cr0 && cr4 === this.cr4 && efer === this.efer) return false;
    this.cr0 = cr0;
    this.cr4 = cr4;
    this.efer = efer;
    return true;
  }
}

const accessRightsOf = (segment: number): number =>
  STATE.SEGMENTS + segment * SEGMENT_STRIDE + SEGMENT_FIELD.ACCESS_RIGHTS;

/** All that the execution mode and the paging mode depend on: words of the block by offset, with the bits that count. */
export const MODE_INPUTS: readonly (readonly [offset: number, bits: number])[] = [
  [accessRightsOf(SEGMENT.CS), CODE_LONG | DEFAULT_BIG],
  [accessRightsOf(SEGMENT.SS), DPL | DEFAULT_BIG],
  [STATE.RFLAGS_OTHER, RFLAGS.AC],
  [STATE.CR0, PAGING_CR0 | CR0.AM],
  [STATE.CR4, PAGING_CR4],
  [STATE.EFER, PAGING_EFER],
];

/** Notes the present values of `MODE_INPUTS`, so that others can tell whether the modes have to be worked out again. */
export function noteModeInputs(state: ProcessorState): void {
  const { view } = state;
  for (let n = 0; n < MODE_INPUTS.length; n++)
    view.setInt32(STATE.MODE_INPUTS + n * 4, view.getInt32(MODE_INPUTS[n]![0], true), true);
}
