/** What single mechanisms take from an exit: one is replaced, everything else stays as the era before it had it. */

import type { Mechanism, Policies } from '../../kvm/policies.js';
import type { Experiment, Figure, RowDefinition, Setup } from '../experiment.js';
import { both, light, reason, typicalCycles } from '../read-off.js';
import { type Machine, oneGuest } from './setups.js';

const HYPERCALL = reason('VMCALL');
const OUT = both(reason('IO_INSTRUCTION'), light);

interface Step<M extends Mechanism = Mechanism> {
  readonly title: string;
  readonly mechanism: M;
  readonly before: Policies[M];
  readonly after: Policies[M];
  readonly era: NonNullable<Machine['era']>;
  /** A write to a port of the interrupt controller instead of a VMCALL. */
  readonly port?: boolean;
  readonly figure?: Figure;
}

const step = <M extends Mechanism>(definition: Step<M>): Step => definition as unknown as Step;

const STEPS: readonly Step[] = [
  step({
    title: 'HOST_CR0 written once',
    mechanism: 'hostCr0',
    before: 'every-entry',
    after: 'once',
    era: '2.6.35',
    figure: { of: 'saving', value: 50, source: 'commit 1c11e713576e: about 50 cycles', kind: 'calibrated' },
  }),
  step({
    title: 'DS and ES loaded on heavy exits',
    mechanism: 'userSegments',
    before: 'every-exit',
    after: 'host-switch',
    era: '2.6.37',
    figure: {
      of: 'saving',
      value: 70,
      source: 'commit b2da15ac26a0: about 70 of 1,600 cycles (recalled)',
      kind: 'calibrated',
    },
  }),
  step({
    title: 'events looked for on request',
    mechanism: 'eventInjection',
    before: 'every-entry',
    after: 'on-request',
    era: '2.6.35',
  }),
  step({
    title: 'GUEST_CR3 not written, event always read',
    mechanism: 'vmcsTraffic',
    before: '2.6.32',
    after: '2.6.35',
    era: '2.6.32',
  }),
  step({
    title: 'VMCS fields read on demand',
    mechanism: 'vmcsTraffic',
    before: '2.6.37',
    after: 'on-demand',
    era: '3.x',
  }),
  step({
    title: 'OUT by the fast path, to the PIC',
    mechanism: 'portOutput',
    before: 'exit-qualification',
    after: 'fast-path',
    era: '2.6.32',
    port: true,
  }),
];

const nameOf = ({ mechanism }: Step, alternative: string): string => `${mechanism}=${alternative}`;

function setup({ mechanism, era, port }: Step, alternative: string): Setup {
  return oneGuest(`${mechanism}=${alternative}`, port === true ? 'pio-kernel' : 'hypercall', {
    era,
    policies: { [mechanism]: alternative },
  });
}

const savings: Experiment = {
  name: 'single-mechanisms',
  section: 'Light and heavy exits',
  title: 'A light exit with one mechanism replaced, all others as in the era before',
  setups: Object.fromEntries(
    STEPS.flatMap((one) =>
      [one.before, one.after].map((alternative) => [nameOf(one, alternative), setup(one, alternative)]),
    ),
  ),
  rows: STEPS.map(
    (one): RowDefinition => ({
      title: one.title,
      unit: 'cycles',
      before: nameOf(one, one.before),
      after: nameOf(one, one.after),
      read: typicalCycles(one.port === true ? OUT : HYPERCALL),
      ...(one.figure === undefined ? {} : { figure: one.figure }),
    }),
  ),
};

export const SINGLE_MECHANISMS: readonly Experiment[] = [savings];
