/** The talk's first timeline: a port write that user space handles, and the mode switch in it. */

import type { PublishedValue } from '../arithmetic.js';
import type { Experiment, RowDefinition } from '../experiment.js';
import {
  both,
  exitCount,
  heavy,
  light,
  ratePerSecond,
  reason,
  stageCycles,
  typicalCycles,
} from '../read-off.js';
import { eras, likeLinux, oneGuest } from './setups.js';

const SECTION = 'Mode switch and port I/O';
const PORT = reason('IO_INSTRUCTION');
const heavyPort = both(PORT, heavy);
const lightPort = both(PORT, light);

const TIMELINE = 'talk, PIO timeline';
const DERIVED =
  'derived from the talk: 10,400 less what the changes of the era save, guest MSRs as the host has them';

function stageRow(
  stage: string,
  cycles: number,
  kind: 'calibrated' | 'predicted',
  source = TIMELINE,
): RowDefinition {
  return {
    title: stage,
    unit: 'cycles',
    read: stageCycles(heavyPort, stage),
    figure: { of: 'before', value: cycles, source, kind },
  };
}

function totalRow(era: string, value: PublishedValue, source: string, aimInPercent?: number): RowDefinition {
  return {
    title: `OUT to user space, ${era}`,
    unit: 'cycles',
    before: era,
    read: typicalCycles(heavyPort),
    figure: {
      of: 'before',
      value,
      source,
      kind: 'predicted',
      ...(aimInPercent === undefined ? {} : { aimInPercent }),
    },
  };
}

const pioTimeline: Experiment = {
  name: 'pio-timeline',
  section: SECTION,
  title: 'A port write that user space handles, stage by stage',
  setups: { before: likeLinux(oneGuest('2.6.32', 'pio-write')) },
  exit: heavyPort,
  rows: [
    stageRow('host acquires control', 400, 'predicted'),
    stageRow('exit handler runs', 400, 'predicted'),
    stageRow('kernel handler (PIO search)', 1000, 'predicted'),
    stageRow('host state restored (MSRs, FPU)', 2000, 'calibrated'),
    stageRow('qemu, back in kernel', 2900, 'calibrated', `${TIMELINE}: 3,800 to 6,700, printed as 3,000`),
    stageRow('guest state reloaded', 1800, 'calibrated'),
    stageRow('guest entry', 1100, 'predicted'),
    stageRow('back in guest', 800, 'predicted'),
    {
      title: 'total',
      unit: 'cycles',
      read: typicalCycles(heavyPort),
      figure: { of: 'before', value: 10400, source: TIMELINE, kind: 'predicted', aimInPercent: 10 },
    },
    {
      title: 'such exits per second',
      unit: 'exits/s',
      read: ratePerSecond(typicalCycles(heavyPort)),
      figure: {
        of: 'before',
        value: { from: 250_000, to: 274_000 },
        source: `${TIMELINE} (250,000 at 2.6 GHz); commit 743eeb0b01d2 (259,000 and 274,000)`,
        kind: 'predicted',
      },
    },
  ],
};

const modeSwitch: Experiment = {
  name: 'mode-switch',
  section: SECTION,
  title: 'VM exit and VM entry by themselves, without software',
  setups: { before: oneGuest('2.6.32', 'eoi-x2apic') },
  exit: reason('MSR_WRITE'),
  rows: [
    {
      title: 'hardware round trip',
      unit: 'cycles',
      read: stageCycles(reason('MSR_WRITE'), 'host acquires control', 'back in guest'),
      figure: {
        of: 'before',
        value: 1009,
        source: "Agesen et al., USENIX ATC'12, Table 1: Nehalem",
        kind: 'calibrated',
      },
    },
  ],
};

const heavyPortByEra: Experiment = {
  name: 'pio-by-era',
  section: SECTION,
  title: 'The same port write in later kernels',
  setups: Object.fromEntries(
    Object.entries(eras('pio-write', ['2.6.32', '2.6.35', '2.6.37', '3.x', '6.x'])).map(([era, setup]) => [
      era,
      likeLinux(setup, { msrs: 'host' }),
    ]),
  ),
  exit: heavyPort,
  rows: [
    totalRow('2.6.32', 10400, TIMELINE, 10),
    totalRow('2.6.35', { from: 8400, to: 8750 }, DERIVED),
    totalRow('2.6.37', { from: 8000, to: 8350 }, `${DERIVED}, its FPU not in use`),
    {
      title: 'OUT to user space, 3.x',
      unit: 'cycles',
      before: '2.6.32',
      after: '3.x',
      read: typicalCycles(heavyPort),
    },
    {
      title: 'OUT to user space, 6.x',
      unit: 'cycles',
      before: '2.6.32',
      after: '6.x',
      read: typicalCycles(heavyPort),
    },
  ],
};

const pioKernel: Experiment = {
  name: 'pio-kernel',
  section: SECTION,
  title: 'A port write that a device in the kernel handles',
  setups: {
    before: oneGuest('2.6.32', 'pio-kernel'),
    after: oneGuest('2.6.37', 'pio-kernel', { era: '2.6.37' }),
  },
  exit: lightPort,
  rows: [
    {
      title: 'OUT to the interrupt controller',
      unit: 'cycles',
      read: typicalCycles(lightPort),
      figure: {
        of: 'after',
        value: { from: 3190, to: 3291 },
        source: "Dall and Nieh, ASPLOS'14, Table 3: I/O kernel, i7-2677M and E3-1245v2 (recalled)",
        kind: 'predicted',
      },
    },
  ],
};

const untrapped: Experiment = {
  name: 'port-0x80',
  section: SECTION,
  title: 'The delay port, which the I/O bitmap leaves to the guest',
  setups: { before: oneGuest('2.6.32', 'port-0x80') },
  rows: [
    {
      title: 'exits in 256 writes',
      unit: 'exits',
      read: exitCount(PORT),
      figure: { of: 'before', value: 0, source: 'commit fdef3ad1b386', kind: 'predicted' },
    },
  ],
};

export const PORT_IO: readonly Experiment[] = [pioTimeline, modeSwitch, heavyPortByEra, pioKernel, untrapped];
