/** A hypervisor in one word of the command line: `era=2.6.35,syscallMsrs=eager,cost-model=westmere`. */

import { InvalidArgumentError } from 'commander';
import { COST_MODELS, type CostModelName } from '../host/cost/cost-models.js';
import { ERAS, type Era, type Policies } from '../kvm/policies.js';
import { parsePolicy } from './guest-options.js';

export interface MachineChoice {
  /** As it was typed. */
  readonly text: string;
  readonly era?: Era;
  readonly costModel?: CostModelName;
  readonly policy: Partial<Policies>;
}

/** For commander options. */
export function parseMachine(text: string): MachineChoice {
  let choice: MachineChoice = { text, policy: {} };
  for (const part of text.split(',')) {
    const [name, value = ''] = part.split('=');
    if (name === 'era') choice = { ...choice, era: oneOf(value, ERAS, 'Eras') };
    else if (name === 'cost-model')
      choice = { ...choice, costModel: oneOf(value, COST_MODELS, 'Cost models') };
    else choice = { ...choice, policy: parsePolicy(part, choice.policy) };
  }
  return choice;
}

function oneOf<Name extends string>(
  text: string,
  known: Readonly<Record<Name, unknown>>,
  what: string,
): Name {
  if (!Object.hasOwn(known, text))
    throw new InvalidArgumentError(`${what} are: ${Object.keys(known).join(', ')}.`);
  return text as Name;
}
