/** Writes that only say "look", and writes that can wait: ioeventfds and coalesced MMIO. */

import { EventFd, startEventWorker } from '../../kvm/event-fd.js';
import type { Policies } from '../../kvm/policies.js';
import type { Experiment, Setup } from '../experiment.js';
import { both, exitCount, heavy, reason, typicalCycles } from '../read-off.js';
import { GUEST_MEMORY_BYTES } from './setups.js';

const PORT = 0x1000;
const MEMORY = 0xd000_0000;
/** What the kernel thread behind a doorbell does about each ring. */
const WORK = 3000;

interface Doorbell {
  readonly space: 'port' | 'memory';
  readonly served: boolean;
  readonly policies?: Partial<Policies>;
}

/** A guest that rings; a thread of the kernel on another CPU, or user space, that hears it. */
function doorbell(label: string, { space, served, policies = {} }: Doorbell): Setup {
  return {
    label,
    scenario: (guest) => ({
      topology: { sockets: 1, coresPerSocket: 2 },
      era: '3.x',
      policies,
      vms: [{ image: guest(`doorbell-${space}`), memoryBytes: GUEST_MEMORY_BYTES }],
    }),
    prepare: ({ host, vms }) => {
      if (!served) return;
      const event = new EventFd();
      vms[0]!.kvmVm.registerIoEventFd({
        space,
        address: space === 'port' ? PORT : MEMORY,
        sizeInBytes: space === 'memory' && policies.mmioExit === 'fast-bus' ? 0 : 4,
        event,
      });
      startEventWorker({ name: 'vhost', host, cpu: host.cpus[1]!, event, cyclesPerSignal: WORK });
    },
  };
}

const RING = both(
  ({ guestPhysicalAddress }) => guestPhysicalAddress === undefined || guestPhysicalAddress === MEMORY,
  ({ reasonName }) => ['IO_INSTRUCTION', 'EPT_VIOLATION', 'EPT_MISCONFIG'].includes(reasonName),
);

const doorbells: Experiment = {
  name: 'ioeventfd',
  section: 'Memory slots, devices and SRCU',
  title: 'A doorbell: heard by user space, or by a kernel thread through an ioeventfd',
  setups: {
    before: doorbell('port, user space', { space: 'port', served: false }),
    after: doorbell('port, ioeventfd', { space: 'port', served: true }),
    'memory, user space': doorbell('memory, user space', {
      space: 'memory',
      served: false,
      policies: { mmioExit: 'violation' },
    }),
    'memory, marked': doorbell('memory, user space, page marked', {
      space: 'memory',
      served: false,
      policies: { mmioExit: 'misconfiguration' },
    }),
    'memory, ioeventfd': doorbell('memory, ioeventfd', {
      space: 'memory',
      served: true,
      policies: { mmioExit: 'violation' },
    }),
    'memory, any length': doorbell('memory, ioeventfd of any length', {
      space: 'memory',
      served: true,
      policies: { mmioExit: 'fast-bus' },
    }),
  },
  exit: RING,
  rows: [
    { title: 'port', unit: 'cycles', read: typicalCycles(RING) },
    {
      title: 'memory',
      unit: 'cycles',
      read: typicalCycles(RING),
      before: 'memory, user space',
      after: 'memory, ioeventfd',
    },
    {
      title: 'memory, user space, page marked as MMIO',
      unit: 'cycles',
      read: typicalCycles(RING),
      before: 'memory, user space',
      after: 'memory, marked',
    },
    {
      title: 'memory by its address alone, and port',
      unit: 'cycles',
      read: typicalCycles(RING),
      before: 'memory, any length',
      after: 'after',
      figure: {
        of: 'ratio',
        value: 1,
        source: 'commit 68c3b4d1676d: MMIO "essentially as fast" as port I/O',
        kind: 'predicted',
        aimInPercent: 10,
      },
    },
  ],
};

/** Writes to the planes of a VGA, which user space has to see in order, but not at once. */
function drawing(label: string, coalesced: boolean): Setup {
  return {
    label,
    scenario: (guest) => ({
      era: '2.6.32',
      vms: [{ image: guest('draw-planes'), memoryBytes: GUEST_MEMORY_BYTES, vgaWindow: true }],
    }),
    prepare: ({ vms }) => {
      if (coalesced) vms[0]!.kvmVm.registerCoalescedMmio({ first: 0xa0000, length: 0x20000 });
    },
  };
}

const coalescing: Experiment = {
  name: 'coalesced-mmio',
  section: 'Memory slots, devices and SRCU',
  title: 'A thousand writes to VGA planes: each through user space, or collected in a ring',
  setups: { before: drawing('each at once', false), after: drawing('coalesced', true) },
  rows: [
    { title: 'a write', unit: 'cycles', read: typicalCycles(reason('EPT_VIOLATION')) },
    {
      title: 'returns to user space',
      unit: 'exits',
      read: exitCount(both(reason('EPT_VIOLATION'), heavy)),
    },
    { title: 'the whole run', unit: 'cycles', read: ({ result }) => result.cycles },
  ],
};

export const DOORBELLS: readonly Experiment[] = [doorbells, coalescing];
