/** Where the bit of an I/O port is in I/O bitmaps A and B (SDM Vol. 3C, 24.6.4 I/O-Bitmap Addresses). */

/** Bitmap A holds ports 0000H to 7FFFH, bitmap B the others; each has 4 KBytes. */
export const ioBitmap = (port: number): 'A' | 'B' => (port < 0x8000 ? 'A' : 'B');
export const ioBitmapByte = (port: number): number => (port & 0x7fff) >> 3;
export const ioBitmapMask = (port: number): number => 1 << (port & 7);
