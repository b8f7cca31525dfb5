import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hostPhysical } from '../../src/memory/addresses.js';
import { createCpuid } from '../../src/processor/system/cpuid-model.js';
import { createBareMachine } from '../support/bare-machine.js';
import { runTool, skipNote } from '../support/tools.js';
import { describeLine, GATE_ROUNDS, oracleCases, oracleProgram } from './system-oracle-program.js';

const skipped = skipNote('nasm', 'qemu-system-x86_64');
const LOAD_ADDRESS = 0x100000;
const BOOT_SOURCE = join(import.meta.dirname, '..', 'support', 'qemu-boot.asm');
const MACHINE = [
  ...['-accel', 'tcg', '-cpu', 'Nehalem', '-display', 'none', '-monitor', 'none', '-no-reboot'],
  ...['-device', 'isa-debug-exit,iobase=0xf4,iosize=4'],
];

/** Where QEMU does not do what the manual says: the rule, and the cases that show it. */
const QEMU_DEVIATIONS: readonly (readonly [string, RegExp])[] = [
  ['LTR of a null selector raises #GP(0)', /ltr NULL/],
  ['a null SS needs RPL = CPL', /(mov ss|lss) NULL3/],
  ['a null SS is for 64-bit code only', /iretq with SS 0 CODE32/],
  ['L and D both set raise #GP', /^CPL 0: (jmp|call|ret|iret).* LONG_BIG/],
  ['EFER.LME does not change while paging is on', /btr eax, 8; wrmsr/],
  ['DR7.GD', /mov dr7, rax; mov rcx, dr1/],
  ['SYSRET loads VIF and VIP', /r11, 0x3c7ed7/],
  ['reserved bits of MXCSR', /ldmxcsr/],
  ['reserved halves of the x87 environment are ones on processors', /fnstenv/],
  ['loading a denormal raises #D', /mov dword \[rsp - 8\], 1; fninit/],
];

/** QEMU numbers IDT entries in error codes by 16 bytes; the manual's index is the vector. */
function correctErrorCode(line: string): string {
  const fields = line.split(' ');
  const errorCode = Number.parseInt(fields[1]!, 16);
  const namesGate = /^[abcd]$/.test(fields[0]!) && (errorCode & 2) !== 0 && errorCode < 0x1000;
  if (namesGate) fields[1] = (((errorCode >> 4) << 3) | 2).toString(16);
  return fields.join(' ');
}

function outputHere(image: Uint8Array): string {
  const bytes: number[] = [];
  const machine = createBareMachine({
    cpuid: createCpuid(),
    ports: { read: () => 0xff, write: (port, _size, value) => port === 0x3f8 && bytes.push(value) },
  });
  machine.memory.load(hostPhysical(LOAD_ADDRESS), image);
  machine.processor.state.rip = BigInt(LOAD_ADDRESS);
  machine.processor.state.writeGpr(4, 0x80000n);
  machine.processor.run({ cycles: 2e9, instructions: 2e9 });
  return bytes.map((byte) => String.fromCharCode(byte)).join('');
}

/** Boots until the guest writes to the debug-exit port, and returns what it sent through the serial port. */
async function outputUnderQemu(boot: string, output: string): Promise<string> {
  const serial = ['-serial', `file:${output}`];
  const qemu = spawn('qemu-system-x86_64', ['-kernel', boot, ...MACHINE, ...serial], { stdio: 'ignore' });
  const timer = setTimeout(() => qemu.kill(), 100_000);
  await new Promise((resolve, reject) => {
    qemu.on('error', reject);
    qemu.on('close', resolve);
  });
  clearTimeout(timer);
  return readFileSync(output, 'latin1');
}

describe.skipIf(skipped !== '')(`system instructions beside QEMU${skipped}`, () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'exitscope-'));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  it.each(GATE_ROUNDS.map((_, round) => round))(
    'round %i gives the same frames and registers',
    async (round) => {
      const cases = oracleCases(round);
      const source = join(folder, 'guest.asm');
      const image = join(folder, 'guest.bin');
      const boot = join(folder, 'boot.bin');
      writeFileSync(source, oracleProgram(cases, round));
      runTool('nasm', '-w-all', '-o', image, source);
      runTool('nasm', `-DIMAGE="${image}"`, '-o', boot, BOOT_SOURCE);
      const theirs = (await outputUnderQemu(boot, join(folder, 'serial.txt')))
        .trim()
        .split('\n')
        .map(correctErrorCode);
      const ours = outputHere(readFileSync(image)).trim().split('\n');
      expect(theirs.length).toBe(cases.length + 1);
      expect(ours.length).toBe(cases.length + 1);
      const differences = cases.flatMap(({ name }, index) =>
        ours[index] === theirs[index] || QEMU_DEVIATIONS.some(([, pattern]) => pattern.test(name))
          ? []
          : [{ name, ours: describeLine(ours[index]!), theirs: describeLine(theirs[index]!) }],
      );
      expect(differences).toEqual([]);
    },
    120_000,
  );
});
