/** Instructions that do nothing here, only probe memory, or only fault (SDM Vol. 1, 7.3.17 Miscellaneous Instructions). */

import { VECTOR } from '../../architecture/vectors.js';
import type { Semantics } from './context.js';

/**
 * NOP in all lengths, the fences (memory is always in program order here), prefetches and ENDBR. A memory operand is
 * not accessed and can't fault.
 */
export const doNothing: Semantics = () => {};

/** CLFLUSH and its kin fault like a read of one byte; there is no cache to flush. */
export const probeRead: Semantics = (context) => {
  context.reference(0, 8, 'r');
};

/** UD0, UD1, UD2. */
export const undefinedInstruction: Semantics = (context) => context.raise(VECTOR.UD);
