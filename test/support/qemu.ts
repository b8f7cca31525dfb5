/** Runs a guest under QEMU, entered by the same contract as under exitscope. */

import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GUEST_PROGRAMS } from './guest-programs.js';
import { runTool } from './tools.js';

const BOOT_SOURCE = join(import.meta.dirname, 'qemu-boot.asm');
const MACHINE = ['-display', 'none', '-monitor', 'none', '-serial', 'stdio', '-no-reboot', '-accel', 'tcg'];
const DEBUG_EXIT = ['-device', 'isa-debug-exit,iobase=0xf4,iosize=4'];

/**
 * Assembles with nasm, boots under QEMU and returns the serial output as soon as `isComplete` says that it is whole,
 * or what there was of it after the time-out: a guest that has halted keeps QEMU waiting for ever.
 */
export async function serialOutputUnderQemu(
  path: string,
  isComplete: (output: string) => boolean,
  timeoutInMilliseconds = 20_000,
): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'exitscope-'));
  try {
    const guest = join(folder, 'guest.bin');
    const boot = join(folder, 'boot.bin');
    runTool('nasm', '-I', GUEST_PROGRAMS, '-o', guest, path);
    runTool('nasm', `-DIMAGE="${guest}"`, '-o', boot, BOOT_SOURCE);
    return await bootUnderQemu(boot, isComplete, timeoutInMilliseconds);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function bootUnderQemu(
  boot: string,
  isComplete: (output: string) => boolean,
  timeout: number,
): Promise<string> {
  const qemu = spawn('qemu-system-x86_64', ['-kernel', boot, ...MACHINE, ...DEBUG_EXIT], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const timer = setTimeout(() => qemu.kill(), timeout);
  let output = '';
  qemu.stdout.on('data', (data: Buffer) => {
    output += data.toString('latin1');
    if (isComplete(output)) qemu.kill();
  });
  return new Promise((resolve, reject) => {
    qemu.on('error', reject);
    qemu.on('close', () => {
      clearTimeout(timer);
      resolve(output);
    });
  });
}
