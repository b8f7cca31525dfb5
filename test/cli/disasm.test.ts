import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { exitscope, exitscopeWith } from '../support/command-line.js';
import { inTemporaryFolder } from '../support/tools.js';

describe('exitscope disasm', () => {
  it('prints hex digits as instructions', () => {
    const { code, output } = exitscope('disasm', '48 89 e5 e8 00 00 00 00', '--org', '0x100000');
    expect(code).toBe(0);
    expect(output.split('\n').map((line) => line.split(/ {2,}/))).toEqual([
      ['00100000', '4889e5', 'mov rbp,rsp'],
      ['00100003', 'e800000000', 'call 0x100008'],
      [''],
    ]);
  });

  it('takes digits in several arguments, with 0x or not', () => {
    expect(exitscope('disasm', '0x0f', '01', 'c2').output).toContain('vmlaunch');
  });

  it('knows code sizes', () => {
    expect(exitscope('disasm', '--bits', '16', 'b8 34 12').output).toContain('mov ax,0x1234');
    expect(exitscope('disasm', '--bits', '32', 'b8 78 56 34 12').output).toContain('mov eax,0x12345678');
  });

  it('shows bytes that are no instruction, and goes on', () => {
    const { code, output } = exitscope('disasm', '06 90');
    expect(code).toBe(0);
    expect(output).toMatch(/06 +db 0x06\n.*nop/);
  });

  it('reads files', () => {
    inTemporaryFolder((folder) => {
      const path = join(folder, 'code.bin');
      writeFileSync(path, Uint8Array.of(0xfa, 0xf4));
      expect(exitscope('disasm', path).output).toMatch(/cli\n.*hlt\n$/);
    });
  });

  it('reads standard input', () => {
    expect(exitscopeWith(Uint8Array.of(0xfa, 0xf4), 'disasm', '-').output).toMatch(/cli\n.*hlt\n$/);
  });

  it.each([
    [['disasm', '4889e'], 2, 'even number of hex digits'],
    [['disasm', 'no/such/file.bin'], 1, "no/such/file.bin can't be read: no such file"],
    [['disasm', 'src'], 1, 'it is a directory'],
    [['disasm', '/dev/null'], 1, '/dev/null is empty: there is nothing to disassemble'],
    [['disasm', ''], 2, 'the name of a file is needed'],
    [['disasm', 'hello', 'world'], 2, 'neither a file nor hex digits'],
    [['disasm'], 2, "missing required argument 'file|hex'"],
    [['disasm', '90', '--bits', '8'], 2, 'Allowed choices are 16, 32, 64'],
    [['disasm', '90', '--org', 'here'], 2, 'An address is needed'],
  ])('%j ends with %d: %s', (arguments_, expectedCode, message) => {
    const { code, output, talk } = exitscope(...arguments_);
    expect(talk).toContain(message);
    expect(code).toBe(expectedCode);
    expect(output).toBe('');
    expect(talk).toMatch(/^exitscope: .*\n$/);
  });
});
