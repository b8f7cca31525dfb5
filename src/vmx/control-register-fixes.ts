/** Register bits that VM entries and VM exits leave alone or force, as generated code. */

import { CR0 } from '../architecture/control-registers.js';
import type { I32 } from '../wasm/expression.js';

/**
 * CR0 bits that keep their value: ET, NW, CD and the reserved bits 15:6, 17 and 28:19 (SDM Vol. 3C, 26.3.2.1 Loading
 * Guest Control Registers, Debug Registers, and MSRs; 27.5.1 Loading Host Control Registers, Debug Registers, MSRs).
 */
const CR0_KEPT = 0x7ffaffd0;

/** CR0 after loading `field` over `register`. ET is 1 on every processor with VMX. */
export const loadedCr0 = (field: I32, register: I32): I32 =>
  field.and(~CR0_KEPT).or(register.and(CR0_KEPT)).or(CR0.ET);

/** DR7: bits 12, 14 and 15 read as 0, bit 10 as 1, whatever is loaded. */
export const fixDebugControl = (dr7: I32): I32 => dr7.and(~0xd000).or(0x400);
/** DR7 after VM exit. */
export const DR7_RESET = 0x400;
