import { describe, expect, it } from 'vitest';
import { createScenario } from '../../../src/machine/scenario/scenario.js';
import { guest, START_OTHERS } from './guests.js';

const COUNTER = 0x20_0000;

/** Every processor adds its APIC ID + 1 to a counter; the boot processor waits for the sum and exits with it. */
const COUNT_PROCESSORS = (vcpus: number): string => `
${START_OTHERS}
    lock add dword [abs 0x${COUNTER.toString(16)}], 1
wait_for_all:
    cmp dword [abs 0x${COUNTER.toString(16)}], ${(vcpus * (vcpus + 1)) / 2}
    jne wait_for_all
    mov eax, [abs 0x${COUNTER.toString(16)}]
    out 0xf4, eax
ap:
    add edi, 1
    lock add dword [abs 0x${COUNTER.toString(16)}], edi
    test rsp, rsp
    jz sleep
    ud2
sleep:
    hlt
`;

describe('several virtual CPUs', () => {
  it.each([
    { vcpus: 1, sockets: 1, coresPerSocket: 1 },
    { vcpus: 2, sockets: 1, coresPerSocket: 2 },
    { vcpus: 4, sockets: 2, coresPerSocket: 2 },
    { vcpus: 16, sockets: 2, coresPerSocket: 8 },
    { vcpus: 4, sockets: 1, coresPerSocket: 1 },
    { vcpus: 5, sockets: 1, coresPerSocket: 2 },
  ])('are started by INIT and SIPI: $vcpus on $sockets × $coresPerSocket', (options) => {
    const { vcpus, sockets, coresPerSocket } = options;
    const scenario = createScenario({
      topology: { sockets, coresPerSocket },
      vms: [{ image: guest(COUNT_PROCESSORS(vcpus)), vcpus, memoryBytes: 4 * 2 ** 20 }],
    });
    const result = scenario.run({ untilCycles: 60_000_000 });
    expect(result.vms[0]!.end).toEqual({
      reason: 'guest-exit',
      exitCode: (vcpus * (vcpus + 1) + 1) & 0xff,
    });
  });
});
