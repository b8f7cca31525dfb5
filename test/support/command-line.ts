/** Runs the command line as users do: `node bin/exitscope.js …`. Needs a build. */

import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '..', '..');
export const EXITSCOPE = join(ROOT, 'bin', 'exitscope.js');

export interface CommandResult {
  readonly code: number | null;
  readonly output: string;
  readonly talk: string;
}

/** Runs a command to its end, in the project's folder, without a terminal. */
export function exitscope(...arguments_: string[]): CommandResult {
  return exitscopeWith('', ...arguments_);
}

/** The same with something to read on standard input. */
export function exitscopeWith(input: string | Uint8Array, ...arguments_: string[]): CommandResult {
  const result: SpawnSyncReturns<string> = spawnSync(process.execPath, [EXITSCOPE, ...arguments_], {
    cwd: ROOT,
    encoding: 'utf8',
    input,
    timeout: 60_000,
    maxBuffer: 256 * 2 ** 20,
  });
  return { code: result.status, output: result.stdout, talk: result.stderr };
}
