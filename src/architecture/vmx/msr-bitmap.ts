/** Where the bit of an MSR is in the 4-KByte MSR bitmaps (SDM Vol. 3C, 24.6.9 MSR-Bitmap Address). */

export const MSR_BITMAP_SIZE = 4096;
const LOW_LIMIT = 0x1fff;
const HIGH_BASE = 0xc0000000;
const HIGH_LIMIT = 0xc0001fff;

/**
 * Number of the bit (byte = bit >> 3) that governs RDMSR or WRMSR of `index`, or -1 when the MSR is outside both
 * ranges and the access always exits.
 */
export function msrBitmapBit(index: number, write: boolean): number {
  const half = write ? 0x800 * 8 : 0;
  if (index <= LOW_LIMIT) return half + index;
  if (index >= HIGH_BASE && index <= HIGH_LIMIT) return half + 0x400 * 8 + (index - HIGH_BASE);
  return -1;
}
