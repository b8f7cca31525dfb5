/** `exitscope policies`: what can be switched in the hypervisor layer, what each alternative does, and who told. */

import { Command } from 'commander';
import { ERAS, IMPLEMENTED, MECHANISMS, type Mechanism } from '../kvm/policies.js';
import { unknownName } from './choices.js';
import { CommandError } from './command-error.js';
import { EXIT } from './exit-codes.js';
import { output } from './standard-streams.js';
import { wrapped } from './wrapped.js';

/** Names the shape of the JSON document. */
const POLICIES_SCHEMA = 'exitscope.policies/1';

interface DescribedAlternative {
  readonly name: string;
  readonly explanation: string;
  readonly source: string;
  /** Releases that behave so. */
  readonly eras: readonly string[];
  /** Can be chosen. */
  readonly available: boolean;
}

interface DescribedMechanism {
  readonly name: string;
  readonly title: string;
  readonly alternatives: readonly DescribedAlternative[];
}

export function policiesCommand(): Command {
  return new Command('policies')
    .summary('explain the mechanisms that can be switched')
    .description(
      'Explains each mechanism of the hypervisor layer and its alternatives, oldest first: what it does, which ' +
        'eras use it, and where that is told. They are chosen with --era and --policy mechanism=alternative.',
    )
    .argument('[mechanism]', 'only this one')
    .option('-j, --json', 'print one JSON document', false)
    .addHelpText('after', '\nExample:\n  $ exitscope policies syscallMsrs')
    .action((name: string | undefined, { json }: { json: boolean }) => {
      const mechanisms = describedMechanisms().filter(
        (mechanism) => name === undefined || mechanism.name === name,
      );
      if (mechanisms.length === 0)
        throw new CommandError(
          EXIT.USAGE,
          unknownName(
            'mechanism',
            name ?? '',
            MECHANISMS.map((mechanism) => mechanism.name),
          ),
        );
      if (json) output.line(JSON.stringify({ schema: POLICIES_SCHEMA, mechanisms }, undefined, 2));
      else print(mechanisms);
    });
}

function describedMechanisms(): DescribedMechanism[] {
  return MECHANISMS.map(({ name, title, alternatives }) => ({
    name,
    title,
    alternatives: alternatives.map((alternative) => ({
      ...alternative,
      eras: erasWith(name, alternative.name),
      available: (IMPLEMENTED[name] as readonly string[]).includes(alternative.name),
    })),
  }));
}

function erasWith(mechanism: Mechanism, alternative: string): string[] {
  return Object.entries(ERAS)
    .filter(([, policies]) => policies[mechanism] === alternative)
    .map(([era]) => era);
}

function print(mechanisms: readonly DescribedMechanism[]): void {
  for (const [index, { name, title, alternatives }] of mechanisms.entries()) {
    if (index > 0) output.line('');
    output.line(`${name}: ${title}`);
    for (const alternative of alternatives) {
      const { eras, available } = alternative;
      const used = eras.length > 0 ? eras.join(', ') : available ? 'no era' : 'not available';
      output.line('');
      output.line(`  ${alternative.name}  (${used})`);
      for (const line of wrapped(alternative.explanation, TEXT_WIDTH)) output.line(`    ${line}`);
      output.line(`    Source: ${alternative.source}`);
    }
  }
}

const TEXT_WIDTH = 108;
