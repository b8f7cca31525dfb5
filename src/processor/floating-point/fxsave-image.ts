/** FXSAVE images outside of instructions, and the state after reset (SDM Vol. 1, 10.5.1; Vol. 3A, Table 9-1). */

import { FCW_INITIAL, FXSAVE, MXCSR_INITIAL, MXCSR_MASK } from '../../architecture/floating-point.js';
import { STATE } from '../state/layout.js';
import type { ProcessorState } from '../state/processor-state.js';
import { X87State } from './x87-state.js';

const area = (state: ProcessorState): Uint8Array =>
  state.bytes.subarray(STATE.FXSAVE_IMAGE, STATE.FXSAVE_IMAGE + FXSAVE.END);

/**
 * Writes the 64-bit FXSAVE layout of the x87 and SSE state, as FXSAVE64 in 64-bit mode does.
 * @param target at least 512 bytes; bytes 416 … 511 are left alone
 */
export function storeFxsaveImage(state: ProcessorState, target: Uint8Array): void {
  target.set(area(state));
  const view = new DataView(target.buffer, target.byteOffset, target.byteLength);
  view.setUint8(FXSAVE.TAGS + 1, 0);
  view.setUint32(FXSAVE.MXCSR_MASK, MXCSR_MASK, true);
}

/**
 * Takes the x87 and SSE state from a 64-bit FXSAVE layout.
 * @returns false, with nothing changed, when MXCSR has reserved bits set (FXRSTOR raises #GP)
 */
export function loadFxsaveImage(state: ProcessorState, source: Uint8Array): boolean {
  const view = new DataView(source.buffer, source.byteOffset, source.byteLength);
  if ((view.getUint32(FXSAVE.MXCSR, true) & ~MXCSR_MASK) !== 0) return false;
  area(state).set(source.subarray(0, FXSAVE.END));
  const x87 = new X87State(state);
  x87.controlWord = view.getUint16(FXSAVE.CONTROL_WORD, true);
  x87.opcode = view.getUint16(FXSAVE.OPCODE, true);
  return true;
}

/** The state after FNINIT; XMM registers and MXCSR are left alone. */
export function initializeX87(state: ProcessorState): void {
  const x87 = new X87State(state);
  x87.controlWord = FCW_INITIAL;
  x87.statusWord = 0;
  x87.tags = 0;
  x87.opcode = 0;
  x87.setInstructionPointer(0n);
  x87.setDataPointer(0n);
}

/** The state after RESET: as after FNINIT, all registers zero, MXCSR 1F80H. */
export function resetFloatingPoint(state: ProcessorState): void {
  area(state).fill(0);
  initializeX87(state);
  state.write32(STATE.FXSAVE_IMAGE + FXSAVE.MXCSR, MXCSR_INITIAL);
}
