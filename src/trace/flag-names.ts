/** Names of the RFLAGS bits that are set in a value. */

import { RFLAGS } from '../architecture/rflags.js';

/** Low bits first; the two bits of IOPL count as one, and bits without a name are left out. */
export function flagNames(bits: bigint): string[] {
  const low = Number(bits & 0xffffffffn);
  return Object.entries(RFLAGS)
    .filter(([name, mask]) => name !== 'FIXED' && (low & mask) !== 0)
    .map(([name]) => name);
}
