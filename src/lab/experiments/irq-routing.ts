/**
 * The interrupt routing table, and the devices on the buses: what looking them up costs with many sources of interrupts,
 * and what changing them costs whoever does it.
 */

import { EXIT_REASON } from '../../architecture/vmx/exit-reasons.js';
import type { HostThread, ThreadBody, ThreadRequest } from '../../host/host-thread.js';
import { enterKernelMode, returnToUserMode } from '../../host/user-mode.js';
import { EventFd } from '../../kvm/event-fd.js';
import { startInterruptSource } from '../../kvm/interrupt-source.js';
import { type IrqRoute, messageRoute } from '../../kvm/irqchip/irq-routing.js';
import type { Policies } from '../../kvm/policies.js';
import { changeBuses, setGsiRouting } from '../../kvm/run-time-changes.js';
import type { Scenario } from '../../machine/scenario/scenario.js';
import type { Experiment, RowDefinition, Setup } from '../experiment.js';
import { inNanoseconds, meanExit, meanNote, perSecond } from '../read-off.js';
import { GUEST_MEMORY_BYTES } from './setups.js';

const SECTION = 'Memory slots, devices and SRCU';
/** Number of sources and of sockets: on two, all sources are on one, the virtual CPUs on the other. */
const LOADS = [
  { sources: 1, sockets: 1 },
  { sources: 4, sockets: 1 },
  { sources: 8, sockets: 1 },
  { sources: 8, sockets: 2 },
] as const;
type Load = (typeof LOADS)[number];
const MANY: Load = { sources: 8, sockets: 1 };
const VECTOR = 0x40;
/** GSIs above those of the I/O APIC's pins. */
const FIRST_GSI = 24;
/** Work of a source between two interrupts, different each time, and length of a run, in cycles. */
const BETWEEN = { least: 4000, range: 2048 } as const;
const RUN = 600_000;
const RAISING = 'cycles to raise an interrupt';

type Routing = Policies['irqRouting'];

/** A queue for each virtual CPU, whose interrupts go there. */
const routes = (count: number): IrqRoute[] =>
  Array.from({ length: count }, (_, vcpu) => messageRoute(FIRST_GSI + vcpu, VECTOR, vcpu));

/** Numbers without order, the same each time, so that sources do not go in step. */
function unevenly(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return BETWEEN.least + Math.floor((state / 2 ** 32) * BETWEEN.range);
  };
}

/** Virtual CPUs that take interrupts, each with a source of its own on another CPU. */
function interrupted(
  irqRouting: Routing,
  { sources, sockets }: Load,
  ioApicEoi: Policies['ioApicEoi'] = 'every-vector',
): Setup {
  return {
    label: `${irqRouting}, ${sources} sources`,
    observe: 'counts',
    untilCycles: RUN,
    scenario: (guest) => ({
      era: '2.6.35',
      policies: { irqRouting, ioApicEoi },
      topology: { sockets, coresPerSocket: (2 * sources) / sockets },
      vms: [{ image: guest('many-interrupts'), memoryBytes: GUEST_MEMORY_BYTES, vcpus: sources }],
    }),
    prepare: ({ host, vms }, note) => {
      const { kvmVm } = vms[0]!;
      kvmVm.addRoutes(routes(sources));
      for (let number = 0; number < sources; number++)
        startInterruptSource({
          name: `source ${number}`,
          host,
          cpu: host.cpus[sources + number]!,
          irqchip: kvmVm.irqchip,
          gsi: FIRST_GSI + number,
          cyclesUntilNext: unevenly(number),
          raised: (cycles) => note(RAISING, cycles),
        });
    },
  };
}

const nameOf = (irqRouting: Routing, { sources, sockets }: Load): string =>
  `${irqRouting}-${sources}-${sockets}`;

const raised = perSecond(({ notes }) => notes.get(RAISING)?.length ?? 0);

const routing: Experiment = {
  name: 'irq-routing',
  section: SECTION,
  title: 'Interrupts of many devices at once: their routes under irq_lock, or under RCU',
  setups: {
    ...Object.fromEntries(
      (['irq-lock', 'rcu'] as const).flatMap((policy) =>
        LOADS.map((load) => [nameOf(policy, load), interrupted(policy, load)]),
      ),
    ),
    'ends, handled vectors': interrupted('rcu', MANY, 'handled-vectors'),
  },
  rows: [
    ...LOADS.flatMap((load): RowDefinition[] => {
      const sides = { before: nameOf('irq-lock', load), after: nameOf('rcu', load) };
      const title = `${load.sources} source${load.sources === 1 ? '' : 's'}${load.sockets === 1 ? '' : ', two sockets'}`;
      return [
        { title: `${title}: raising one`, unit: 'cycles', read: meanNote(RAISING), ...sides },
        { title: `${title}: raised`, unit: 'per s', read: raised, ...sides },
      ];
    }),
    {
      title: 'RCU, 8 sources: ending one, lock for its own',
      unit: 'cycles',
      before: nameOf('rcu', MANY),
      after: 'ends, handled vectors',
      read: meanExit(EXIT_REASON.MSR_WRITE),
    },
  ],
};

const CHANGE = 'cycles of a change';
const CHANGES = 2;

/** The main thread of user space makes changes, one after the other, while a virtual CPU computes. */
function changing(
  label: string,
  policies: Partial<Policies>,
  change: (
    scenario: Scenario,
    thread: HostThread,
    number: number,
  ) => Generator<ThreadRequest, undefined, void>,
  ticksPerSecond = 1000,
): Setup {
  return {
    label,
    observe: 'counts',
    scenario: (guest) => ({
      era: '2.6.35',
      policies: { busCapacity: '1000', ...policies },
      ticksPerSecond,
      topology: { sockets: 1, coresPerSocket: 2 },
      vms: [
        {
          image: guest('compute', { ITERATIONS: '0x7fffffff' }),
          memoryBytes: GUEST_MEMORY_BYTES,
        },
      ],
    }),
    prepare: (scenario, note) => {
      const { host, vms } = scenario;
      host.startThread({
        name: 'main thread',
        cpu: host.cpus[1]!,
        user: { fsSelector: 0, gsSelector: 0, fsBase: 0x7f22_3344_5000n, gsBase: 0n },
        *body(thread): ThreadBody {
          returnToUserMode(host.scheduler.cpuOf(thread), thread);
          for (let number = 0; number < CHANGES; number++) {
            const before = host.scheduler.cpuOf(thread).cpu.now;
            yield* change(scenario, thread, number);
            note(CHANGE, host.scheduler.cpuOf(thread).cpu.now - before);
          }
          // User space has seen enough and ends the virtual machine.
          vms[0]!.devices.end = { reason: 'halted' };
          enterKernelMode(host.scheduler.cpuOf(thread));
        },
      });
    },
  };
}

const newTable = (label: string, irqRouting: Routing, ticksPerSecond?: number): Setup =>
  changing(
    label,
    { irqRouting },
    ({ vms }, thread, number) => setGsiRouting(vms[0]!.kvmVm, routes(number + 1), thread),
    ticksPerSecond,
  );

const newDoorbell = (slotsProtection: Policies['slotsProtection']): Setup =>
  changing(slotsProtection, { slotsProtection }, ({ vms }, thread, number) => {
    const { kvmVm } = vms[0]!;
    return changeBuses(
      kvmVm,
      () =>
        kvmVm.registerIoEventFd({
          space: 'port',
          address: 0x1000 + number,
          sizeInBytes: 1,
          event: new EventFd(),
        }),
      thread,
    );
  });

const microseconds = (title: string, before: string, after: string): RowDefinition => ({
  title,
  unit: 'µs',
  digits: 1,
  before,
  after,
  read: (run) => inNanoseconds(meanNote(CHANGE))(run) / 1000,
});

const changes: Experiment = {
  name: 'changes',
  section: SECTION,
  title: 'What the writer pays: a new routing table, a new device on a bus, while the guest runs',
  setups: {
    'table, irq-lock': newTable('irq_lock', 'irq-lock'),
    'table, rcu': newTable('RCU', 'rcu'),
    'table, rcu, HZ=100': newTable('RCU, HZ=100', 'rcu', 100),
    'device, rwsem': newDoorbell('rwsem'),
    'device, srcu': newDoorbell('srcu'),
    'device, expedited': newDoorbell('srcu-expedited'),
  },
  rows: [
    microseconds('a routing table, irq_lock and RCU', 'table, irq-lock', 'table, rcu'),
    {
      ...microseconds('the same with HZ = 100', 'table, irq-lock', 'table, rcu, HZ=100'),
      figure: {
        of: 'after',
        value: { from: 0, to: 100_000 },
        source: 'commit 719d93cd5f5c: KVM_SET_GSI_ROUTING took up to 0.1 s with HZ=100',
        kind: 'predicted',
      },
    },
    microseconds('an ioeventfd, rwsem and SRCU', 'device, rwsem', 'device, srcu'),
    microseconds('an ioeventfd, SRCU and expedited', 'device, srcu', 'device, expedited'),
  ],
};

export const IRQ_ROUTING: readonly Experiment[] = [routing, changes];
