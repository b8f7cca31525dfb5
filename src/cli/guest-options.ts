/** Options that `run`, `trace` and `stat` share: which machine the guest gets, and what its end means. */

import { type Command, InvalidArgumentError, Option } from 'commander';
import { COST_MODELS, type CostModelName, DEFAULT_COST_MODEL } from '../host/cost/cost-models.js';
import { DEFAULT_ERA, ERAS, type Era, IMPLEMENTED, type Policies } from '../kvm/policies.js';
import { DEFAULT_MEMORY_BYTES } from '../machine/memory-map.js';
import { DEFAULT_PROCESSOR, PROCESSOR_MODELS, type ProcessorModel } from '../machine/processor-models.js';
import { choiceOption, either, similarNames } from './choices.js';
import { EXIT_CODE_HELP } from './exit-codes.js';
import type { GuestFormat } from './guest-file.js';
import { parseCount, parseSize } from './numbers.js';

export interface GuestOptions {
  readonly format: GuestFormat;
  readonly memory: number;
  readonly vcpus: number;
  readonly era: Era;
  readonly policy: Partial<Policies>;
  readonly costModel: CostModelName;
  readonly processor: ProcessorModel;
  readonly vga?: boolean;
  readonly maxInstructions?: number;
  readonly successExitCode?: number;
}

export function addGuestOptions(command: Command): Command {
  const width = Math.max(...Object.keys(IMPLEMENTED).map((mechanism) => mechanism.length));
  const policies = Object.entries(IMPLEMENTED)
    .map(([mechanism, alternatives]) => `  ${mechanism.padEnd(width)}  ${alternatives.join(', ')}`)
    .join('\n');
  return command
    .argument(
      '<file>',
      'guest: assembly source (.asm), flat image (.bin) or ELF64 executable; - for standard input, which is source unless --format says otherwise',
    )
    .addOption(
      choiceOption('--format <format>', 'what the file is', ['auto', 'asm', 'flat', 'elf64']).default('auto'),
    )
    .addOption(
      new Option('-m, --memory <size>', 'guest RAM')
        .argParser(parseSize)
        .default(DEFAULT_MEMORY_BYTES, `${DEFAULT_MEMORY_BYTES / 2 ** 20}M`),
    )
    .option('--vcpus <n>', 'virtual CPUs, each on a host CPU of its own', parseVcpus, 1)
    .addOption(eraOption().default(DEFAULT_ERA))
    .addOption(policyOption())
    .addOption(costModelOption().default(DEFAULT_COST_MODEL))
    .addOption(processorOption().default(DEFAULT_PROCESSOR))
    .option('--vga', 'add a VGA window at 0xa0000, mapped and unmapped by memory slots')
    .option('--max-instructions <n>', 'stop after this many guest instructions', parseCount)
    .option('--success-exit-code <n>', 'the exit code that stands for success', parseExitCode)
    .addHelpText(
      'after',
      `\n${EXIT_CODE_HELP}\n\nPolicies (\`exitscope policies\` explains them, and says which era has which):\n${policies}`,
    );
}

const MAXIMUM_VCPUS = 16;

function parseVcpus(text: string): number {
  const count = parseCount(text);
  if (count < 1 || count > MAXIMUM_VCPUS)
    throw new InvalidArgumentError(`1 to ${MAXIMUM_VCPUS} are possible.`);
  return count;
}

function parseExitCode(text: string): number {
  const code = parseCount(text);
  if (code > 255) throw new InvalidArgumentError('Exit codes are 0 to 255.');
  return code;
}

// For every command that runs guests.

export const eraOption = (): Option =>
  choiceOption('--era <release>', 'behave as this Linux release', Object.keys(ERAS));

export const policyOption = (): Option =>
  new Option('--policy <mechanism=alternative>', 'replace one mechanism of the era; may be repeated')
    .argParser(parsePolicy)
    .default({});

export const costModelOption = (): Option =>
  choiceOption('--cost-model <name>', 'count the cycles of this processor', Object.keys(COST_MODELS));

export const processorOption = (): Option =>
  choiceOption(
    '--processor <generation>',
    'what the host processor can do; its costs are those of the cost model',
    PROCESSOR_MODELS,
  );

/** `mechanism=alternative`, added to those before it. For commander options. */
export function parsePolicy(text: string, previous: Partial<Policies>): Partial<Policies> {
  const [mechanism, alternative, ...rest] = text.split('=');
  const known: readonly string[] | undefined = IMPLEMENTED[mechanism as keyof Policies];
  if (known === undefined) throw new InvalidArgumentError(noMechanism(mechanism, text));
  if (alternative === undefined)
    throw new InvalidArgumentError(`Say which, such as ${mechanism}=${known[1]}: ${known.join(', ')}.`);
  if (rest.length > 0 || !known.includes(alternative)) {
    const [similar] = similarNames(alternative, known);
    const question = similar === undefined ? '' : `Did you mean ${mechanism}=${similar}? `;
    throw new InvalidArgumentError(`${question}Available for ${mechanism}: ${known.join(', ')}.`);
  }
  return { ...previous, [mechanism]: alternative };
}

/** What was meant by a name that is no mechanism: one that is spelt like it, or one with an alternative of that name. */
function noMechanism(name: string, text: string): string {
  const mechanisms = Object.entries(IMPLEMENTED);
  const similar = [
    ...similarNames(
      name,
      mechanisms.map(([mechanism]) => mechanism),
    ).map((mechanism) => `${mechanism}${text.slice(name.length)}`),
    ...mechanisms
      .filter(([, alternatives]) => (alternatives as readonly string[]).includes(text))
      .map(([mechanism]) => `${mechanism}=${text}`),
  ];
  if (similar.length > 0)
    return `Did you mean ${either(similar)}? \`exitscope policies\` lists the mechanisms.`;
  return `Mechanisms are: ${mechanisms.map(([mechanism]) => mechanism).join(', ')}.`;
}
