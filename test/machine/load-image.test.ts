import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { checkImageFits, readGuestImage } from '../../src/machine/load-image.js';
import { MachineError } from '../../src/machine/machine-error.js';
import { hasTool, inTemporaryFolder, runTool, skipNote } from '../support/tools.js';

/** The smallest ELF64 executable that has one PT_LOAD segment; single fields can be spoilt. */
function elf(spoil: (view: DataView) => void = () => {}): Uint8Array {
  const bytes = new Uint8Array(64 + 56 + 4);
  const view = new DataView(bytes.buffer);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setUint16(16, 2, true); // e_type
  view.setUint16(18, 62, true); // e_machine
  view.setBigUint64(24, 0x200002n, true); // e_entry
  view.setBigUint64(32, 64n, true); // e_phoff
  view.setUint16(54, 56, true); // e_phentsize
  view.setUint16(56, 1, true); // e_phnum
  view.setUint32(64, 1, true); // p_type
  view.setBigUint64(72, 120n, true); // p_offset
  view.setBigUint64(80, 0xffffffff80200000n, true); // p_vaddr
  view.setBigUint64(88, 0x200000n, true); // p_paddr
  view.setBigUint64(96, 4n, true); // p_filesz
  view.setBigUint64(104, 0x1000n, true); // p_memsz
  bytes.set([0x90, 0x90, 0xfa, 0xf4], 120);
  spoil(view);
  return bytes;
}

const messageOf = (work: () => unknown): string => {
  try {
    work();
  } catch (error) {
    expect(error).toBeInstanceOf(MachineError);
    return (error as MachineError).message;
  }
  throw new Error('nothing was thrown');
};

describe('guest images', () => {
  it('takes anything without a magic as a flat image', () => {
    const image = readGuestImage(Uint8Array.of(0xfa, 0xf4));
    expect(image.entry).toBe(0x100000);
    expect(image.segments).toEqual([
      { physicalAddress: 0x100000, data: Uint8Array.of(0xfa, 0xf4), sizeInMemory: 2 },
    ]);
  });

  it('loads ELF64 segments by their physical address', () => {
    const image = readGuestImage(elf());
    expect(image.entry).toBe(0x200002);
    expect(image.segments).toEqual([
      { physicalAddress: 0x200000, data: Uint8Array.of(0x90, 0x90, 0xfa, 0xf4), sizeInMemory: 0x1000 },
    ]);
  });

  const spoilt: [string, (view: DataView) => void, RegExp][] = [
    ['32-bit', (view) => view.setUint8(4, 1), /ELF32/],
    ['big-endian', (view) => view.setUint8(5, 2), /big-endian/],
    ['relocatable', (view) => view.setUint16(16, 1, true), /relocatable object.*link/],
    ['for another machine', (view) => view.setUint16(18, 183, true), /machine 183/],
    ['with a table behind its end', (view) => view.setUint16(56, 9, true), /table is cut off/],
    ['with a segment behind its end', (view) => view.setBigUint64(96, 5n, true), /segment 0 is cut off/],
    [
      'with an impossible address',
      (view) => view.setBigUint64(88, 1n << 60n, true),
      /physical address 0x1000000000000000/,
    ],
    [
      'with more in the file than in memory',
      (view) => view.setBigUint64(104, 3n, true),
      /larger in the file/,
    ],
    ['with nothing to load', (view) => view.setUint32(64, 4, true), /no PT_LOAD/],
    ['with short program headers', (view) => view.setUint16(54, 8, true), /too short/],
  ];
  for (const [name, spoil, message] of spoilt)
    it(`refuses an ELF image ${name}`, () =>
      expect(messageOf(() => readGuestImage(elf(spoil)))).toMatch(message));

  it('names the magic that an ELF image has to have', () => {
    expect(messageOf(() => readGuestImage(Uint8Array.of(1, 2, 3), 'elf64'))).toContain('7f 45 4c 46');
    expect(messageOf(() => readGuestImage(new Uint8Array(0)))).toBe('the image is empty');
    expect(messageOf(() => readGuestImage(elf().subarray(0, 20)))).toContain('cut off: 20 of 64 bytes');
  });

  it('refuses images that do not fit', () => {
    const image = readGuestImage(elf());
    expect(() => checkImageFits(image, 0x201000)).not.toThrow();
    expect(messageOf(() => checkImageFits(image, 0x200fff))).toContain('0x200000 to 0x201000');
    const low = readGuestImage(elf((view) => view.setBigUint64(88, 0x1000n, true)));
    expect(messageOf(() => checkImageFits(low, 0x201000))).toContain('boot structures');
  });

  it.skipIf(!hasTool('nasm') || !hasTool('ld'))(`reads what ld links${skipNote('nasm', 'ld')}`, () => {
    inTemporaryFolder((folder) => {
      const path = (name: string): string => join(folder, name);
      const source = 'bits 64\nsection .text\nglobal _start\nnop\n_start: cli\nhlt\nsection .bss\nresb 100\n';
      writeFileSync(path('guest.asm'), source);
      runTool('nasm', '-f', 'elf64', '-o', path('guest.o'), path('guest.asm'));
      runTool('ld', '-N', '-Ttext=0x180000', '-o', path('guest'), path('guest.o'));
      const image = readGuestImage(readFileSync(path('guest')));
      expect(image.entry).toBe(0x180001);
      const code = image.segments.find((segment) => segment.physicalAddress <= 0x180000)!;
      const start = 0x180000 - code.physicalAddress;
      expect([...code.data.subarray(start, start + 3)]).toEqual([0x90, 0xfa, 0xf4]);
      expect(code.sizeInMemory).toBeGreaterThan(code.data.length);
    });
  });
});
