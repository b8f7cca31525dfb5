import { describe, expect, it } from 'vitest';
import { compute } from '../../../src/host/workload.js';
import { DeviceLock } from '../../../src/kvm/device-lock.js';
import { IrqRouting } from '../../../src/kvm/irqchip/irq-routing.js';
import { createIrqRoutingProtection } from '../../../src/kvm/irqchip/irq-routing-protection.js';
import { createHost } from '../../host/host-machine.js';
import { RandomSource } from '../../support/random-source.js';

describe.each(['irq-lock', 'rcu'] as const)('interrupt routing under %s', (policy) => {
  it('goes by the table in force, whoever replaces it meanwhile', () => {
    const random = new RandomSource(7);
    const { host } = createHost({ cpus: 4, cpusPerSocket: 2 });
    const { scheduler } = host;
    let pin = 0;
    let raised = 0;
    const routing = new IrqRouting(
      (route) => {
        if (route.chip === 'MSI') throw new Error('there is no such route');
        expect(route.pin).toBe(pin);
        raised++;
      },
      [{ gsi: 5, chip: 'IO-APIC', pin: 0 }],
      createIrqRoutingProtection(host, policy, new DeviceLock(() => scheduler.executingCpu)),
    );
    for (let cpu = 0; cpu < 3; cpu++)
      host.startThread({
        name: `device ${cpu}`,
        cpu: host.cpus[cpu]!,
        isKernelThread: true,
        *body(thread) {
          for (let round = 0; round < 200; round++) {
            yield* compute(scheduler, thread, 1 + random.below(50_000));
            routing.setIrq(`device ${cpu}`, 5, round % 2 === 0);
          }
        },
      });
    let waited = 0;
    host.startThread({
      name: 'writer',
      cpu: host.cpus[3]!,
      isKernelThread: true,
      *body(thread) {
        for (let update = 1; update <= 3; update++) {
          yield* compute(scheduler, thread, 100_000);
          const before = scheduler.cpuOf(thread).cpu.now;
          yield* routing.update(thread, [
            {
              gsi: 5,
              chip: 'IO-APIC',
              get pin() {
                pin = update;
                return update;
              },
            },
          ]);
          waited += scheduler.cpuOf(thread).cpu.now - before;
        }
      },
    });
    expect(scheduler.run()).toBe('finished');
    host.verifyLedger();
    expect(raised).toBe(600);
    expect(pin).toBeGreaterThan(0);
    // RCU makes the writer pay: a grace period instead of a lock.
    if (policy === 'rcu') expect(waited).toBeGreaterThan(3_000_000);
    else expect(waited).toBeLessThan(10_000);
  });
});
