/** Options that `run`, `trace` and `stat` share: which machine the guest gets, and what its end means. */

import { type Command, InvalidArgumentError, Option } from 'commander';
import { COST_MODELS, type CostModelName, DEFAULT_COST_MODEL } from '../host/cost/cost-models.js';
import { DEFAULT_ERA, ERAS, type Era, IMPLEMENTED, type Policies } from '../kvm/policies.js';
import { DEFAULT_MEMORY_BYTES } from '../machine/memory-map.js';
import { DEFAULT_PROCESSOR, PROCESSOR_MODELS, type ProcessorModel } from '../machine/physical-machine.js';
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
    .argument('<file>', 'guest: assembly source (.asm), flat image (.bin) or ELF64 executable')
    .addOption(
      new Option('--format <format>', 'what the file is')
        .choices(['auto', 'asm', 'flat', 'elf64'])
        .default('auto'),
    )
    .option('-m, --memory <size>', 'guest RAM', parseSize, DEFAULT_MEMORY_BYTES)
    .option('--vcpus <n>', 'virtual CPUs, each on a host CPU of its own', parseVcpus, 1)
    .addOption(
      new Option('--era <release>', 'behave as this Linux release')
        .choices(Object.keys(ERAS))
        .default(DEFAULT_ERA),
    )
    .option(
      '--policy <mechanism=alternative>',
      'replace one mechanism of the era; may be repeated',
      parsePolicy,
      {},
    )
    .addOption(costModelOption())
    .addOption(processorOption())
    .option('--vga', 'add a VGA window at 0xa0000, mapped and unmapped by memory slots')
    .option('--max-instructions <n>', 'stop after this many guest instructions', parseCount)
    .option('--success-exit-code <n>', 'the exit code that stands for success', parseCount)
    .addHelpText(
      'after',
      `\n${EXIT_CODE_HELP}\n\nPolicies (the first one is the default; \`exitscope policies\` explains them):\n${policies}`,
    );
}

const MAXIMUM_VCPUS = 16;

function parseVcpus(text: string): number {
  const count = parseCount(text);
  if (count < 1 || count > MAXIMUM_VCPUS)
    throw new InvalidArgumentError(`1 to ${MAXIMUM_VCPUS} are possible.`);
  return count;
}

/** `--cost-model`, for every command that runs guests. */
export function costModelOption(): Option {
  return new Option('--cost-model <name>', 'count the cycles of this processor')
    .choices(Object.keys(COST_MODELS))
    .default(DEFAULT_COST_MODEL);
}

function processorOption(): Option {
  return new Option(
    '--processor <generation>',
    'what the host processor can do; its costs are those of the cost model',
  )
    .choices(PROCESSOR_MODELS)
    .default(DEFAULT_PROCESSOR);
}

/** `mechanism=alternative`, added to those before it. For commander options. */
export function parsePolicy(text: string, previous: Partial<Policies>): Partial<Policies> {
  const [mechanism, alternative, ...rest] = text.split('=');
  const known: readonly string[] | undefined = IMPLEMENTED[mechanism as keyof Policies];
  if (known === undefined)
    throw new InvalidArgumentError(`Mechanisms are: ${Object.keys(IMPLEMENTED).join(', ')}.`);
  if (rest.length > 0 || !known.includes(alternative))
    throw new InvalidArgumentError(`Available for ${mechanism}: ${known.join(', ')}.`);
  return { ...previous, [mechanism]: alternative };
}
