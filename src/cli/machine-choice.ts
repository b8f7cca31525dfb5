/** A hypervisor in one word of the command line: `era=2.6.35,syscallMsrs=eager,cost-model=westmere`. */

import { InvalidArgumentError } from 'commander';
import { COST_MODELS, type CostModelName } from '../host/cost/cost-models.js';
import { ERAS, type Era, type Policies } from '../kvm/policies.js';
import { oneOf, similarNames } from './choices.js';
import { parsePolicy } from './guest-options.js';

export interface MachineChoice {
  /** As it was typed. */
  readonly text: string;
  readonly era?: Era;
  readonly costModel?: CostModelName;
  readonly policy: Partial<Policies>;
}

const ERA_NAMES = Object.keys(ERAS) as Era[];
/** What can be chosen beside mechanisms. */
const OTHER_NAMES = ['era', 'cost-model'];
const COST_MODEL_NAMES = Object.keys(COST_MODELS) as CostModelName[];

/** For commander options. */
export function parseMachine(text: string): MachineChoice {
  let choice: MachineChoice = { text, policy: {} };
  for (const part of text.split(',')) {
    const [name, value = ''] = part.split('=');
    if (name === 'era') choice = { ...choice, era: oneOf(value, ERA_NAMES) };
    else if (name === 'cost-model') choice = { ...choice, costModel: oneOf(value, COST_MODEL_NAMES) };
    else if (similarNames(name, OTHER_NAMES).length > 0)
      throw new InvalidArgumentError(`Did you mean ${similarNames(name, OTHER_NAMES)[0]}=${value}?`);
    else if ((ERA_NAMES as string[]).includes(part)) throw new InvalidArgumentError(`Say era=${part}.`);
    else if ((COST_MODEL_NAMES as string[]).includes(part))
      throw new InvalidArgumentError(`Say cost-model=${part}.`);
    else choice = { ...choice, policy: parsePolicy(part, choice.policy) };
  }
  return choice;
}
