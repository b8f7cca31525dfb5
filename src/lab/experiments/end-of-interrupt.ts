/** Ends of interrupt: by memory, by MSR, by exit qualification. And what the difference is: an emulated instruction. */

import type { Experiment } from '../experiment.js';
import type { Observation } from '../observation.js';
import { type reason, typicalCycles } from '../read-off.js';
import { oneGuest } from './setups.js';

/** An end of interrupt is an exit of one of two kinds, according to the face of the APIC that the guest uses. */
const EOI = (exit: Parameters<ReturnType<typeof reason>>[0]): boolean =>
  exit.reasonName === 'APIC_ACCESS' || exit.reasonName === 'MSR_WRITE';
const eoiCycles = (run: Observation): number => typicalCycles(EOI)(run);

const TALK = 'talk, x2APIC';

const x2apic: Experiment = {
  name: 'x2apic-eoi',
  section: 'x2APIC',
  title: 'End of interrupt through memory and through an MSR',
  setups: { before: oneGuest('xAPIC', 'eoi-xapic'), after: oneGuest('x2APIC', 'eoi-x2apic') },
  exit: EOI,
  rows: [
    {
      title: 'xAPIC EOI',
      unit: 'cycles',
      read: eoiCycles,
      after: null,
      figure: { of: 'before', value: 4677, source: TALK, kind: 'calibrated' },
    },
    {
      title: 'x2APIC EOI',
      unit: 'cycles',
      read: eoiCycles,
      before: 'after',
      after: null,
      figure: { of: 'before', value: 2366, source: TALK, kind: 'calibrated' },
    },
    {
      title: 'x2APIC instead of xAPIC',
      unit: 'cycles',
      read: eoiCycles,
      figure: { of: 'ratio', value: 1.977, source: `${TALK}: 4,677 to 2,366`, kind: 'calibrated' },
    },
    {
      title: 'what emulation takes',
      unit: 'cycles',
      read: eoiCycles,
      figure: { of: 'saving', value: 2311, source: `${TALK}: 4,677 less 2,366`, kind: 'calibrated' },
    },
  ],
};

const fastEoi: Experiment = {
  name: 'fast-eoi',
  section: 'x2APIC',
  title: 'End of interrupt through memory, recognised by the exit qualification',
  setups: {
    before: oneGuest('emulated', 'eoi-xapic'),
    after: oneGuest('fast EOI', 'eoi-xapic', { policies: { apicAccess: 'fast-eoi' } }),
  },
  exit: EOI,
  rows: [
    {
      title: 'xAPIC EOI',
      unit: 'cycles',
      read: eoiCycles,
      figure: {
        of: 'after',
        value: { from: 2266, to: 2466 },
        source: 'derived: as x2APIC (2,366), 100 more or less, for one VMREAD replaces the dispatch of WRMSR',
        kind: 'predicted',
      },
    },
  ],
};

export const END_OF_INTERRUPT: readonly Experiment[] = [x2apic, fastEoi];
