/** The text of instructions, by example; expected texts were assembled back by nasm (see nasm-round-trip). */

import { describe, expect, it } from 'vitest';
import { DecodeStatus, decode } from '../../src/decoder/index.js';
import { type FormatOptions, formatInstruction } from '../../src/disassembler/index.js';
import { Instruction } from '../../src/instruction-set/index.js';

function text(hex: string, codeSize: 16 | 32 | 64 = 64, rip = 0x401000n, options?: FormatOptions): string {
  const bytes = Uint8Array.from(Buffer.from(hex.replaceAll(' ', ''), 'hex'));
  const out = new Instruction();
  expect(decode(bytes, 0, bytes.length, codeSize, out)).toBe(DecodeStatus.OK);
  return formatInstruction(out, rip, options);
}

describe('formatInstruction', () => {
  it.each([
    ['48 01 c8', 'add rax,rcx'],
    ['c7 00 01 00 00 00', 'mov dword [rax],0x1'],
    ['48 8b 45 f8', 'mov rax,[rbp-0x8]'],
    ['42 8b 84 a0 00 01 00 00', 'mov eax,[rax+r12*4+0x100]'],
    ['8b 04 25 00 10 00 00', 'mov eax,[0x1000]'],
    ['8b 04 25 00 00 00 80', 'mov eax,[0xffffffff80000000]'],
    ['8b 05 10 00 00 00', 'mov eax,[rel 0x401016]'],
    ['67 8b 05 10 00 00 00', 'a32 mov eax,[rel 0x401017]'],
    ['64 48 8b 04 25 28 00 00 00', 'mov rax,[fs:0x28]'],
    ['48 a1 88 77 66 55 44 33 22 11', 'mov rax,[qword 0x1122334455667788]'],
    ['48 83 c0 ff', 'add rax,0xffffffffffffffff'],
    ['66 83 c0 ff', 'add ax,0xffff'],
    ['6a ff', 'push 0xffffffffffffffff'],
    ['66 6a 01', 'push word 0x1'],
    ['f0 48 0f b1 0f', 'lock cmpxchg [rdi],rcx'],
    ['f3 48 ab', 'rep stosq'],
    ['f2 ae', 'repne scasb'],
    ['f3 a6', 'repe cmpsb'],
    ['67 64 f3 a4', 'a32 fs rep movsb'],
    ['eb fe', 'jmp 0x401000'],
    ['0f 84 00 01 00 00', 'je 0x401106'],
    ['ff 25 00 00 00 00', 'jmp qword [rel 0x401006]'],
    ['48 ff 28', 'jmp far qword [rax]'],
    ['0f b6 00', 'movzx eax,byte [rax]'],
    ['d1 20', 'shl dword [rax],1'],
    ['d3 20', 'shl dword [rax],cl'],
    ['ee', 'out dx,al'],
    ['e4 60', 'in al,0x60'],
    ['0f 20 c0', 'mov rax,cr0'],
    ['8e d8', 'mov ds,ax'],
    ['0f 01 10', 'lgdt [rax]'],
    ['0f c7 30', 'vmptrld [rax]'],
    ['66 0f 38 80 08', 'invept rcx,[rax]'],
    ['d9 07', 'fld dword [rdi]'],
    ['db 2f', 'fld tword [rdi]'],
    ['de c1', 'faddp st1,st0'],
    ['48 cf', 'iretq'],
    ['48 0f 07', 'o64 sysret'],
    ['48 cb', 'o64 retf'],
    ['66 90', 'nop'],
    ['0f 1f 44 00 00', 'nop dword [rax+rax]'],
    ['c8 10 00 01', 'enter 0x10,0x1'],
    ['88 e0', 'mov al,ah'],
    ['40 88 e0', 'mov al,spl'],
  ])('%s is %s', (hex, expected) => {
    expect(text(hex)).toBe(expected);
  });

  it('follows the code size', () => {
    expect(text('ea 78 56 34 12 08 00', 32)).toBe('jmp dword 0x8:0x12345678');
    expect(text('8b 46 fe', 16)).toBe('mov ax,[bp-0x2]');
    expect(text('67 8b 1e 34 12', 32)).toBe('mov ebx,[word 0x1234]');
    expect(text('66 e8 fd ff', 32, 0x12345n)).toBe('call word 0x2346');
    expect(text('e9 fd ff', 16, 0n)).toBe('jmp 0x0');
    expect(text('66 c3', 32)).toBe('o16 ret');
  });

  it('shows a segment only where it changes something', () => {
    expect(text('36 8b 45 08', 32)).toBe('mov eax,[ebp+0x8]');
    expect(text('3e 8b 45 08', 32)).toBe('mov eax,[ds:ebp+0x8]');
    expect(text('2e 8b 00', 64)).toBe('mov eax,[rax]');
    expect(text('64 8d 00', 32)).toBe('lea eax,[eax]');
  });

  it('takes names of addresses from outside', () => {
    const symbol = (address: bigint): string | undefined => (address === 0x401000n ? 'start' : undefined);
    expect(text('eb fe', 64, 0x401000n, { symbol })).toBe('jmp start');
    expect(text('eb fe', 64, 0x401010n, { symbol })).toBe('jmp 0x401010');
    expect(text('48 8d 05 f9 ff ff ff', 64, 0x401000n, { symbol })).toBe('lea rax,[rel start]');
  });

  it('wraps targets at the instruction pointer’s width', () => {
    expect(text('eb fe', 64, 0xffff_ffff_ffff_fff0n)).toBe('jmp 0xfffffffffffffff0');
    expect(text('eb 10', 64, 0xffff_ffff_ffff_fff0n)).toBe('jmp 0x2');
    expect(text('eb 10', 32, 0xffff_fff0n)).toBe('jmp 0x2');
  });
});
