/** Light exits beside heavy ones, on the talk's processor and on its successors. */

import type { CostModelName } from '../../host/cost/cost-models.js';
import type { Era } from '../../kvm/policies.js';
import type { PublishedValue } from '../arithmetic.js';
import type { Experiment, RowDefinition, Setup } from '../experiment.js';
import {
  both,
  busyCycles,
  exitCount,
  exitsPerSecond,
  heavy,
  inNanoseconds,
  light,
  reason,
  typicalCycles,
} from '../read-off.js';
import { eras, GUEST_MEMORY_BYTES, likeLinux, oneGuest } from './setups.js';

const HYPERCALL = reason('VMCALL');
const EOI = both(reason('MSR_WRITE'), light);
const PORT = both(reason('IO_INSTRUCTION'), heavy);

const PREEMPTED = reason('EXTERNAL_INTERRUPT');
/** Beside the guest's thread one of the kernel that is woken every 200 µs, or none and a device that interrupts. */
const interrupted: Record<string, Setup> = {
  interrupt: oneGuest('interrupt', 'interrupt-storm', { defines: { INTERRUPTS: '64' } }),
  interrupt6: oneGuest('interrupt, 6.x', 'interrupt-storm', { era: '6.x', defines: { INTERRUPTS: '64' } }),
  preemption: likeLinux({
    label: 'preemption',
    scenario: (guest) => ({
      vms: [{ image: guest('compute'), memoryBytes: GUEST_MEMORY_BYTES }],
      kernelThreads: [{ name: 'vhost', cpu: 0, period: 520_000, duration: 1000 }],
    }),
  }),
};

const lightAndHeavy: Experiment = {
  name: 'light-and-heavy',
  section: 'Light and heavy exits',
  title: 'An exit with nothing to do, and one that goes to user space',
  setups: {
    before: likeLinux(oneGuest('heavy', 'pio-write')),
    after: oneGuest('light', 'hypercall'),
    later: oneGuest('light, 2.6.35', 'hypercall', { era: '2.6.35' }),
    ...interrupted,
  },
  exit: (exit) => PORT(exit) || HYPERCALL(exit) || PREEMPTED(exit),
  rows: [
    {
      title: 'heavy: OUT to user space, 2.6.32',
      unit: 'cycles',
      after: null,
      read: typicalCycles(PORT),
      figure: {
        of: 'before',
        value: 10400,
        source: 'talk, PIO timeline',
        kind: 'predicted',
        aimInPercent: 10,
      },
    },
    {
      title: 'light: VMCALL, 2.6.32 and 2.6.35',
      unit: 'cycles',
      before: 'after',
      after: 'later',
      read: typicalCycles(HYPERCALL),
      figure: {
        of: 'after',
        value: 2000,
        source: "SplitX, WIOV'11: direct cost of an exit, X5570 (Nehalem), Linux 2.6.34",
        kind: 'predicted',
      },
    },
    {
      title: 'interrupt of the host: light, preempting',
      unit: 'cycles',
      before: 'interrupt',
      after: 'preemption',
      read: busyCycles(PREEMPTED),
    },
    {
      title: 'interrupt of the host, light, 6.x',
      unit: 'µs',
      digits: 2,
      before: 'interrupt6',
      after: null,
      read: (run) => inNanoseconds(typicalCycles(PREEMPTED))(run) / 1000,
      figure: {
        of: 'before',
        value: 0.71,
        source: 'commit 0c5f81dad46c: 0.71 µs on average (Skylake, its clock not told)',
        kind: 'predicted',
      },
    },
  ],
};

const taskPriority: Experiment = {
  name: 'task-priority',
  section: 'Light and heavy exits',
  title: 'The task priority, lowered and raised 256 times with nothing pending',
  setups: { before: oneGuest('2.6.32', 'task-priority') },
  rows: [
    {
      title: 'exits for MOV to CR8',
      unit: 'exits',
      read: exitCount((exit) => exit.reasonName === 'CR_ACCESS' || exit.reasonName === 'TPR_BELOW_THRESHOLD'),
      figure: { of: 'before', value: 0, source: 'SDM Vol. 3C, 29.3: TPR shadow', kind: 'predicted' },
    },
  ],
};

const ERAS_IN_ORDER: readonly Era[] = ['2.6.32', '2.6.35', '2.6.37', '3.x', '6.x'];

const lightByEra: Experiment = {
  name: 'light-by-era',
  section: 'Light and heavy exits',
  title: 'The same exit with nothing to do in later kernels',
  setups: eras('hypercall', ERAS_IN_ORDER),
  exit: HYPERCALL,
  rows: ERAS_IN_ORDER.slice(1).map((era) => ({
    title: `VMCALL, 2.6.32 and ${era}`,
    unit: 'cycles',
    before: '2.6.32',
    after: era,
    read: typicalCycles(HYPERCALL),
  })),
};

/** Too many for records of each; how long they take is what the exits of others are measured by. */
const many = (label: string, program: string, count: number): Setup => ({
  ...oneGuest(label, program, { defines: { COUNT: String(count) } }),
  observe: 'counts',
});

const throughput: Experiment = {
  name: 'throughput',
  section: 'Light and heavy exits',
  title: 'Light and heavy exits one after the other, as fast as they come',
  setups: {
    before: many('EOI by x2APIC', 'many-eois', 2_000_000),
    after: many('OUT to user space', 'many-port-writes', 400_000),
  },
  rows: [
    {
      title: 'EOI by x2APIC',
      unit: 'exits/s',
      after: null,
      read: exitsPerSecond,
      figure: {
        of: 'before',
        value: 1_098_901,
        source: 'talk, x2APIC: 2,366 cycles at 2.6 GHz',
        kind: 'calibrated',
      },
    },
    {
      title: 'OUT to user space',
      unit: 'exits/s',
      before: 'after',
      after: null,
      read: exitsPerSecond,
      figure: {
        of: 'before',
        value: { from: 250_000, to: 274_000 },
        source: 'talk, PIO timeline (10,400 cycles at 2.6 GHz); commit 743eeb0b01d2 (259,000 and 274,000)',
        kind: 'predicted',
      },
    },
  ],
};

const ERA_OF_THE_TALK: Era = '2.6.32';
const BEFORE = 'talk-i7';

function processorRow(
  title: string,
  after: CostModelName,
  value: PublishedValue,
  source: string,
): RowDefinition {
  return {
    title,
    unit: 'cycles',
    before: BEFORE,
    after,
    read: typicalCycles(EOI),
    figure: { of: 'saving', value, source, kind: 'predicted', aimInPercent: 10 },
  };
}

const processors: Experiment = {
  name: 'processors',
  section: 'Other processors',
  title: 'The x2APIC end of interrupt on the successors of Nehalem: only the hardware round trip differs',
  setups: Object.fromEntries(
    (['talk-i7', 'westmere', 'sandy-bridge'] as const).map((costModel) => [
      costModel,
      oneGuest(costModel, 'eoi-x2apic', { costModel, era: ERA_OF_THE_TALK }),
    ]),
  ),
  exit: EOI,
  rows: [
    processorRow('Westmere', 'westmere', 248, "Agesen et al., USENIX ATC'12, Table 1: 1,009 less 761"),
    processorRow(
      'Sandy Bridge',
      'sandy-bridge',
      225,
      "Agesen et al., USENIX ATC'12, Table 1: 1,009 less 784",
    ),
  ],
};

/** Recalled tables: bands, not points. */
const sandyBridge: Experiment = {
  name: 'sandy-bridge-2012',
  section: 'Other processors',
  title: 'Light exits of a Sandy Bridge host of 2012 to 2014',
  setups: {
    before: oneGuest('VMCALL', 'hypercall', { costModel: 'sandy-bridge', era: '3.x' }),
    eoi: oneGuest('EOI', 'eoi-xapic', { costModel: 'sandy-bridge', era: '3.x' }),
    port: likeLinux(oneGuest('OUT', 'pio-write', { costModel: 'sandy-bridge', era: '3.x' })),
  },
  exit: (exit) => HYPERCALL(exit) || exit.reasonName === 'APIC_ACCESS' || PORT(exit),
  rows: [
    {
      title: 'hypercall',
      unit: 'cycles',
      after: null,
      read: typicalCycles(HYPERCALL),
      figure: {
        of: 'before',
        value: { from: 1300, to: 1638 },
        source:
          "ISCA'16 ARM virtualization, Table II, E5-2450, and ASPLOS'14 KVM/ARM, Table 3 (recalled); about 1,600 in commit b2da15ac26a0",
        kind: 'predicted',
        aimInPercent: 10,
      },
    },
    {
      title: 'end of interrupt',
      unit: 'cycles',
      before: 'eoi',
      after: null,
      read: typicalCycles(reason('APIC_ACCESS')),
      figure: {
        of: 'before',
        value: { from: 1556, to: 2384 },
        source: "ISCA'16, Table II: virtual EOI; ASPLOS'14, Table 3: EOI and ACK (recalled)",
        kind: 'predicted',
        aimInPercent: 10,
      },
    },
    {
      title: 'OUT to user space',
      unit: 'cycles',
      before: 'port',
      after: null,
      read: typicalCycles(PORT),
      figure: {
        of: 'before',
        value: { from: 10_985, to: 12_218 },
        source:
          "ASPLOS'14, Table 3: I/O user (recalled; its QEMU looks through more devices than the one here, which has four)",
        kind: 'predicted',
      },
    },
  ],
};

export const LIGHT_EXITS: readonly Experiment[] = [
  lightAndHeavy,
  lightByEra,
  throughput,
  taskPriority,
  processors,
  sandyBridge,
];
