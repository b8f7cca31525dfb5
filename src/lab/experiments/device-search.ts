/** Devices in the kernel and how they are found: the talk's to-do list. */

import { EventFd } from '../../kvm/event-fd.js';
import type { Policies } from '../../kvm/policies.js';
import type { Experiment, Setup } from '../experiment.js';
import { both, heavy, inNanoseconds, reason, typicalCycles } from '../read-off.js';
import { oneGuest } from './setups.js';

const PORT = both(reason('IO_INSTRUCTION'), heavy);
const DEVICES = 200;
/** Ports that nothing else has. */
const FIRST_PORT = 0x1000;

/** User space gives each of many queues an ioeventfd, none of them at the port that the guest writes to. */
function withEventFds(busSearch: Policies['busSearch']): Setup {
  return {
    ...oneGuest(busSearch, 'pio-write', { era: '2.6.37', policies: { busSearch, busCapacity: '1000' } }),
    prepare: ({ vms }) => {
      for (let number = 0; number < DEVICES; number++)
        vms[0]!.kvmVm.registerIoEventFd({
          space: 'port',
          address: FIRST_PORT + number,
          sizeInBytes: 1,
          event: new EventFd(),
        });
    },
  };
}

const busSearch: Experiment = {
  name: 'bus-search',
  section: 'Memory slots, devices and SRCU',
  title: 'A port that none of 200 ioeventfds is for: the write goes to user space',
  setups: { before: withEventFds('linear'), after: withEventFds('sorted') },
  exit: PORT,
  rows: [
    {
      title: 'OUT to user space',
      unit: 'ns',
      digits: 1,
      read: inNanoseconds(typicalCycles(PORT)),
      figure: {
        of: 'saving',
        value: 211,
        source: 'commit 743eeb0b01d2: 259,000 to 274,000 exits per second, 3.861 to 3.650 µs',
        kind: 'predicted',
        aimInPercent: 30,
      },
    },
  ],
};

export const DEVICE_SEARCH: readonly Experiment[] = [busSearch];
