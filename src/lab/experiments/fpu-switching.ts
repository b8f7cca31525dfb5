/** The guest's FPU: CR0.TS, by which its kernel switches lazily, and the host's registers that make room. */

import type { Policies } from '../../kvm/policies.js';
import type { Experiment, Setup } from '../experiment.js';
import type { Observation } from '../observation.js';
import {
  both,
  cyclesBetween,
  exitCount,
  exitsPerSecondBetween,
  heavy,
  operationCount,
  printed,
  reason,
} from '../read-off.js';
import { likeLinux, oneGuest } from './setups.js';

const SECTION = 'CR0.TS and FPU switching';
const SWITCHES = '256';

const fpuExits = (run: Observation): number =>
  exitCount((exit) => exit.reasonName === 'EXCEPTION_NMI' || exit.reasonName === 'CR_ACCESS')(run);

const fbench: Experiment = {
  name: 'fbench',
  section: SECTION,
  title: 'Four tasks that use the FPU on one virtual CPU: every switch sets and clears CR0.TS',
  setups: {
    before: oneGuest('2.6.32', 'lazy-fpu', { era: '2.6.32', defines: { SWITCHES } }),
    after: oneGuest('2.6.35', 'lazy-fpu', { era: '2.6.35', defines: { SWITCHES } }),
    alone: oneGuest('2.6.32, TS owned', 'lazy-fpu', {
      era: '2.6.32',
      policies: { taskSwitchedFlag: 'guest-owned' },
      defines: { SWITCHES },
    }),
  },
  rows: [
    {
      title: 'exits',
      unit: 'exits/s',
      read: exitsPerSecondBetween(reason('EXTERNAL_INTERRUPT')),
      figure: {
        of: 'ratio',
        value: 2,
        source: 'talk, CR0.TS: 200k and 100k exits per second (no labels, no duration)',
        kind: 'predicted',
        aimInPercent: 10,
      },
    },
    {
      title: 'exits, CR0.TS alone replaced',
      unit: 'exits/s',
      after: 'alone',
      read: exitsPerSecondBetween(reason('EXTERNAL_INTERRUPT')),
    },
    {
      title: 'exits for the FPU, per task switch',
      unit: '',
      digits: 2,
      read: (run) => fpuExits(run) / printed('context switches')(run),
      figure: {
        of: 'before',
        value: { from: 2, to: 3 },
        source: 'derived: #NM, CLTS and MOV to CR0, or the latter two where the kernel preloads',
        kind: 'predicted',
      },
    },
    { title: 'wrong FPU values seen by the tasks', unit: '', read: printed('wrong values') },
  ],
};

const PORT = both(reason('IO_INSTRUCTION'), heavy);

/** A 2.6.35 guest that uses its FPU in every heavy period. */
function withHostFpu(label: string, hostFpu: Policies['hostFpu']): Setup {
  return likeLinux(oneGuest(label, 'fpu-and-port', { era: '2.6.35', policies: { hostFpu } }));
}

const unlazy: Experiment = {
  name: 'unlazy-fpu',
  section: SECTION,
  title:
    "The host thread's FPU registers: from one port write to user space to the next, with the use of the FPU between",
  setups: {
    before: withHostFpu('unconditional', 'unconditional'),
    shipped: withHostFpu('as shipped', 'unlazy-as-shipped'),
    after: withHostFpu('as intended', 'unlazy-as-intended'),
    eager: withHostFpu('eager', 'eager'),
  },
  exit: PORT,
  rows: [
    { title: 'unlazy_fpu as shipped', unit: 'cycles', after: 'shipped', read: cyclesBetween(PORT) },
    { title: 'unlazy_fpu as intended', unit: 'cycles', read: cyclesBetween(PORT) },
    { title: 'eager', unit: 'cycles', after: 'eager', read: cyclesBetween(PORT) },
    {
      title: '#NM of the host, as shipped',
      unit: 'in 256 writes',
      after: 'shipped',
      read: operationCount('host #NM'),
    },
    { title: '#NM of the host, as intended', unit: 'in 256 writes', read: operationCount('host #NM') },
  ],
};

const afterHeavyExit = (label: string, taskSwitchedFlag: Policies['taskSwitchedFlag']): Setup =>
  likeLinux(oneGuest(label, 'fpu-and-port', { era: '2.6.37', policies: { taskSwitchedFlag } }));

const counted: Experiment = {
  name: 'fpu-counter',
  section: SECTION,
  title: 'After each heavy exit the host owns CR0.TS again, or not: a guest that uses its FPU all the time',
  setups: {
    before: afterHeavyExit('deactivated at each heavy exit', 'guest-owned'),
    after: afterHeavyExit('kept after five uses', 'guest-owned-counted'),
  },
  rows: [
    { title: 'exits for the FPU', unit: 'in 256 writes', read: fpuExits },
    { title: 'from one port write to the next', unit: 'cycles', read: cyclesBetween(PORT) },
  ],
};

export const FPU_SWITCHING: readonly Experiment[] = [fbench, unlazy, counted];
