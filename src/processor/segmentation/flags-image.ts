/** Loading RFLAGS from the stack under the privilege rules (SDM Vol. 2, POPF/POPFD/POPFQ and IRET/IRETD/IRETQ). */

import { ARITHMETIC_FLAGS, RFLAGS } from '../../architecture/rflags.js';
import type { ProcessorState } from '../state/processor-state.js';
import { ioPrivilegeLevel } from './mode.js';

/**
 * Bits that POPF and IRET may change at the present CPL and IOPL, without RF, VM, VIF and VIP.
 * @param size operand size in bytes
 */
export function writableFlags(state: ProcessorState, size: number): number {
  const privilege = state.cpl;
  let mask = ARITHMETIC_FLAGS | RFLAGS.TF | RFLAGS.DF | RFLAGS.NT;
  if (size > 2) mask |= RFLAGS.AC | RFLAGS.ID;
  if (privilege <= ioPrivilegeLevel(state)) mask |= RFLAGS.IF;
  if (privilege === 0) mask |= RFLAGS.IOPL;
  return mask;
}

/** Replaces the flags selected by `mask`. */
export function mergeFlags(state: ProcessorState, image: number, mask: number): void {
  state.rflags = ((state.rflags & ~mask) | (image & mask)) >>> 0;
}
