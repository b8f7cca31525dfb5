import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { type CommandResult, EXITSCOPE, exitscope, exitscopeWith } from '../support/command-line.js';
import { inTemporaryFolder } from '../support/tools.js';

/** Runs guest code given as source. */
function run(source: string, ...options: string[]) {
  return inTemporaryFolder((folder) => {
    const path = join(folder, 'guest.asm');
    writeFileSync(path, `bits 64\norg 0x100000\n${source}\n`);
    return exitscope('run', path, ...options);
  });
}

const WRITE_5 = 'mov al, 5\nout 0xf4, al\ncli\nhlt';
const ENDLESS = 'jmp $';
/** Exits to user space 2^64 - 1 times before its second instruction is completed. */
const REPEATED_FOR_EVER = 'mov rcx, -1\nmov dx, 0x3ff\nmov rsi, 0x200000\nrep outsb';
const TRIPLE_FAULT = 'ud2';

describe('exitscope run', () => {
  it('prints what the guest prints, and nothing else', () => {
    expect(exitscope('run', 'guest-programs/hello-serial.asm')).toEqual({
      code: 0,
      output: 'Hello from VMX non-root operation.\n',
      talk: '',
    });
  });

  it('passes on bytes as they are', () => {
    const { output } = run('mov dx, 0x3f8\nmov al, 0xc3\nout dx, al\nmov al, 0xa9\nout dx, al\ncli\nhlt');
    expect(output).toBe('é');
  });

  it.each([
    ['cli\nhlt', [], 0, ''],
    [WRITE_5, [], 11, ''],
    [WRITE_5, ['--success-exit-code', '11'], 0, ''],
    ['cli\nhlt', ['--success-exit-code', '11'], 1, ''],
    ['cli\nhlt', ['--success-exit-code', '0'], 0, ''],
    [TRIPLE_FAULT, [], 112, 'triple fault'],
    [TRIPLE_FAULT, ['--success-exit-code', '11'], 112, 'triple fault'],
    [REPEATED_FOR_EVER, ['--max-instructions', '50'], 124, 'stopped by --max-instructions'],
    [
      ENDLESS,
      ['--max-instructions', '1000'],
      124,
      'stopped by --max-instructions at RIP 0x100000 after 1000 instructions',
    ],
  ] as const)('%j with %j ends with %d', (source, options, code, message) => {
    const result = run(source, ...options);
    expect(result.talk).toContain(message);
    expect(result.talk === '').toBe(message === '');
    expect(result.code, result.talk).toBe(code);
  });

  it.each([
    [['run'], 2, "missing required argument 'file'"],
    [['trace', 'none.asm'], 1, "none.asm can't be read: no such file"],
    [['run', 'none.asm'], 1, "none.asm can't be read: no such file"],
    [['run', 'none.bin'], 1, "none.bin can't be read: no such file"],
    [['run', 'guest-programs'], 1, 'it is a directory'],
    [['run', 'package.json'], 1, 'does not start with the ELF magic 7f 45 4c 46'],
    [['run', 'package.json', '--format', 'elf64'], 1, 'does not start with the magic 7f 45 4c 46'],
    [['run', 'x.bin', '--memory', 'much'], 2, 'A size is needed'],
    [['run', 'x.bin', '--max-instructions', '-1'], 2, 'A number is needed'],
    [['run', 'x.bin', '--era', '1.0'], 2, 'Allowed choices are 2.6.32'],
    [['run', 'x.bin', '--policy', 'speed=high'], 2, 'Mechanisms are: syscallMsrs'],
    [['run', 'x.bin', '--policy', 'syscallMsrs=lazy'], 2, 'Available for syscallMsrs: eager'],
    [['run', 'x.bin', '--policy', 'syscallMsrs'], 2, 'Say which, such as syscallMsrs=shared: eager'],
    [['run', 'x.bin', '--policy', 'syscalMsrs=shared'], 2, 'Did you mean syscallMsrs=shared?'],
    [['run', 'x.bin', '--policy', 'busSearch=sroted'], 2, 'Did you mean busSearch=sorted?'],
    [['run', 'x.bin', '--policy', 'fast-eoi'], 2, 'Did you mean apicAccess=fast-eoi?'],
    [['run', 'x.bin', '--success-exit-code', '256'], 2, 'Exit codes are 0 to 255'],
    [['run', 'x.bin', '--verbose'], 2, "unknown option '--verbose' (exitscope run --help says more)"],
    [['run', ''], 2, 'the name of a file is needed'],
    [['run', '/dev/null'], 1, '/dev/null: not a guest'],
    [['run', '/dev/null', '--format', 'asm'], 1, '/dev/null: the image is empty'],
    [['help', 'fly'], 2, 'there is no command "fly"'],
    [['rnu'], 2, "unknown command 'rnu' (Did you mean run?)"],
    [['run', 'guest-programs/hello-serial.asm', '--memory', '1M'], 2, 'at least'],
    [['run', 'guest-programs/hello-serial.asm', '--memory', '64G'], 2, 'at most'],
    [['fly'], 2, "unknown command 'fly'"],
  ] as [string[], number, string][])('%j ends with %d: %s', (arguments_, expectedCode, message) => {
    const { code, output, talk } = exitscope(...arguments_);
    expect(talk).toContain(message);
    expect(code, talk).toBe(expectedCode);
    expect(output).toBe('');
    expect(talk).toMatch(/^exitscope: .*\n$/);
  });

  it('says how it is used when it is called with nothing', () => {
    expect(exitscope()).toEqual({ code: 2, output: '', talk: exitscope('help').output });
  });

  it('takes source or an ELF file from standard input', () => {
    const source = `bits 64\norg 0x100000\n${WRITE_5}\n`;
    expect(exitscopeWith(source, 'run', '-')).toEqual({ code: 11, output: '', talk: '' });
    expect(exitscopeWith(Uint8Array.of(0xfa, 0xf4), 'run', '-', '--format', 'flat').code).toBe(0);
    expect(exitscopeWith('\x7fELF', 'run', '-').talk).toMatch(
      /^exitscope: <stdin>: the ELF header is cut off/,
    );
  });

  it('says when source is not for 64-bit code', () => {
    const { code, talk } = exitscopeWith('org 0x100000\ncli\nhlt\n', 'run', '-');
    expect(code).toBe(0);
    expect(talk).toMatch(/^exitscope: <stdin> has 16-bit code, and runs in 64-bit mode.*: say bits 64\n$/);
  });

  it('refuses what no RAM reaches', () => {
    const { code, talk } = exitscopeWith('bits 64\norg -16\nnop\n', 'run', '-');
    expect(code).toBe(1);
    expect(talk).toMatch(/^exitscope: <stdin>: org 0xf+0 is behind the end of any RAM \(at most 1024M\)\n$/);
  });

  it('has help with an example for every command, on standard output', () => {
    for (const command of ['asm', 'disasm', 'run', 'trace', 'stat', 'compare', 'lab', 'policies']) {
      const { code, output } = exitscope(command, '--help');
      expect(code).toBe(0);
      expect(output).toContain(`Usage: exitscope ${command}`);
      expect(output).toContain(`$ exitscope ${command} `);
      expect(output).not.toMatch(/default: [[{f]/);
    }
    expect(exitscope('run', '--help').output).toMatch(/124 +--max-instructions reached/);
    expect(exitscope('--version')).toMatchObject({
      code: 0,
      output: expect.stringMatching(/^exitscope \d+\.\d+\.\d+ /),
    });
  });

  it('ends with 130 at Ctrl-C', async () => {
    const { code } = await endlessGuest(['run'], (child) =>
      child.stdout.once('data', () => child.kill('SIGINT')),
    );
    expect(code).toBe(130);
  });

  it('counts until Ctrl-C', async () => {
    const { code, output, talk } = await endlessGuest(['stat'], (child) =>
      child.stderr.once('data', () => child.kill('SIGINT')),
    );
    expect(code).toBe(130);
    expect(output).toMatch(/ IO_INSTRUCTION +\d+ .*\n(.*\n)*[\d,]+ cycles: /);
    expect(talk).toMatch(/\nexitscope: interrupted at RIP 0x[0-9a-f]+ after \d+ instructions\n$/);
  });

  it('ends when the reader of its output goes away', async () => {
    const { code } = await endlessGuest(['trace'], (child) =>
      child.stdout.once('data', () => child.stdout.destroy()),
    );
    expect(code).toBe(141);
  });
});

/** A guest that prints lines for ever; resolves with what came of it once `disturb` has had its effect. */
async function endlessGuest(
  command: string[],
  disturb: (child: ChildProcessByStdio<null, Readable, Readable>) => void,
): Promise<CommandResult> {
  const folder = mkdtempSync(join(tmpdir(), 'exitscope-'));
  try {
    const path = join(folder, 'guest.asm');
    const loop = "next: out dx, al\nxor al, '.' ^ 10\njmp next\n";
    writeFileSync(path, `bits 64\norg 0x100000\nmov al, '.'\nmov dx, 0x3f8\n${loop}`);
    const child = spawn(process.execPath, [EXITSCOPE, ...command, path], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let [output, talk] = ['', ''];
    child.stdout.on('data', (data) => {
      output += data;
    });
    child.stderr.on('data', (data) => {
      talk += data;
    });
    disturb(child);
    const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
    expect(talk).not.toContain('    at ');
    return { code, output, talk };
  } finally {
    rmSync(folder, { recursive: true });
  }
}
