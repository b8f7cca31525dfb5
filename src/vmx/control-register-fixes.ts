/** Register bits that VM entries and VM exits leave alone or force. */

import { CR0 } from '../architecture/control-registers.js';

/**
 * CR0 bits that keep their value: ET, NW, CD and the reserved bits 15:6, 17 and 28:19 (SDM Vol. 3C, 26.3.2.1 Loading
 * Guest Control Registers, Debug Registers, and MSRs; 27.5.1 Loading Host Control Registers, Debug Registers, MSRs).
 */
const CR0_KEPT = 0x7ffaffd0;

/** CR0 after loading `field` over `register`. ET is 1 on every processor with VMX. */
export const loadedCr0 = (field: number, register: number): number =>
  (field & ~CR0_KEPT) | (register & CR0_KEPT) | CR0.ET;

/** DR7: bits 12, 14 and 15 read as 0, bit 10 as 1, whatever is loaded. */
export const fixDebugControl = (dr7: number): number => (dr7 & ~0xd000) | 0x400;
/** DR7 after VM exit. */
export const DR7_RESET = 0x400;
