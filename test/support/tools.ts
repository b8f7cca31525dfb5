/** Outside oracles: programs that tests compare with, if this machine has them. */

import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export function hasTool(name: string): boolean {
  return spawnSync(name, ['--version'], { stdio: 'ignore' }).error === undefined;
}

/** Why a test is skipped, for its name: `(skipped: nasm is not installed)`, or nothing. */
export function skipNote(...names: string[]): string {
  const missing = names.filter((name) => !hasTool(name));
  return missing.length === 0 ? '' : ` (skipped: ${missing.join(', ')} not installed)`;
}

/** Calls `work` with a new empty folder, which is gone afterwards. */
export function inTemporaryFolder<Result>(work: (folder: string) => Result): Result {
  const folder = mkdtempSync(join(tmpdir(), 'exitscope-'));
  try {
    return work(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Runs a tool that has to succeed. */
export function runTool(name: string, ...arguments_: string[]): string {
  const result = spawnSync(name, arguments_, { encoding: 'utf8' });
  if (result.status !== 0) throw new Error(`${name} ${arguments_.join(' ')}: ${result.stderr}`);
  return result.stdout;
}
