/** Memory slots that change while the guest runs: firmware that draws text in a graphics mode. */

import type { Policies } from '../../kvm/policies.js';
import type { Experiment, Setup } from '../experiment.js';
import type { Observation } from '../observation.js';
import { exitsOf, reason } from '../read-off.js';
import { GUEST_MEMORY_BYTES } from './setups.js';

const SECTION = 'Memory slots, devices and SRCU';

function drawing(slotsProtection: Policies['slotsProtection']): Setup {
  return {
    label: slotsProtection,
    scenario: (guest) => ({
      era: '2.6.35',
      policies: { slotsProtection },
      topology: { sockets: 1, coresPerSocket: 4 },
      vms: [{ image: guest('vga-bios-text'), memoryBytes: GUEST_MEMORY_BYTES, vgaWindow: true }],
    }),
  };
}

/** The port write after which user space unmaps the window: the longest exit that there is. */
function unmapping(run: Observation): number {
  return Math.max(...exitsOf(run, reason('IO_INSTRUCTION')).map(({ cycles }) => cycles));
}

/** A deletion waits for two of them. */
const GRACE_PERIODS = 2;

const milliseconds = (cycles: number, { result }: Observation): number =>
  (1e3 * cycles) / result.clockInHertz;
const CHARACTERS = 'HELLO'.length;

const vga: Experiment = {
  name: 'vga-text',
  section: SECTION,
  title: 'A boot menu drawn by a VGA BIOS: each character maps and unmaps a memory slot',
  setups: {
    rwsem: drawing('rwsem'),
    before: drawing('srcu'),
    after: drawing('srcu-expedited'),
  },
  rows: [
    {
      title: 'a character, SRCU and expedited',
      unit: 'ms',
      digits: 3,
      read: (run) => milliseconds(run.result.cycles / CHARACTERS, run),
    },
    {
      title: 'a character, rwsem and expedited SRCU',
      unit: 'ms',
      digits: 3,
      before: 'rwsem',
      read: (run) => milliseconds(run.result.cycles / CHARACTERS, run),
    },
    {
      title: 'a grace period, SRCU and expedited',
      unit: 'ms',
      digits: 3,
      read: (run) => milliseconds(unmapping(run) / GRACE_PERIODS, run),
      figure: {
        of: 'before',
        value: 10,
        source:
          'talk, SRCU: about 10 ms (it depends on HZ, which the talk does not say and which is 1000 here)',
        kind: 'predicted',
      },
    },
  ],
};

export const MEMORY_REGIONS: readonly Experiment[] = [vga];
