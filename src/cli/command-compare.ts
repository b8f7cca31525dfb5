/** `exitscope compare`: one guest on two hypervisors, and what the difference is. */

import { Command, Option } from 'commander';
import type { ComparedRun } from '../lab/comparison.js';
import type { RunResult } from '../machine/virtual-machine.js';
import { StatisticsSink } from '../trace/statistics-sink.js';
import { EXIT } from './exit-codes.js';
import type { Guest } from './guest-file.js';
import { addGuestOptions, type GuestOptions } from './guest-options.js';
import { type MachineChoice, parseMachine } from './machine-choice.js';
import { output } from './standard-streams.js';

/** Names the shape of the JSON document; the number grows when a field changes its meaning or goes away. */
const COMPARISON_SCHEMA = 'exitscope.compare/1';

interface CompareOptions extends GuestOptions {
  readonly a: MachineChoice;
  readonly b: MachineChoice;
  readonly json: boolean;
}

const NOTHING: MachineChoice = { text: 'as --era, --policy and --cost-model say', policy: {} };
const side = (flags: string, description: string): Option =>
  new Option(flags, description).argParser(parseMachine).default(NOTHING, NOTHING.text);

export function compareCommand(): Command {
  return addGuestOptions(
    new Command('compare')
      .summary('run a guest twice and compare its VM exits')
      .description(
        'Runs a guest on two hypervisors and prints exits by reason and cycles by stage side by side, the biggest ' +
          'difference first. --a and --b are lists such as era=2.6.35,syscallMsrs=eager,cost-model=westmere; what ' +
          'they leave open is as --era, --policy and --cost-model say.',
      ),
  )
    .addOption(side('--a <list>', 'the one'))
    .addOption(side('--b <list>', 'the other'))
    .option('-j, --json', 'print one JSON document', false)
    .addHelpText(
      'after',
      '\nExample:\n  $ exitscope compare guest-programs/pio-write.asm --a era=2.6.32 --b era=2.6.37,syscallMsrs=eager',
    )
    .action(async (file: string, options: CompareOptions) => {
      const { compareRuns, writeComparison } = await import('../lab/comparison.js');
      const { reportEnd } = await import('./run-guest.js');
      const { readGuest } = await import('./guest-file.js');
      const guest = readGuest(file, options.format);
      const a = await runSide(guest, options, options.a);
      const b = await runSide(guest, options, options.b);
      const comparison = compareRuns(a.compared, b.compared);
      const names = { a: options.a.text, b: options.b.text };
      if (options.json) {
        const document = {
          schema: COMPARISON_SCHEMA,
          ...names,
          ends: [a.result.end, b.result.end],
          ...comparison,
        };
        output.line(JSON.stringify(document, undefined, 2));
      } else writeComparison(comparison, names, output.line);
      reportEnd(a.result, options);
      const firstExitCode = process.exitCode;
      reportEnd(b.result, options);
      if (firstExitCode !== EXIT.OK) process.exitCode = firstExitCode;
    });
}

async function runSide(
  guest: Guest,
  options: CompareOptions,
  { era, policy, costModel }: MachineChoice,
): Promise<{ readonly result: RunResult; readonly compared: ComparedRun }> {
  const { runGuest } = await import('./run-guest.js');
  const sink = new StatisticsSink();
  const result = await runGuest(
    guest,
    {
      ...options,
      era: era ?? options.era,
      costModel: costModel ?? options.costModel,
      policy: { ...options.policy, ...policy },
    },
    // What the guest prints is the same twice, or not comparable.
    { trace: sink, serialOutput: () => {} },
  );
  const { cycles, instructions } = result;
  return { result, compared: { cycles, instructions, reasons: sink.reasons(), stages: sink.stages() } };
}
