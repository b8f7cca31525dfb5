/** A window that comes and goes while other virtual CPUs use memory: whatever the policies, nobody sees a stale page. */

import { describe, expect, it } from 'vitest';
import type { Policies } from '../../../src/kvm/policies.js';
import { createScenario } from '../../../src/machine/scenario/scenario.js';
import { guestPhysical } from '../../../src/memory/addresses.js';
import { drawThroughWindow } from '../../support/vga-drawing.js';
import { guest, START_OTHERS } from './guests.js';

const FLAG = 0x20_0000;
const PASSES = 0x20_0008;
const WRONG = 0x20_0010;
const SUM = 0x20_0018;
/** Pages that the second processor goes through, each with its own number in it. */
const PAGES = 0x30_0000;

/** The boot processor writes through the mapped window and looks at the planes; the other one checks its pages. */
const guestCode = (rounds: number): string => `
${START_OTHERS}
${drawThroughWindow(rounds)}
    mov dword [abs ${FLAG}], 1
wait:
    cmp dword [abs ${FLAG}], 2
    jne wait
    mov [abs ${SUM}], r8d
    xor eax, eax
    out 0xf4, eax
ap:
    mov edi, ${PAGES}
    mov ecx, 16
.fill:
    mov [rdi], ecx
    add edi, 0x1000
    loop .fill
.pass:
    mov edi, ${PAGES}
    mov ecx, 16
.check:
    cmp [rdi], ecx
    je .right
    lock inc dword [abs ${WRONG}]
.right:
    add edi, 0x1000
    loop .check
    lock inc dword [abs ${PASSES}]
    cmp dword [abs ${FLAG}], 1
    jne .pass
    mov dword [abs ${FLAG}], 2
    hlt
`;

interface Case {
  readonly policies: Partial<Policies>;
  readonly rounds: number;
}
const CASES: readonly Case[] = [
  { policies: {}, rounds: 30 },
  {
    policies: {
      slotsProtection: 'srcu-expedited',
      memorySlotLookup: 'last-used',
      instructionEmulation: 'decode-cache',
      mmioExit: 'misconfiguration',
    },
    rounds: 30,
  },
  {
    policies: {
      slotsProtection: 'srcu-expedited',
      memorySlotLookup: 'sorted',
      instructionEmulation: 'lean',
      mmioExit: 'fast-bus',
      portOutput: 'fast-path',
      busSearch: 'sorted',
    },
    rounds: 30,
  },
  // Each grace period takes milliseconds.
  { policies: { slotsProtection: 'srcu', mmioExit: 'fast-bus' }, rounds: 1 },
];

describe.each([
  { sockets: 1, coresPerSocket: 1 },
  { sockets: 1, coresPerSocket: 2 },
])('VGA window with two vCPUs on $coresPerSocket cores', (topology) => {
  it.each(CASES)('shows what was written, and all other memory stays: $policies', ({ policies, rounds }) => {
    const scenario = createScenario({
      topology,
      policies,
      vms: [{ image: guest(guestCode(rounds)), vcpus: 2, memoryBytes: 4 * 2 ** 20, vgaWindow: true }],
    });
    const result = scenario.run({ untilCycles: 1_000_000_000 });
    expect(result.vms[0]!.end).toEqual({ reason: 'guest-exit', exitCode: 1 });
    const { vm } = scenario.vms[0]!.kvmVm;
    const at = (address: number): number => vm.memory.read32(vm.memorySlots.peek(guestPhysical(address))!);
    expect(at(SUM)).toBe(rounds * (rounds + 1) + rounds);
    expect(at(WRONG)).toBe(0);
    expect(at(PASSES)).toBeGreaterThan(0);
    scenario.host.verifyLedger();
  });
});
