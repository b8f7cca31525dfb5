/** The command line: which commands there are, and how the process ends. */

import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { asmCommand } from './command-asm.js';
import { compareCommand } from './command-compare.js';
import { disasmCommand } from './command-disasm.js';
import { CommandError } from './command-error.js';
import { labCommand } from './command-lab.js';
import { policiesCommand } from './command-policies.js';
import { runCommand } from './command-run.js';
import { statCommand } from './command-stat.js';
import { traceCommand } from './command-trace.js';
import { EXIT } from './exit-codes.js';
import { output, talk } from './standard-streams.js';

function version(): string {
  const path = new URL('../../package.json', import.meta.url);
  const { version } = JSON.parse(readFileSync(path, 'utf8')) as { version: string };
  return `exitscope ${version} (Node ${process.versions.node})`;
}

function createProgram(): Command {
  const program = new Command('exitscope')
    .description('Runs x86-64 guests under a KVM-like hypervisor, and accounts for every VM exit in cycles.')
    .version(version(), '-V, --version', 'print the version')
    .addHelpText('after', '\nExample:\n  $ exitscope trace --stages guest-programs/pio-write.asm');
  const commands = [
    asmCommand(),
    disasmCommand(),
    runCommand(),
    traceCommand(),
    statCommand(),
    compareCommand(),
    labCommand(),
    policiesCommand(),
  ];
  for (const command of commands) program.addCommand(command);
  for (const command of [program, ...commands])
    command
      .exitOverride()
      .configureOutput({
        writeOut: (text) => output.bytes(Buffer.from(text)),
        writeErr: (text) => talk.bytes(Buffer.from(text)),
      })
      .showHelpAfterError(
        `(${command.name() === 'exitscope' ? 'exitscope' : `exitscope ${command.name()}`} --help says more)`,
      );
  return program;
}

/** Says what went wrong, once and in one place, and returns the exit code that stands for it. */
function report(error: unknown): number {
  try {
    return describe(error);
  } catch {
    // Nobody reads standard error either.
    return EXIT.BROKEN_PIPE;
  }
}

function describe(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.OK : EXIT.USAGE;
  if (error instanceof CommandError) {
    if (error.message !== '') talk.line(`exitscope: ${error.message}`);
    return error.exitCode;
  }
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  talk.line(`exitscope: internal error, please report it:\n${text}`);
  return EXIT.INTERNAL;
}

/** Runs the command line `arguments_` (without node and script) and returns the process's exit code. */
export async function main(arguments_: readonly string[]): Promise<number> {
  const program = createProgram();
  let exitCode: number = EXIT.OK;
  try {
    await program.parseAsync(arguments_, { from: 'user' });
    exitCode = Number(process.exitCode ?? EXIT.OK);
  } catch (error) {
    exitCode = report(error);
  }
  try {
    output.flush();
  } catch (error) {
    exitCode = report(error);
  }
  return exitCode;
}
