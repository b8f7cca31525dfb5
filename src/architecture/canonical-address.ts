/** Canonical linear addresses (SDM Vol. 1, 3.3.7.1 Canonical Addressing), 48 bits implemented. */

/** Bits of a linear address that are translated. */
export const LINEAR_ADDRESS_BITS = 48;

/** True when bits 63:47 of the 64-bit `address` (signed or unsigned) are all equal. */
export function isCanonical(address: bigint): boolean {
  return BigInt.asIntN(LINEAR_ADDRESS_BITS, address) === BigInt.asIntN(64, address);
}
