/** GNU objdump and nasm as outside opinions on what bytes and text mean. */

import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inTemporaryFolder } from './tools.js';

const MAXIMUM_OUTPUT_IN_BYTES = 1 << 28;
const OBJDUMP_MACHINES: Readonly<Record<number, string>> = { 16: 'i8086', 32: 'i386', 64: 'x86-64' };

export interface ObjdumpLine {
  readonly address: number;
  readonly text: string;
}

/** GNU objdump over raw code: one entry per instruction that it sees, in order. */
export function disassembleWithObjdump(code: Uint8Array, codeSize: number): ObjdumpLine[] {
  return inTemporaryFolder((folder) => {
    const file = join(folder, 'code.bin');
    writeFileSync(file, code);
    const { stdout, status, stderr } = spawnSync(
      'objdump',
      ['-D', '-w', '-b', 'binary', '-m', 'i386', '-M', `intel,${OBJDUMP_MACHINES[codeSize]}`, file],
      { encoding: 'utf8', maxBuffer: MAXIMUM_OUTPUT_IN_BYTES },
    );
    if (status !== 0) throw new Error(`objdump failed: ${stderr}`);
    return [...stdout.matchAll(/^\s*([0-9a-f]+):\t[0-9a-f ]+(?:\t(.*))?$/gm)].map((match) => ({
      address: Number.parseInt(match[1]!, 16),
      text: (match[2] ?? '').trim(),
    }));
  });
}

export interface NasmResult {
  /** The flat binary; empty when there are errors. */
  readonly code: Uint8Array;
  /** Error messages by line number (from 1); empty when nasm accepted the source. */
  readonly errors: ReadonlyMap<number, string>;
}

/** Assembles source to a flat binary with nasm. */
export function assembleWithNasm(source: string): NasmResult {
  return inTemporaryFolder((folder) => {
    const input = join(folder, 'source.asm');
    const output = join(folder, 'code.bin');
    writeFileSync(input, source);
    const { status, stderr } = spawnSync('nasm', ['-w-all', '-f', 'bin', '-o', output, input], {
      encoding: 'utf8',
      maxBuffer: MAXIMUM_OUTPUT_IN_BYTES,
    });
    const errors = new Map<number, string>();
    for (const match of stderr.matchAll(/:(\d+): error: (.*)/g)) errors.set(Number(match[1]), match[2]!);
    if (status !== 0 && errors.size === 0) throw new Error(`nasm failed: ${stderr}`);
    return { code: status === 0 ? new Uint8Array(readFileSync(output)) : new Uint8Array(), errors };
  });
}
