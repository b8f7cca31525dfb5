/** Where general-purpose registers lie in the processor block. */

import { HIGH_BYTE_REGISTER_BASE } from '../../architecture/registers.js';
import { STATE } from '../state/layout.js';

/** Offset of a register in the processor block; 8-bit registers 16–19 are the high bytes. */
export function registerOffset(register: number, width: number): number {
  if (width === 8 && register >= HIGH_BYTE_REGISTER_BASE)
    return STATE.GPR + (register - HIGH_BYTE_REGISTER_BASE) * 8 + 1;
  return STATE.GPR + register * 8;
}
