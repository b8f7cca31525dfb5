/** Routes and devices that are changed while virtual CPUs use them. */

import { describe, expect, it } from 'vitest';
import type { ThreadBody } from '../../src/host/host-thread.js';
import { enterKernelMode, returnToUserMode } from '../../src/host/user-mode.js';
import { EventFd } from '../../src/kvm/event-fd.js';
import { startInterruptSource } from '../../src/kvm/interrupt-source.js';
import { messageRoute } from '../../src/kvm/irqchip/irq-routing.js';
import type { Policies } from '../../src/kvm/policies.js';
import { changeBuses, setGsiRouting } from '../../src/kvm/run-time-changes.js';
import { createScenario, type Scenario } from '../../src/machine/scenario/scenario.js';
import { guest } from '../machine/scenario/guests.js';

const MILLISECOND = 2_600_000;
const PORT = 0x1000;
/** Writes to a port until something answers: user space as long as no ioeventfd is there. */
const RINGING = `
        mov     dx, ${PORT}
ring:   out     dx, al
        jmp     ring`;

/** Runs `work` on a thread of user space, and the machine until it is done. Returns cycles that the work took. */
function inUserSpace(
  scenario: Scenario,
  work: (thread: Parameters<typeof setGsiRouting>[2]) => ReturnType<typeof setGsiRouting>,
): number {
  const { host, vms } = scenario;
  let cycles = 0;
  host.startThread({
    name: 'main thread',
    cpu: host.cpus[1]!,
    *body(thread): ThreadBody {
      const { cpu } = host.scheduler.cpuOf(thread);
      returnToUserMode(host.scheduler.cpuOf(thread), thread);
      const before = cpu.now;
      yield* work(thread);
      cycles = cpu.now - before;
      vms[0]!.devices.end = { reason: 'halted' };
      enterKernelMode(host.scheduler.cpuOf(thread));
    },
  });
  scenario.run({ untilCycles: 60 * MILLISECOND });
  host.verifyLedger();
  return cycles;
}

function machine(code: string, policies: Partial<Policies>): Scenario {
  return createScenario({
    topology: { sockets: 1, coresPerSocket: 3 },
    policies: { busCapacity: '200', ...policies },
    vms: [{ image: guest(code), memoryBytes: 4 * 2 ** 20 }],
  });
}

describe.each(['rwsem', 'srcu', 'srcu-expedited'] as const)(
  'a bus that changes, under %s',
  (slotsProtection) => {
    it.each(['linear', 'sorted'] as const)('has the device when the call returns: %s', (busSearch) => {
      const scenario = machine(RINGING, { slotsProtection, busSearch });
      const { kvmVm } = scenario.vms[0]!;
      const event = new EventFd();
      let before = -1;
      const cycles = inUserSpace(scenario, function* (thread) {
        const request = { space: 'port', address: PORT, sizeInBytes: 1, event } as const;
        yield* changeBuses(kvmVm, () => kvmVm.registerIoEventFd(request), thread);
        before = event.total;
        const { scheduler } = scenario.host;
        while (event.total < before + 5) {
          scheduler.cpuOf(thread).cpu.waitUntil(scheduler.cpuOf(thread).cpu.now + 1000, 0);
          yield 'pause';
        }
        yield* changeBuses(kvmVm, () => kvmVm.unregisterIoEventFd(request), thread);
        before = event.total;
        return undefined;
      });
      expect(event.total).toBeGreaterThanOrEqual(5);
      expect(event.total).toBe(before);
      // Two changes, a grace period each.
      if (slotsProtection === 'srcu') expect(cycles).toBeGreaterThan(4 * MILLISECOND);
      else expect(cycles).toBeLessThan(MILLISECOND);
    });
  },
);

const TAKING = `
        mov     ecx, 0x1b
        rdmsr
        or      eax, 0xc00
        wrmsr
        mov     ecx, 0x80f
        mov     eax, 0x1ff
        xor     edx, edx
        wrmsr
        lidt    [rel table]
        sti
wait:   jmp     wait
taken:  push    rax
        push    rcx
        push    rdx
        mov     ecx, 0x80b
        xor     eax, eax
        xor     edx, edx
        wrmsr
        pop     rdx
        pop     rcx
        pop     rax
        iretq
table:  dw      gates_end - gates - 1
        dq      gates
        align   16
gates:  times 0x40 dq 0, 0
        dw      (taken - $$ + 0x100000) & 0xffff, 8, 0x8e00, (taken - $$ + 0x100000) >> 16, 0, 0, 0, 0
gates_end:`;

describe.each(['irq-lock', 'rcu'] as const)('a routing table that changes, under %s', (irqRouting) => {
  it('routes a message when the call returns, and not after the next one', () => {
    const scenario = machine(TAKING, { irqRouting });
    const { host, vms } = scenario;
    const { kvmVm } = vms[0]!;
    const statistics = kvmVm.vm.statistics;
    startInterruptSource({
      name: 'queue',
      host,
      cpu: host.cpus[2]!,
      irqchip: kvmVm.irqchip,
      gsi: 30,
      cyclesUntilNext: () => 20_000,
    });
    const seen: number[] = [];
    const cycles = inUserSpace(scenario, function* (thread) {
      const { scheduler } = host;
      function* pass(): ThreadBody {
        for (let step = 0; step < 100; step++) {
          scheduler.cpuOf(thread).cpu.waitUntil(scheduler.cpuOf(thread).cpu.now + 1000, 0);
          yield 'pause';
        }
        seen.push(statistics.irqInjections);
      }
      yield* pass();
      yield* setGsiRouting(kvmVm, [messageRoute(30, 0x40, 0)], thread);
      yield* pass();
      yield* setGsiRouting(kvmVm, [], thread);
      yield* pass();
      yield* pass();
      return undefined;
    });
    expect(seen[0]).toBe(0);
    expect(seen[1]).toBeGreaterThan(3);
    expect(seen[3]! - seen[2]!).toBe(0);
    if (irqRouting === 'rcu') expect(cycles).toBeGreaterThan(2 * MILLISECOND);
    else expect(cycles).toBeLessThan(MILLISECOND);
  });
});
