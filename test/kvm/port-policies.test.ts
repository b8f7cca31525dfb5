/** Alternatives of port accesses: the same guest, the same values, other costs. */

import { describe, expect, it } from 'vitest';
import { operation } from '../../src/host/cost/operations.js';
import type { Policies } from '../../src/kvm/policies.js';
import { createKvmMachine, type KvmMachine } from './kvm-machine.js';

const EXIT_IO = 30;
const DATA = 0x90000;

/** OUT, IN and strings of every width, to devices of the kernel and of user space. */
const GUEST = `
    mov al, 0x5a
    out 0x21, al
    in al, 0x21
    mov bl, al
    mov ax, 0x1234
    mov dx, 0x600
    out dx, ax
    mov eax, 0x89abcdef
    out dx, eax
    in ax, dx
    mov cx, ax
    in eax, dx
    mov r8, rax
    mov edi, ${DATA}
    mov ecx, 3
    cld
    rep insw
    mov r9, [${DATA}]
    mov esi, ${DATA}
    mov ecx, 3
    rep outsw
    in al, 0x61
    or al, 1
    out 0x61, al
    in al, 0x61
    and al, 3
    mov r10b, al
    hlt`;

const run = (policies: Partial<Policies>, code = GUEST): KvmMachine => {
  let reads = 0;
  const machine = createKvmMachine({ code, policies, readPort: () => 0x1000 + reads++ });
  machine.run();
  return machine;
};

const registers = (machine: KvmMachine): readonly bigint[] =>
  machine.kvm.getRegisters(machine.vcpu).general.gpr;
const count = (machine: KvmMachine, name: Parameters<typeof operation>[0]): number =>
  machine.thread.account.count(operation(name), EXIT_IO);

describe('port policies', () => {
  const reference = run({});

  it('have a guest that reads what was written', () => {
    const gpr = registers(reference);
    expect(gpr[3]! & 0xffn).toBe(0x5an);
    expect(gpr[8]).toBe(0x1001n);
    expect(gpr[9]).toBe(0x1004_1003_1002n);
    expect(gpr[10]! & 0xffn).toBe(1n);
    expect(reference.ports).toHaveLength(2 + 2 + 6);
  });

  for (const portOutput of ['exit-qualification', 'fast-path'] as const)
    for (const busSearch of ['linear', 'sorted'] as const)
      it(`give the guest and user space the same with ${portOutput} and a ${busSearch} bus`, () => {
        const machine = run({ portOutput, busSearch, busCapacity: '200' });
        expect(registers(machine)).toEqual(registers(reference));
        expect(machine.ports).toEqual(reference.ports);
      });

  it('fill kvm_run on the fast path only when no device of the kernel claims the port', () => {
    const inKernel = run({ portOutput: 'fast-path' }, 'out 0x21, al\nhlt');
    expect(count(inKernel, 'fast port output handler')).toBe(1);
    expect(count(inKernel, 'kvm_run port fields')).toBe(0);
    expect(count(inKernel, 'port exit handler')).toBe(0);
    const missed = run({ portOutput: 'fast-path' }, 'out 0x60, al\nhlt');
    expect(count(missed, 'kvm_run port fields')).toBe(1);
  });

  it('emulate IN instead of reading the qualification on the fast path', () => {
    const code = 'in al, 0x21\nhlt';
    const before = run({}, code);
    const after = run({ portOutput: 'fast-path' }, code);
    expect(before.kvm.vm.statistics.instructionEmulations).toBe(0);
    expect(after.kvm.vm.statistics.instructionEmulations).toBe(1);
    expect(after.host.elapsed).toBeGreaterThan(before.host.elapsed);
  });

  it('register the chips in the kernel order: PIC, PIT, speaker port', () => {
    const { devices } = reference.kvm.vm.pioBus;
    expect(devices.map(({ name }) => name)).toEqual(['PIC', 'PIT', 'PIT speaker']);
    expect(devices[0]!.ranges.map(({ first, length }) => [first, length])).toEqual([
      [0x20, 2],
      [0xa0, 2],
      [0x4d0, 2],
    ]);
  });
});
