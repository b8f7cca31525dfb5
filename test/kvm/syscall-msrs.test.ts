import { describe, expect, it } from 'vitest';
import { EFER } from '../../src/architecture/control-registers.js';
import { MSR } from '../../src/architecture/msrs.js';
import { wordPair } from '../../src/bits/word-pair.js';
import { operation } from '../../src/host/cost/operations.js';
import { HOST_SYSCALL_MSRS } from '../../src/host/host-kernel.js';
import { TIF } from '../../src/host/host-thread.js';
import { verifyUserState } from '../../src/host/user-mode.js';
import type { Policies } from '../../src/kvm/policies.js';
import { sharedMsrsOf } from '../../src/kvm/shared-msrs.js';
import { createScenario, type Scenario } from '../../src/machine/scenario/scenario.js';
import type { ScenarioOptions } from '../../src/machine/scenario/scenario-options.js';
import { guest } from '../machine/scenario/guests.js';

const RDMSR = operation('RDMSR');
const WRMSR = operation('WRMSR');
const MEMORY = 4 * 2 ** 20;
const TIME_SLICE = 20_000;
const LONG_ENOUGH = 40_000_000;

/**
 * Executes SYSCALL and SWAPGS over and over with values of its own in all MSRs, and exits with 0 if the handler that it
 * meant ran each time, with its flags, and the bases were its own.
 */
const usesSyscall = (id: number, options: { syscallEnabled?: boolean } = {}): string => `
    %macro set 3
      mov ecx, %1
      mov edx, %2
      mov eax, %3
      wrmsr
    %endmacro
    set 0xc0000081, 0x00180008, 0
    set 0xc0000082, 0, handler
    set 0xc0000083, 0, ${id}
    set 0xc0000084, 0, ${id} & 1
    set 0xc0000102, ${id}, 0x22222222
    mov ecx, 0xc0000080
    rdmsr
    ${options.syscallEnabled === false ? 'and eax, ~1' : 'or eax, 1'}
    wrmsr
    mov ebp, 200
again:
    mov ecx, 400
wait_a_little:
    dec ecx
    jnz wait_a_little
    ${
      options.syscallEnabled === false
        ? ''
        : `xor edx, edx
    stc
    syscall
    cmp edx, ${id}
    jne wrong
    cmp esi, ${id} & 1
    je wrong`
    }
    swapgs
    mov ecx, 0xc0000101
    rdmsr
    swapgs
    cmp edx, ${id}
    jne wrong
    dec ebp
    jnz again
    xor eax, eax
    out 0xf4, eax
wrong:
    mov eax, 1
    out 0xf4, eax
    times ${id} * 16 nop
handler:
    mov edx, ${id}
    mov esi, 0
    adc esi, 0
    jmp rcx
`;

const readsCstar = `
    mov ecx, 0xc0000083
    mov eax, 0x12345
    xor edx, edx
    wrmsr
    out 0xb0, al
    xor eax, eax
    rdmsr
    sub eax, 0x12345
    out 0xf4, eax`;

const run = (
  code: readonly string[],
  policies: readonly Partial<Policies>[],
  rest: Partial<ScenarioOptions> = {},
): Scenario => {
  const scenario = createScenario({
    vms: code.map((text, index) => ({
      image: guest(text),
      memoryBytes: MEMORY,
      placement: [0],
      policies: policies[index % policies.length]!,
    })),
    timeSliceInCycles: TIME_SLICE,
    ...rest,
  });
  const result = scenario.run({ untilCycles: LONG_ENOUGH });
  for (const { end } of result.vms) expect(end).toEqual({ reason: 'guest-exit', exitCode: 1 });
  return scenario;
};

/** Reads and writes of MSRs per heavy switch of the first VM. */
const traffic = (scenario: Scenario): { switches: number; reads: number; writes: number } => {
  const vm = scenario.vms[0]!;
  const { account } = vm.threads[0]!;
  const entries = [...account.entries()];
  const count = (number: number): number =>
    entries.filter((entry) => entry.operation === number).reduce((sum, entry) => sum + entry.count, 0);
  const switches = vm.kvmVm.vm.statistics.hostStateReload;
  return { switches, reads: count(RDMSR) / switches, writes: count(WRMSR) / switches };
};

const KERNEL_THREAD = { name: 'vhost', cpu: 0, period: 50_000, duration: 3_000 } as const;
const PROCESS = { name: 'editor', cpu: 0, period: 50_000, duration: 3_000 } as const;
const EAGER = { syscallMsrs: 'eager' } as const;
const SHARED = { syscallMsrs: 'shared' } as const;

describe('guest, kernel thread, guest again', () => {
  it('2.6.32 switches the whole list both ways', () => {
    const { switches, reads, writes } = traffic(
      run([usesSyscall(1)], [EAGER], { kernelThreads: [KERNEL_THREAD] }),
    );
    expect(switches).toBeGreaterThan(3);
    // 5 and 3 reads, 5 and 5 writes; the first switches come before the guest has set anything.
    expect(reads).toBeGreaterThan(7);
    expect(reads).toBeLessThanOrEqual(8);
    expect(writes).toBeGreaterThan(9);
    expect(writes).toBeLessThanOrEqual(10);
  });

  it('shared MSRs cost KERNEL_GS_BASE alone, once they are loaded', () => {
    const scenario = run([usesSyscall(1)], [SHARED], { kernelThreads: [KERNEL_THREAD] });
    const { switches, reads, writes } = traffic(scenario);
    expect(reads).toBeLessThanOrEqual(4 + 1 / switches);
    // Before: four of the host's values, the guest's own four, EFER twice. After: four for user mode.
    expect((writes - 2) * switches).toBeLessThanOrEqual(14);
  });
});

describe('guest, user process, guest again', () => {
  it('shared MSRs: the process that goes to user mode pays for the host’s values', () => {
    const scenario = run([usesSyscall(1)], [SHARED], { processes: [PROCESS] });
    const { account } = scenario.threads[0]!;
    const writes = [...account.entries()]
      .filter((entry) => entry.operation === WRMSR)
      .reduce((sum, entry) => sum + entry.count, 0);
    // STAR, LSTAR, CSTAR and SYSCALL_MASK at each of its turns.
    expect(writes).toBeGreaterThanOrEqual(8);
    expect(writes % 4).toBe(0);
  });
});

describe('guest A, guest B', () => {
  const other = { ...KERNEL_THREAD, period: 1_000_000, duration: 10 };
  it('with equal values no MSR of the list is written', () => {
    const { switches, writes } = traffic(
      run([usesSyscall(1), usesSyscall(1)], [SHARED], { kernelThreads: [other] }),
    );
    expect(switches).toBeGreaterThan(3);
    expect((writes - 2) * switches).toBeLessThanOrEqual(14);
  });

  it('with different values four are', () => {
    const { switches, writes } = traffic(
      run([usesSyscall(1), usesSyscall(2)], [SHARED], { kernelThreads: [other] }),
    );
    expect(switches).toBeGreaterThan(8);
    expect(writes).toBeGreaterThan(4);
    expect(writes).toBeLessThanOrEqual(7);
  });

  it('a guest with SYSCALL off does not switch it off for the next', () => {
    run([usesSyscall(1, { syscallEnabled: false }), usesSyscall(2)], [SHARED]);
    run([usesSyscall(2), usesSyscall(1, { syscallEnabled: false }), usesSyscall(3)], [SHARED]);
  });

  it('one policy each on the same CPU', () => {
    run([usesSyscall(1), usesSyscall(2)], [EAGER, SHARED]);
    run([usesSyscall(1), usesSyscall(2), usesSyscall(3)], [SHARED, EAGER], { processes: [PROCESS] });
  });
});

describe('without CSTAR, which SYSCALL of these processors never uses', () => {
  const policies = { syscallMsrs: 'shared-without-cstar' } as const;

  it('one value less is written, and the guest reads its own', () => {
    const scenario = run([usesSyscall(1)], [policies], { processes: [PROCESS] });
    const writes = [...scenario.threads[0]!.account.entries()]
      .filter((entry) => entry.operation === WRMSR)
      .reduce((sum, entry) => sum + entry.count, 0);
    expect(writes).toBeGreaterThanOrEqual(6);
    expect(writes % 3).toBe(0);
    run([readsCstar], [policies]);
  });
});

describe('shared MSRs of a CPU', () => {
  it('make whoever runs there stop on the way to user mode while they are not the host’s', () => {
    const scenario = createScenario({
      vms: [1, 2].map((id) => ({
        image: guest(usesSyscall(id)),
        memoryBytes: MEMORY,
        placement: [0],
        policies: SHARED,
      })),
      kernelThreads: [KERNEL_THREAD],
      processes: [PROCESS],
      timeSliceInCycles: TIME_SLICE,
    });
    const [host] = scenario.host.cpus;
    const seen = new Set<string>();
    for (let until = 5_000; until < 1_500_000; until += 1_700) {
      scenario.run({ untilCycles: until });
      const foreign = HOST_SYSCALL_MSRS.some(([index, value]) => host!.cpu.peekMsr(index) !== value);
      if (foreign) expect(host!.current.hasFlag(TIF.USER_RETURN_NOTIFY)).toBe(true);
      seen.add(`${host!.current.isKernelThread ? 'kernel' : 'user'} ${foreign}`);
      for (const thread of [...scenario.threads, ...scenario.vms.flatMap(({ threads }) => threads)])
        if (thread !== host!.current) expect(thread.hasFlag(TIF.USER_RETURN_NOTIFY)).toBe(false);
    }
    // Kernel threads run with what guests left, processes with and without guests around.
    expect([...seen]).toEqual(expect.arrayContaining(['kernel true', 'user true', 'user false']));
  });

  it('are put back by force when the CPU goes offline', () => {
    const scenario = createScenario({
      vms: [{ image: guest(usesSyscall(1)), memoryBytes: MEMORY, policies: SHARED }],
      kernelThreads: [KERNEL_THREAD],
    });
    const host = scenario.host.cpus[0]!;
    scenario.run({ untilCycles: 200_000 });
    const found = (): bigint[] => HOST_SYSCALL_MSRS.map(([index]) => host.cpu.peekMsr(index));
    const expected = HOST_SYSCALL_MSRS.map(([, value]) => value);
    expect(found()).not.toEqual(expected);
    host.cpu.withoutCharge(() => sharedMsrsOf(host).drop());
    expect(found()).toEqual(expected);
    host.cpu.withoutCharge(() => sharedMsrsOf(host).drop());
    expect(found()).toEqual(expected);
  });

  it('are compared under a mask, and keep the host’s bits outside it', () => {
    const scenario = createScenario({
      vms: [{ image: guest(usesSyscall(1)), memoryBytes: MEMORY, policies: SHARED }],
    });
    const host = scenario.host.cpus[0]!;
    const values = sharedMsrsOf(host);
    const before = host.cpu.peekMsr(MSR.EFER);
    host.cpu.withoutCharge(() => {
      values.set(MSR.EFER, wordPair(before ^ BigInt(EFER.NXE)), wordPair(BigInt(EFER.SCE)));
      expect(host.cpu.peekMsr(MSR.EFER)).toBe(before);
      values.set(MSR.EFER, wordPair(before ^ BigInt(EFER.SCE)), wordPair(BigInt(EFER.SCE)));
      expect(host.cpu.peekMsr(MSR.EFER)).toBe(before ^ BigInt(EFER.SCE));
      expect(() => verifyUserState(host, scenario.vms[0]!.threads[0]!)).toThrow('EFER');
      values.drop();
      expect(host.cpu.peekMsr(MSR.EFER)).toBe(before);
    });
  });
});
