/** ELF64 executables (System V ABI, "Object Files": ELF Header and Program Header), as far as loading needs them. */

import type { GuestImage, ImageSegment } from './guest-image.js';
import { MachineError } from './machine-error.js';

const MAGIC = [0x7f, 0x45, 0x4c, 0x46] as const;
const HEADER_SIZE = 64;
const PROGRAM_HEADER_SIZE = 56;

const CLASS_64 = 2;
const LITTLE_ENDIAN = 1;
const TYPE_EXECUTABLE = 2;
const MACHINE_X86_64 = 62;
const SEGMENT_LOAD = 1;

const TYPE_NAMES: Record<number, string> = {
  1: 'a relocatable object',
  3: 'a shared object',
  4: 'a core dump',
};

export function isElf(bytes: Uint8Array): boolean {
  return MAGIC.every((byte, index) => bytes[index] === byte);
}

function fail(message: string): never {
  throw new MachineError('image', message);
}

/** A file offset, address or size: 64 bits, of which 52 are enough for anything that fits into memory. */
function readNumber(view: DataView, offset: number, what: string): number {
  const value = view.getBigUint64(offset, true);
  if (value >= 1n << 52n) fail(`${what} 0x${value.toString(16)} is beyond any physical memory`);
  return Number(value);
}

/** Loads PT_LOAD segments by their physical addresses. @throws MachineError 'image' */
export function readElfImage(bytes: Uint8Array): GuestImage {
  if (!isElf(bytes)) fail('not an ELF image: it does not start with the magic 7f 45 4c 46 (".ELF")');
  if (bytes.length < HEADER_SIZE) fail(`the ELF header is cut off: ${bytes.length} of ${HEADER_SIZE} bytes`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes[4] !== CLASS_64) fail('this is an ELF32 image; guests are entered in 64-bit mode and need ELF64');
  if (bytes[5] !== LITTLE_ENDIAN) fail('the ELF image is big-endian');
  const type = view.getUint16(16, true);
  if (type !== TYPE_EXECUTABLE)
    fail(`the ELF image is ${TYPE_NAMES[type] ?? `of type ${type}`}, not an executable; link it first`);
  const machine = view.getUint16(18, true);
  if (machine !== MACHINE_X86_64)
    fail(`the ELF image is for machine ${machine}, not x86-64 (${MACHINE_X86_64})`);

  const tableOffset = readNumber(view, 32, 'the program header table at');
  const entrySize = view.getUint16(54, true);
  const count = view.getUint16(56, true);
  if (count > 0 && entrySize < PROGRAM_HEADER_SIZE)
    fail(`program headers of ${entrySize} bytes are too short`);
  if (tableOffset + count * entrySize > bytes.length) fail('the ELF program header table is cut off');

  const segments: ImageSegment[] = [];
  for (let index = 0; index < count; index++) {
    const header = tableOffset + index * entrySize;
    if (view.getUint32(header, true) !== SEGMENT_LOAD) continue;
    const fileOffset = readNumber(view, header + 8, 'file offset');
    const physicalAddress = readNumber(view, header + 24, 'physical address');
    const sizeInFile = readNumber(view, header + 32, 'file size');
    const sizeInMemory = readNumber(view, header + 40, 'memory size');
    if (fileOffset + sizeInFile > bytes.length) fail(`ELF segment ${index} is cut off`);
    if (sizeInFile > sizeInMemory) fail(`ELF segment ${index} is larger in the file than in memory`);
    if (sizeInMemory === 0) continue;
    segments.push({
      physicalAddress,
      data: bytes.subarray(fileOffset, fileOffset + sizeInFile),
      sizeInMemory,
    });
  }
  if (segments.length === 0) fail('the ELF image has nothing to load (no PT_LOAD segment)');
  return { format: 'elf64', segments, entry: readNumber(view, 24, 'entry') };
}
