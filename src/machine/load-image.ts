/** From the bytes of a file to a guest image that fits into the machine. */

import { isElf, readElfImage } from './elf-image.js';
import type { GuestImage } from './guest-image.js';
import { MachineError } from './machine-error.js';
import { FIRST_IMAGE_ADDRESS, LOAD_ADDRESS } from './memory-map.js';

export type ImageFormat = GuestImage['format'] | 'auto';

/**
 * Takes an image apart. `auto` means ELF64 when the bytes start with the ELF magic, otherwise flat.
 * @throws MachineError 'image' when the bytes are no image of that format
 */
export function readGuestImage(
  bytes: Uint8Array,
  format: ImageFormat = 'auto',
  loadAddress = LOAD_ADDRESS,
): GuestImage {
  if (bytes.length === 0) throw new MachineError('image', 'the image is empty');
  if (format === 'elf64' || (format === 'auto' && isElf(bytes))) return readElfImage(bytes);
  const segment = { physicalAddress: loadAddress, data: bytes, sizeInMemory: bytes.length };
  return { format: 'flat', segments: [segment], entry: loadAddress };
}

/** @throws MachineError 'image' when a segment does not fit between the boot structures and the end of RAM */
export function checkImageFits(image: GuestImage, memoryBytes: number): void {
  for (const { physicalAddress, sizeInMemory } of image.segments) {
    const end = physicalAddress + sizeInMemory;
    const place = `0x${physicalAddress.toString(16)} to 0x${end.toString(16)}`;
    if (end > memoryBytes)
      throw new MachineError('image', `the image needs ${place}, RAM ends at 0x${memoryBytes.toString(16)}`);
    if (physicalAddress < FIRST_IMAGE_ADDRESS)
      throw new MachineError(
        'image',
        `the image needs ${place}, which is taken by the boot structures below 0x${FIRST_IMAGE_ADDRESS.toString(16)}`,
      );
  }
}
