import { describe, expect, it } from 'vitest';
import type { Policies } from '../../../src/kvm/policies.js';
import { createScenario } from '../../../src/machine/scenario/scenario.js';
import { guest, START_OTHERS } from './guests.js';

/** Every processor ends interrupts that it never had, one after the other: an exit each, handled in the kernel. */
const HAMMER = `
${START_OTHERS}
ap:
    mov ecx, 0x1b
    rdmsr
    or eax, 0xc00
    wrmsr
    mov ecx, 0x80b
    xor eax, eax
    xor edx, edx
hammer:
    wrmsr
    jmp hammer
`;
const WARM_UP = 200_000;
const MEASURED = 600_000;

/** Exits per million cycles of all virtual CPUs, which are spread evenly over the sockets. */
function exitRate(vcpus: number, sockets: number, slotsProtection: Policies['slotsProtection']): number {
  const coresPerSocket = 16 / sockets;
  const scenario = createScenario({
    topology: { sockets, coresPerSocket },
    vms: [
      {
        image: guest(HAMMER),
        vcpus,
        memoryBytes: 4 * 2 ** 20,
        policies: { slotsProtection },
        placement: Array.from(
          { length: vcpus },
          (_, index) => (index % sockets) * coresPerSocket + Math.floor(index / sockets),
        ),
      },
    ],
  });
  const before = scenario.run({ untilCycles: WARM_UP }).vms[0]!.statistics.exits;
  const after = scenario.run({ untilCycles: WARM_UP + MEASURED }).vms[0]!.statistics.exits;
  return ((after - before) / MEASURED) * 1e6;
}

/** kvm-facts §3.4: the semaphore's line is written twice per exit, and serves one CPU at a time. */
describe('virtual CPUs that exit all the time', () => {
  it.each([1, 2])('scale without bend under SRCU: %i sockets', (sockets) => {
    const one = exitRate(1, sockets, 'srcu');
    for (const vcpus of [4, 16]) expect(exitRate(vcpus, sockets, 'srcu') / one / vcpus).toBeCloseTo(1, 1);
  });

  it('saturate the semaphore at about twelve of one socket', () => {
    const rate = (vcpus: number): number => exitRate(vcpus, 1, 'rwsem');
    const one = rate(1);
    // Each exit pays two transfers, but nobody waits.
    expect(rate(8) / one / 8).toBeGreaterThan(0.9);
    const twelve = rate(12);
    expect(twelve / one / 12).toBeGreaterThan(0.8);
    expect(rate(16) / twelve).toBeLessThan(1.1);
  });

  it('saturate it earlier across sockets', () => {
    const one = exitRate(1, 2, 'rwsem');
    expect(exitRate(12, 2, 'rwsem') / one / 12).toBeLessThan(0.75);
    expect(exitRate(16, 2, 'rwsem')).toBeLessThan(exitRate(12, 2, 'rwsem'));
  });
});
