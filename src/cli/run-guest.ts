/**
 * Runs a guest in slices, so that Ctrl-C is noticed between them, and turns its end into an exit code. The slices are the
 * same in every run: several virtual CPUs meet differently when they are cut elsewhere.
 */

import { COST_MODELS } from '../host/cost/cost-models.js';
import type { RunResult, VirtualMachine } from '../machine/virtual-machine.js';
import type { TraceSink } from '../trace/events.js';
import { CommandError } from './command-error.js';
import { EXIT } from './exit-codes.js';
import { type Guest, readGuest } from './guest-file.js';
import type { GuestOptions } from './guest-options.js';
import { commandErrorFor } from './host-errors.js';
import { output, talk } from './standard-streams.js';

/** Guest instructions up to the first look at what the user wants, and the most between two. */
const FIRST_SLICE = 1000;
const LARGEST_SLICE = 1 << 18;
/** A guest that exits all the time is looked at as often as one that computes. */
const CYCLES_PER_INSTRUCTION = 1000;

/** Ctrl-C, and what had happened until then. */
export class InterruptedRun extends CommandError {
  readonly result: RunResult;

  constructor(result: RunResult) {
    const place = `at RIP 0x${result.rip.toString(16)} after ${result.instructions} instructions`;
    super(EXIT.INTERRUPTED, `interrupted ${place}`);
    this.result = result;
  }
}

export interface Observers {
  readonly trace?: TraceSink;
  readonly serialOutput: (byte: number) => void;
}

/** @throws CommandError when the guest could not be run to an end; observers have seen everything until then */
export async function runGuestFile(
  path: string,
  options: GuestOptions,
  observers: Observers,
): Promise<RunResult> {
  return runGuest(readGuest(path, options.format), options, observers);
}

/** @throws CommandError as `runGuestFile` */
export async function runGuest(
  { path, image }: Guest,
  options: GuestOptions,
  observers: Observers,
): Promise<RunResult> {
  // Whoever mistyped a file need not wait for the machine.
  const { createVm } = await import('../machine/create-vm.js');
  try {
    const { memory: memoryBytes, vcpus, era, policy: policies, vga: vgaWindow = false } = options;
    const costModel = COST_MODELS[options.costModel];
    const { processor } = options;
    const vm = createVm({
      ...{ image, memoryBytes, vcpus, era, policies, costModel, processor, vgaWindow },
      ...observers,
    });
    return await runInSlices(vm, options.maxInstructions);
  } catch (error) {
    throw commandErrorFor(error, path);
  }
}

async function runInSlices(
  vm: VirtualMachine,
  maxInstructions = Number.POSITIVE_INFINITY,
): Promise<RunResult> {
  let interrupted = false;
  const interrupt = (): void => {
    interrupted = true;
  };
  process.once('SIGINT', interrupt);
  try {
    let slice = FIRST_SLICE;
    for (let executed = 0; ; ) {
      const instructions = Math.min(slice, maxInstructions - executed);
      const result = vm.run({ instructions, cycles: slice * CYCLES_PER_INSTRUCTION });
      // A repeated instruction can exit over and over without ever being completed.
      executed = Math.max(result.instructions, result.statistics.exits);
      if (result.end.reason !== 'limit' || executed >= maxInstructions) return result;
      output.flush();
      await new Promise(setImmediate);
      if (interrupted) throw new InterruptedRun(result);
      slice = Math.min(slice * 2, LARGEST_SLICE);
    }
  } finally {
    process.removeListener('SIGINT', interrupt);
  }
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
