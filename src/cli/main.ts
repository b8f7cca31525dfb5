/** The command line: which commands there are, and how the process ends. */

import { readFileSync } from 'node:fs';
import { Command, CommanderError, Help, type Option } from 'commander';
import { unknownName } from './choices.js';
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
    .helpCommand(false)
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
    helpCommand(program),
  ];
  for (const command of commands) program.addCommand(command);
  for (const command of [program, ...commands])
    command
      .exitOverride()
      .configureHelp({ optionDescription })
      .configureOutput({
        writeOut: (text) => output.bytes(Buffer.from(text)),
        writeErr: (text) => talk.bytes(Buffer.from(text)),
        outputError: (text) => talk.line(usageError(text, command === program ? '' : ` ${command.name()}`)),
      });
  return program;
}

function helpCommand(program: Command): Command {
  return new Command('help')
    .summary('display help for a command')
    .description('Displays the help of a command, or which commands there are.')
    .argument('[command]', 'its name')
    .action((name: string | undefined) => {
      const command = program.commands.find((candidate) => candidate.name() === name);
      if (name !== undefined && command === undefined)
        throw new CommandError(
          EXIT.USAGE,
          unknownName(
            'command',
            name,
            program.commands.map((candidate) => candidate.name()),
          ),
        );
      (command ?? program).help();
    });
}

/** What is off or empty unless it is asked for goes without saying. */
function optionDescription(option: Option): string {
  const { defaultValue, defaultValueDescription } = option;
  const isWorthSaying =
    defaultValueDescription !== undefined || ['string', 'number'].includes(typeof defaultValue);
  const shown = Object.assign(
    Object.create(option) as Option,
    isWorthSaying ? {} : { defaultValue: undefined },
  );
  return new Help().optionDescription(shown);
}

/** One line of commander's several, in the form of all other errors. */
function usageError(text: string, commandName: string): string {
  const words = text
    .replace(/^error: /, '')
    .trim()
    .replace(/\s*\n\s*/g, ' ');
  return `exitscope: ${words} (exitscope${commandName} --help says more)`;
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
