/** Instruction emulation, from the talk's to-do list. */

import type { Policies } from '../../kvm/policies.js';
import type { Experiment, Setup } from '../experiment.js';
import { reason, typicalCycles } from '../read-off.js';
import { oneGuest } from './setups.js';

const EXIT = reason('APIC_ACCESS');
const SOURCE = 'commit 44583cba9188: an emulated instruction on a Sandy Bridge Xeon';

const setup = (label: string, policies: Partial<Policies>): Setup =>
  oneGuest(label, 'eoi-xapic', { costModel: 'sandy-bridge', policies });

const emulator: Experiment = {
  name: 'emulator',
  section: 'Instruction emulation',
  title:
    'What emulating a write to the xAPIC page takes, on Sandy Bridge: the exit less one without emulation',
  setups: {
    before: setup('full', { instructionEmulation: 'full' }),
    cached: setup('decode cache', { instructionEmulation: 'decode-cache' }),
    after: setup('lean', { instructionEmulation: 'lean' }),
    without: setup('not emulated', { apicAccess: 'fast-eoi' }),
  },
  exit: EXIT,
  rows: [
    {
      title: 'before the series of 2014',
      unit: 'cycles',
      after: null,
      less: 'without',
      read: typicalCycles(EXIT),
      figure: { of: 'before', value: { from: 2300, to: 3200 }, source: SOURCE, kind: 'predicted' },
    },
    {
      title: 'after it',
      unit: 'cycles',
      less: 'without',
      read: typicalCycles(EXIT),
      figure: { of: 'after', value: { from: 720, to: 1100 }, source: SOURCE, kind: 'predicted' },
    },
    {
      title: 'with a decode cache',
      unit: 'cycles',
      after: 'cached',
      less: 'without',
      read: typicalCycles(EXIT),
    },
  ],
};

export const EMULATION: readonly Experiment[] = [emulator];
