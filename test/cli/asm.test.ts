import { spawn } from 'node:child_process';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { EXITSCOPE, exitscope, exitscopeWith } from '../support/command-line.js';
import { GUEST_PROGRAMS } from '../support/guest-programs.js';
import { hasTool, inTemporaryFolder, runTool, skipNote } from '../support/tools.js';

describe('exitscope asm', () => {
  // All of them, without the command line, are in test/assembler.
  it.skipIf(!hasTool('nasm'))(`makes the same image as nasm${skipNote('nasm')}`, () => {
    inTemporaryFolder((folder) => {
      const [path, ours, theirs] = [
        join(GUEST_PROGRAMS, 'syscall.asm'),
        join(folder, 'ours.bin'),
        join(folder, 'theirs.bin'),
      ];
      expect(exitscope('asm', path, '-o', ours)).toEqual({ code: 0, output: '', talk: '' });
      runTool('nasm', '-I', GUEST_PROGRAMS, '-o', theirs, path);
      expect(readFileSync(ours).equals(readFileSync(theirs))).toBe(true);
    });
  });

  it.skipIf(!hasTool('ld'))(`makes ELF64 objects that ld links${skipNote('ld')}`, () => {
    inTemporaryFolder((folder) => {
      const path = (name: string): string => join(folder, name);
      writeFileSync(path('guest.asm'), 'bits 64\nglobal _start\nsection .text\n_start: cli\nhlt\n');
      expect(exitscope('asm', path('guest.asm'), '-f', 'elf64', '-o', path('guest.o')).code).toBe(0);
      runTool('ld', '-N', '-Ttext=0x100000', '-o', path('guest'), path('guest.o'));
      expect(exitscope('run', path('guest'))).toEqual({ code: 0, output: '', talk: '' });
    });
  });

  it('writes a listing', () => {
    inTemporaryFolder((folder) => {
      const path = (name: string): string => join(folder, name);
      writeFileSync(path('a.asm'), 'bits 64\nmov rbp, rsp\n');
      expect(exitscope('asm', path('a.asm'), '-o', path('a.bin'), '-l', path('a.lst')).code).toBe(0);
      expect(readFileSync(path('a.lst'), 'utf8')).toMatch(/2.*4889E5.*mov rbp, rsp/i);
    });
  });

  it('reports all errors of a file with place and caret, and writes nothing', () => {
    inTemporaryFolder((folder) => {
      const source = join(folder, 'bad.asm');
      writeFileSync(source, 'bits 64\n        mov eax, bl\n        nop\n        jmp nowhere\n');
      const { code, output, talk } = exitscope('asm', source, '-o', join(folder, 'bad.bin'));
      expect(code).toBe(1);
      expect(output).toBe('');
      expect(talk).toMatch(/bad\.asm:2:\d+: error: .*\n {8}mov eax, bl\n *\^/);
      expect(talk).toMatch(/bad\.asm:4:\d+: error: .*nowhere/);
      expect(readdirSync(folder)).toEqual(['bad.asm']);
    });
  });

  it('replaces an old file only by a whole new one', () => {
    inTemporaryFolder((folder) => {
      const path = (name: string): string => join(folder, name);
      writeFileSync(path('out.bin'), 'old');
      writeFileSync(path('bad.asm'), 'frobnicate eax\n');
      writeFileSync(path('good.asm'), 'bits 64\nnop\n');
      expect(exitscope('asm', path('bad.asm'), '-o', path('out.bin')).code).toBe(1);
      expect(readFileSync(path('out.bin'), 'utf8')).toBe('old');
      expect(exitscope('asm', path('good.asm'), '-o', path('out.bin')).code).toBe(0);
      expect([...readFileSync(path('out.bin'))]).toEqual([0x90]);
    });
  });

  it('follows a symbolic link to the file it stands for', () => {
    inTemporaryFolder((folder) => {
      const path = (name: string): string => join(folder, name);
      writeFileSync(path('there.bin'), 'old');
      symlinkSync('there.bin', path('link.bin'));
      expect(exitscopeWith('bits 64\nnop\n', 'asm', '-', '-o', path('link.bin')).code).toBe(0);
      expect([...readFileSync(path('there.bin'))]).toEqual([0x90]);
      expect(readdirSync(folder)).toHaveLength(2);
    });
  });

  it('leaves whole files or none, whenever it is interrupted', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'exitscope-'));
    const size = 64 * 2 ** 20;
    writeFileSync(join(folder, 'large.asm'), `times ${size} db 0x90\n`);
    for (const delay of [100, 200, 300, 400, 600, 800]) {
      const output = join(folder, `${delay}.bin`);
      const child = spawn(process.execPath, [EXITSCOPE, 'asm', join(folder, 'large.asm'), '-o', output]);
      setTimeout(() => child.kill('SIGINT'), delay);
      await new Promise((resolve) => child.on('close', resolve));
      for (const file of readdirSync(folder).filter((name) => name !== 'large.asm')) {
        expect(file).toBe(`${delay}.bin`);
        expect(statSync(output).size).toBe(size);
        rmSync(output);
      }
    }
    rmSync(folder, { recursive: true });
  });

  it('says what is wrong with files', () => {
    inTemporaryFolder((folder) => {
      const path = (name: string): string => join(folder, name);
      writeFileSync(path('good.asm'), 'bits 64\nnop\n');
      writeFileSync(path('zero.asm'), 'nop\n\0\0');
      mkdirSync(path('folder'));
      const cases: [string[], number, string][] = [
        [[path('none.asm'), '-o', path('o')], 1, 'no such file'],
        [[path('folder'), '-o', path('o')], 1, 'it is a directory'],
        [[path('good.asm'), '-o', path('folder')], 1, 'it is a directory'],
        [[path('good.asm'), '-o', path('none/o')], 1, 'no directory'],
        [[path('good.asm'), '-o', path('o'), '-l', path('none/l')], 1, 'no directory'],
        [[path('good.asm'), '-o', path('good.asm')], 2, 'good.asm is named twice: nothing was written'],
        [
          [path('good.asm'), '-o', path('o'), '-l', `${folder}/./o`],
          2,
          'o is named twice: nothing was written',
        ],
        [[path('good.asm'), '-o', ''], 2, 'the name of a file is needed'],
        [[path('zero.asm'), '-o', path('o')], 1, 'zero.asm: not assembly source: byte 4 is zero'],
        [[path('good.asm')], 2, "required option '-o, --output <file>' not specified"],
        [[path('good.asm'), '-o', path('o'), '-f', 'coff'], 2, 'Allowed choices are'],
        [[path('good.asm'), '-o', path('o'), '--frobnicate'], 2, "unknown option '--frobnicate'"],
      ];
      for (const [arguments_, expectedCode, message] of cases) {
        const { code, talk } = exitscope('asm', ...arguments_);
        expect(talk).toContain(message);
        expect(talk).toMatch(/^exitscope: .*\n$/);
        expect(code, talk).toBe(expectedCode);
      }
      expect(readdirSync(folder).sort()).toEqual(['folder', 'good.asm', 'zero.asm']);
      expect(readFileSync(path('good.asm'), 'utf8')).toBe('bits 64\nnop\n');
    });
  });

  it.skipIf(process.getuid?.() === 0)('says when it may not write', () => {
    inTemporaryFolder((folder) => {
      writeFileSync(join(folder, 'good.asm'), 'bits 64\nnop\n');
      chmodSync(folder, 0o500);
      const { code, talk } = exitscope('asm', join(folder, 'good.asm'), '-o', join(folder, 'o'));
      expect([code, talk]).toEqual([1, expect.stringContaining('permission denied')]);
      chmodSync(folder, 0o700);
    });
  });

  it('writes to devices directly', () => {
    expect(exitscope('asm', join(GUEST_PROGRAMS, 'hello-serial.asm'), '-o', '/dev/null').code).toBe(0);
    expect(exitscope('asm', join(GUEST_PROGRAMS, 'hello-serial.asm'), '-o', '/dev/full')).toMatchObject({
      code: 1,
      talk: "exitscope: /dev/full can't be written: no space left on the device\n",
    });
  });

  it('reads standard input and writes standard output', () => {
    const source = `db 'raw bytes'\n`;
    expect(exitscopeWith(source, 'asm', '-', '-o', '-')).toEqual({ code: 0, output: 'raw bytes', talk: '' });
    const { talk } = exitscopeWith('mov eax, bl\n', 'asm', '-', '-o', '-');
    expect(talk).toMatch(/^<stdin>:1:\d+: error: /);
  });

  it('shows of many errors the first ones', () => {
    const { code, talk } = exitscopeWith('frobnicate eax\n'.repeat(60), 'asm', '-', '-o', '/dev/null');
    expect(talk.match(/error: unknown instruction/g)).toHaveLength(50);
    expect(talk).toMatch(
      /\n… and 10 more like these\nexitscope: <stdin>: 60 errors, nothing was assembled\n$/,
    );
    expect(code).toBe(1);
  });
});
