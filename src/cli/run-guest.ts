/** Runs a guest in slices, so that Ctrl-C is noticed between them, and turns its end into an exit code. */

import { createVm } from '../machine/create-vm.js';
import { MachineError } from '../machine/machine-error.js';
import type { RunResult } from '../machine/virtual-machine.js';
import type { TraceSink } from '../trace/events.js';
import { CommandError } from './command-error.js';
import { EXIT } from './exit-codes.js';
import { readGuestFile } from './guest-file.js';
import type { GuestOptions } from './guest-options.js';
import { output, talk } from './standard-streams.js';

/** Guest instructions between two looks at what the user wants: some tenths of a second. */
const SLICE = 10_000_000;

export interface Observers {
  readonly trace?: TraceSink;
  readonly serialOutput: (byte: number) => void;
}

/** @throws CommandError when the guest could not be run to an end; observers have seen everything until then */
export async function runGuest(
  path: string,
  options: GuestOptions,
  observers: Observers,
): Promise<RunResult> {
  try {
    const image = readGuestFile(path, options.format);
    const { memory: memoryBytes, era, policy: policies } = options;
    const vm = createVm({ image, memoryBytes, era, policies, ...observers });
    return await runInSlices((instructions) => vm.run(instructions), options.maxInstructions);
  } catch (error) {
    throw commandErrorFor(error, path);
  }
}

async function runInSlices(
  run: (maxInstructions: number) => RunResult,
  maxInstructions = Number.POSITIVE_INFINITY,
): Promise<RunResult> {
  let interrupted = false;
  const interrupt = (): void => {
    interrupted = true;
  };
  process.once('SIGINT', interrupt);
  try {
    for (let executed = 0; ; ) {
      const result = run(Math.min(SLICE, maxInstructions - executed));
      executed = result.instructions;
      if (result.end.reason !== 'limit' || executed >= maxInstructions) return result;
      await new Promise(setImmediate);
      if (interrupted)
        throw new CommandError(
          EXIT.INTERRUPTED,
          `interrupted at RIP 0x${result.rip.toString(16)} after ${executed} instructions`,
        );
    }
  } finally {
    process.removeListener('SIGINT', interrupt);
  }
}

function commandErrorFor(error: unknown, path: string): unknown {
  if (error instanceof MachineError) {
    const isOption = error.code === 'option';
    return new CommandError(
      isOption ? EXIT.USAGE : EXIT.FAILURE,
      isOption ? error.message : `${path}: ${error.message}`,
    );
  }
  const { code, message } = error as { code?: unknown; message: string };
  if (code === 'unimplemented-instruction' || code === 'unimplemented-feature')
    return new CommandError(EXIT.UNIMPLEMENTED, message);
  return error;
}

/** Says on standard error how the guest ended, where that is not a success, and sets the exit code. */
export function reportEnd(result: RunResult, options: GuestOptions): void {
  const code = exitCodeOf(result);
  const { successExitCode } = options;
  process.exitCode =
    successExitCode === undefined ? code : code === successExitCode ? EXIT.OK : code || EXIT.FAILURE;
  const message = messageOf(result);
  if (message === undefined) return;
  output.flush();
  talk.line(
    `exitscope: ${message} at RIP 0x${result.rip.toString(16)} after ${result.instructions} instructions`,
  );
}

function exitCodeOf({ end }: RunResult): number {
  switch (end.reason) {
    case 'guest-exit':
      return end.exitCode;
    case 'halted':
      return EXIT.OK;
    case 'shutdown':
      return EXIT.TRIPLE_FAULT;
    case 'reset':
      return EXIT.FAILURE;
    case 'entry-failure':
      return EXIT.ENTRY_FAILURE;
    case 'limit':
      return EXIT.LIMIT;
  }
}

function messageOf({ end }: RunResult): string | undefined {
  switch (end.reason) {
    case 'guest-exit':
    case 'halted':
      return undefined;
    case 'shutdown':
      return 'the guest shut down (triple fault)';
    case 'reset':
      return 'the guest reset the machine';
    case 'entry-failure':
      return `VM entry failed (${end.detail})`;
    case 'limit':
      return 'stopped by --max-instructions';
  }
}
