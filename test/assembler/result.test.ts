import { describe, expect, it } from 'vitest';
import { assemble, formatListing } from '../../src/assembler/index.js';

const SOURCE = `        bits 64
        org 0x1000
start:  mov eax, [value]        ; comment
        jmp .end
%macro twice 1
        %1
        %1
%endmacro
        twice nop
.end:   ret
size    equ 5
section .data
value:  dq start, 2
section .bss
buffer: resb 16
        global start
`;

describe('what assemble gives back', () => {
  const result = assemble(SOURCE, { fileName: 'a.asm' });

  it('the image and its origin', () => {
    expect(result.ok).toBe(true);
    expect(result.origin).toBe(0x1000n);
    expect(result.image.length).toBe(12 + 16);
  });

  it('the sizes of code segments that there are instructions for', () => {
    const sizes = (source: string) => [...assemble(source, { fileName: 'a.asm' }).codeSizes];
    expect([...result.codeSizes]).toEqual([64]);
    expect(sizes('nop\nbits 32\nbits 64\nnop\n')).toEqual([16, 64]);
    expect(sizes('db 1, 2\n')).toEqual([]);
  });

  it('symbols with addresses, sections and binding', () => {
    expect(result.symbols).toEqual([
      { name: 'start', value: 0x1000n, section: '.text', global: true },
      { name: 'start.end', value: 0x100bn, section: '.text', global: false },
      { name: 'size', value: 5n, section: '', global: false },
      { name: 'value', value: 0x100cn, section: '.data', global: false },
      { name: 'buffer', value: 0x101cn, section: '.bss', global: false },
    ]);
  });

  it('a listing with final bytes', () => {
    const lines = result.listing.filter(({ address }) => address !== undefined);
    expect(lines.map(({ line, address, bytes, depth }) => [line, address, bytes.length, depth])).toEqual([
      [3, 0x1000n, 7, 0],
      [4, 0x1007n, 2, 0],
      [6, 0x1009n, 1, 1],
      [7, 0x100an, 1, 1],
      [10, 0x100bn, 1, 0],
      [13, 0x100cn, 16, 0],
      [15, 0x101cn, 0, 0],
    ]);
    expect(lines[0]?.bytes).toEqual(Uint8Array.of(0x8b, 0x04, 0x25, 0x0c, 0x10, 0, 0));
  });

  it('the listing as text', () => {
    expect(formatListing(result).split('\n').slice(1, 4)).toEqual([
      '     2                                          org 0x1000',
      '     3 00001000 8B04250C100000          start:  mov eax, [value]        ; comment',
      '     4 00001007 EB02                            jmp .end',
    ]);
    expect(formatListing(result)).toContain(
      '    13 0000100C 001000000000000002-     value:  dq start, 2\n    13 00001015 00000000000000\n',
    );
    expect(formatListing(result)).toContain('    15 0000101C <res 10h>               buffer: resb 16\n');
  });

  it('files are asked for by the path in the source, then in the include folders', () => {
    const asked: string[] = [];
    const readFile = (path: string, from: string): Uint8Array | undefined => {
      asked.push(`${from}: ${path}`);
      return path === 'lib/b.inc'
        ? new TextEncoder().encode('incbin "c.bin", 1, 2\n')
        : path === 'c.bin'
          ? Uint8Array.of(1, 2, 3, 4)
          : undefined;
    };
    const { image } = assemble('%include "b.inc"\n', {
      fileName: 'a.asm',
      readFile,
      includePaths: ['inc/', 'lib'],
    });
    expect(image).toEqual(Uint8Array.of(2, 3));
    expect([...new Set(asked)]).toEqual([
      'a.asm: b.inc',
      'a.asm: inc/b.inc',
      'a.asm: lib/b.inc',
      'lib/b.inc: c.bin',
    ]);
  });

  it('defines come before the first line', () => {
    expect(assemble('%ifdef X\ndb X\n%endif\n', { fileName: 'a', defines: { X: '1+2' } }).image).toEqual(
      Uint8Array.of(3),
    );
  });
});
