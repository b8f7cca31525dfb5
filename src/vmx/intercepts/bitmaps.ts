/** Decisions by I/O bitmaps and MSR bitmaps (SDM Vol. 3C, 25.1.3 Instructions That Cause VM Exits Conditionally). */

import { PRIMARY } from '../../architecture/vmx/controls.js';
import { ioBitmap, ioBitmapByte, ioBitmapMask } from '../../architecture/vmx/io-bitmap.js';
import { msrBitmapBit } from '../../architecture/vmx/msr-bitmap.js';
import { hostPhysical } from '../../memory/addresses.js';
import type { PhysicalMemory } from '../../memory/physical-memory.js';
import type { ExecutionControls } from './execution-controls.js';

/** A byte of a bitmap; where there is no RAM all bits are 1. */
const bitmapByte = (memory: PhysicalMemory, address: number): number =>
  memory.contains(address, 1) ? memory.read8(hostPhysical(address)) : 0xff;

const LAST_PORT = 0xffff;

/** True when an access to `size` bytes from `port` causes a VM exit. Any of the ports may ask for it. */
export function ioExits(
  memory: PhysicalMemory,
  controls: ExecutionControls,
  port: number,
  size: number,
): boolean {
  if (!controls.hasPrimary(PRIMARY.USE_IO_BITMAPS))
    return controls.hasPrimary(PRIMARY.UNCONDITIONAL_IO_EXITING);
  if (port + size - 1 > LAST_PORT) return true;
  for (let p = port; p < port + size; p++) {
    const bitmap = ioBitmap(p) === 'A' ? controls.ioBitmapA : controls.ioBitmapB;
    if ((bitmapByte(memory, bitmap + ioBitmapByte(p)) & ioBitmapMask(p)) !== 0) return true;
  }
  return false;
}

/** True when RDMSR (or WRMSR) of `index` causes a VM exit. */
export function msrExits(
  memory: PhysicalMemory,
  controls: ExecutionControls,
  index: number,
  write: boolean,
): boolean {
  if (!controls.hasPrimary(PRIMARY.USE_MSR_BITMAPS)) return true;
  const bit = msrBitmapBit(index, write);
  if (bit < 0) return true;
  return (bitmapByte(memory, controls.msrBitmaps + (bit >> 3)) & (1 << (bit & 7))) !== 0;
}
