import { describe, expect, it } from 'vitest';
import { GPR } from '../../src/architecture/registers.js';
import { skipNote } from '../support/tools.js';
import { SystemGuest } from './system-guest.js';

const skipped = skipNote('nasm');

describe.skipIf(skipped !== '')(`code written by system instructions (SDM Vol. 3A, 8.1.3)${skipped}`, () => {
  it.each([
    ['INSB', 'mov dx, 0x80; lea rdi, [rel target + 1]; insb'],
    ['PUSH of a segment register', 'lea rsp, [rel target + 9]; push fs'],
    ['MOV from a segment register', 'mov [rel target + 1], fs'],
    ['SIDT', 'sidt [rel target + 1]'],
  ])('%s over an instruction that has run', (_name, text) => {
    const guest = new SystemGuest({ ports: { read: () => 0x10, write: () => {} } });
    guest.run(
      `xor ecx, ecx; jmp again; again: nop; target: mov eax, 0x11111111; times 8 nop; cmp ecx, 2; je done;
       inc ecx; cmp ecx, 2; jne again; ${text}; jmp again; done: hlt`,
    );
    expect(guest.state.readGpr(GPR.RCX)).toBe(2n);
    expect(guest.state.readGpr(GPR.RAX)).not.toBe(0x11111111n);
  });
});
