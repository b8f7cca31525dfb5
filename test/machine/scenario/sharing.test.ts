import { describe, expect, it } from 'vitest';
import { operation } from '../../../src/host/cost/operations.js';
import type { Policies } from '../../../src/kvm/policies.js';
import { createScenario } from '../../../src/machine/scenario/scenario.js';
import { RandomSource } from '../../support/random-source.js';
import { guest, START_OTHERS } from './guests.js';

const MEMORY = 4 * 2 ** 20;
const COUNTER = '[abs 0x200000]';
const ROUNDS = 30;

/**
 * Keeps a number in ST(0) and in RBX, and its number in LSTAR, over light and heavy exits, and looks at them after each:
 * ends with exit code 1 (all rounds) or with 3 when something was not its own.
 */
const guardian = (number: number): string => `
    mov rax, cr4
    or eax, 0x600
    mov cr4, rax
    mov rax, cr0
    and eax, ~0xc
    or eax, 2
    mov cr0, rax
    mov rbx, 0x8111111111111110 + ${number}
    mov [abs 0x210000], rbx
    fninit
    mov word [abs 0x210008], 0x4001
    fld tword [abs 0x210000]
    mov ecx, 0xc0000082
    mov eax, 0x1000 * ${number}
    xor edx, edx
    wrmsr
    mov ecx, 0xc0000080
    rdmsr
    or eax, 1
    wrmsr
    mov r12d, ${ROUNDS}
again:
    mov dx, 0x1234
    out dx, al
    mov r13d, 500
work:
    dec r13d
    jnz work
    mov eax, 1
    push rbx
    cpuid
    pop rbx
    fld st0
    fstp tword [abs 0x210010]
    mov rax, [abs 0x210010]
    cmp rax, rbx
    jne wrong
    mov ecx, 0xc0000082
    rdmsr
    cmp eax, 0x1000 * ${number}
    jne wrong
    dec r12d
    jnz again
    xor eax, eax
    out 0xf4, al
wrong:
    mov eax, 1
    out 0xf4, al
`;

const POLICIES: Partial<Policies>[] = [
  { syscallMsrs: 'eager', slotsProtection: 'rwsem' },
  { syscallMsrs: 'shared', slotsProtection: 'srcu' },
  { syscallMsrs: 'shared', slotsProtection: 'srcu-expedited' },
];

describe('virtual machines that share CPUs with each other and with the rest of the host', () => {
  it.each(POLICIES.flatMap((policies) => [1, 2, 3, 4].map((seed) => ({ seed, policies }))))(
    'keep their registers, however they are moved: $policies, seed $seed',
    ({ seed, policies }) => {
      const random = new RandomSource(seed);
      const cpus = 1 + random.below(3);
      const vms = 2 + random.below(2);
      const scenario = createScenario({
        topology: { sockets: 1, coresPerSocket: cpus },
        timeSliceInCycles: 30_000,
        policies,
        vms: Array.from({ length: vms }, (_, index) => ({
          image: guest(guardian(index + 1)),
          memoryBytes: MEMORY,
          placement: [random.below(cpus)],
        })),
        kernelThreads: [{ name: 'vhost', cpu: 0, period: 70_000, duration: 5_000 }],
        processes: [
          { name: 'computes', cpu: random.below(cpus), period: 150_000, duration: 40_000, usesFpu: true },
          { name: 'QEMU main loop', cpu: 0, period: 200_000, duration: 8_000 },
        ],
        migrations: Array.from({ length: 20 }, (_, index) => ({
          vm: random.below(vms),
          vcpu: 0,
          at: 20_000 + index * 15_000 + random.below(10_000),
          toCpu: random.below(cpus),
        })),
      });
      const result = scenario.run({ untilCycles: 200_000_000 });
      expect(result.vms.map(({ end }) => end)).toEqual(
        Array.from({ length: vms }, () => ({ reason: 'guest-exit', exitCode: 1 })),
      );
      for (const { statistics } of result.vms) expect(statistics.hostStateReload).toBeGreaterThan(ROUNDS);
      const sum = result.stages.reduce((total, { cycles }) => total + cycles, 0);
      expect(sum).toBe(scenario.host.elapsed);
    },
  );

  it('move between CPUs by an interrupt to the old one', () => {
    const scenario = createScenario({
      topology: { sockets: 2, coresPerSocket: 1 },
      vms: [{ image: guest('l: mov dx, 0x1234\nout dx, al\njmp l'), memoryBytes: MEMORY }],
      migrations: [
        { vm: 0, vcpu: 0, at: 100_000, toCpu: 1 },
        { vm: 0, vcpu: 0, at: 300_000, toCpu: 0 },
      ],
    });
    const vcpu = scenario.vms[0]!.vcpus[0]!;
    const clears = (): number =>
      scenario.host.ledger.accounts.reduce((sum, account) => sum + account.count(operation('VMCLEAR')), 0);
    scenario.run({ untilCycles: 90_000 });
    expect(vcpu.cpu.number).toBe(0);
    expect(clears()).toBe(0);
    scenario.run({ untilCycles: 250_000 });
    expect(vcpu.cpu.number).toBe(1);
    expect(clears()).toBe(1);
    const result = scenario.run({ untilCycles: 500_000 });
    expect(vcpu.cpu.number).toBe(0);
    expect(clears()).toBe(2);
    expect(result.vms[0]!.vcpus[0]!.cpu).toBe(0);
  });

  it('give the same result in one run and in many slices', () => {
    const run = (slice: number): unknown => {
      const scenario = createScenario({
        topology: { sockets: 1, coresPerSocket: 2 },
        timeSliceInCycles: 30_000,
        vms: [1, 2, 3].map((number) => ({ image: guest(guardian(number)), memoryBytes: MEMORY })),
        kernelThreads: [{ name: 'vhost', cpu: 1, period: 70_000, duration: 5_000 }],
      });
      let result = scenario.run({ untilCycles: slice });
      for (let until = 2 * slice; result.stop === 'limit'; until += slice)
        result = scenario.run({ untilCycles: until });
      return result;
    };
    expect(run(7_777)).toEqual(run(1_000_000_000));
  });
});

/** The application processor counts interrupts of vector 0x40; the boot processor sends one after the other. */
const PING = (wait: string): string => `
${START_OTHERS}
    lea rdi, [gate]
    lea rsi, [handler]
    mov [rdi], si
    shr rsi, 16
    mov [rdi + 6], si
    mov dword ${COUNTER}, 1
wait_for_listener:
    cmp dword [abs 0x200008], 1
    jne wait_for_listener
next:
    mov r13d, 20000
let_it_settle:
    dec r13d
    jnz let_it_settle
    mov ebx, ${COUNTER}
    mov ecx, 0x830
    mov edx, 1
    mov eax, 0x4040
    wrmsr
answer:
    cmp ebx, ${COUNTER}
    je answer
    cmp dword ${COUNTER}, 11
    jne next
    xor eax, eax
    out 0xf4, al
ap:
    cmp dword ${COUNTER}, 0
    je ap
    mov rax, listen
    jmp rax
align 8
listen:
    mov esp, 0x70000
    lea rax, [idtr]
    lidt [rax]
    mov ecx, 0x1b
    rdmsr
    or eax, 0xc00
    wrmsr
    mov ecx, 0x80f
    mov eax, 0x1ff
    xor edx, edx
    wrmsr
    mov dword [abs 0x200008], 1
    sti
sleep:
    ${wait}
    jmp sleep
handler:
    push rax
    push rcx
    push rdx
    inc dword ${COUNTER}
    mov ecx, 0x80b
    xor eax, eax
    xor edx, edx
    wrmsr
    pop rdx
    pop rcx
    pop rax
    iretq
idtr:
    dw 0x40 * 16 + 15
    dq gate - 0x400
align 8
gate:
    dw 0, 8
    db 0, 0x8e
    dw 0
    dq 0
`;

describe('inter-processor interrupts of a guest', () => {
  it.each([
    { name: 'make a vCPU leave the guest', wait: 'nop', reason: 1, coresPerSocket: 2 },
    { name: 'wake a vCPU that halted', wait: 'hlt', reason: 12, coresPerSocket: 2 },
    { name: 'reach a vCPU that shares the CPU', wait: 'hlt', reason: 12, coresPerSocket: 1 },
  ])('$name', ({ wait, reason, coresPerSocket }) => {
    const scenario = createScenario({
      topology: { sockets: 1, coresPerSocket },
      timeSliceInCycles: 100_000,
      vms: [{ image: guest(PING(wait)), vcpus: 2, memoryBytes: MEMORY }],
    });
    const result = scenario.run({ untilCycles: 50_000_000 });
    expect(result.vms[0]!.end).toEqual({ reason: 'guest-exit', exitCode: 1 });
    expect(result.vms[0]!.vcpus[1]!.exitsByReason.get(reason)).toBeGreaterThanOrEqual(9);
  });
});
