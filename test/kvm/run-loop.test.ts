import { describe, expect, it } from 'vitest';
import {
  GUEST_STATE_RELOADED,
  HOST_STATE_RESTORED,
  type OperationCounts,
  USER_SPACE,
  X2APIC_END_OF_INTERRUPT,
  XAPIC_END_OF_INTERRUPT,
} from '../../src/host/cost/reference-paths.js';
import type { ExitRecord, StageRecord } from '../../src/trace/events.js';
import { createKvmMachine, type KvmMachine, type KvmMachineOptions } from './kvm-machine.js';

function traced(options: KvmMachineOptions): { machine: KvmMachine; exits: ExitRecord[] } {
  const machine = createKvmMachine(options);
  const exits: ExitRecord[] = [];
  machine.kvm.trace = { vmExit: (record) => exits.push(record) };
  machine.run();
  return { machine, exits };
}

const of = (exits: readonly ExitRecord[], name: string): ExitRecord[] =>
  exits.filter((exit) => exit.reasonName === name);

const stage = (exit: ExitRecord, name: string): StageRecord =>
  exit.stages.find((candidate) => candidate.name === name)!;

function counts(stages: readonly StageRecord[]): OperationCounts {
  const result: Record<string, number> = {};
  for (const { operations } of stages)
    for (const { name, count } of operations) result[name] = (result[name] ?? 0) + count;
  return result;
}

const OUTPUT = `
    mov dx, 0x3f8
    mov al, 0x5a
    out dx, al
    out dx, al
    hlt`;

describe('port writes', () => {
  it('go to user space when no device of the kernel claims the port', () => {
    const { machine, exits } = traced({ code: OUTPUT });
    const write = { port: 0x3f8, sizeInBytes: 1, value: 0x5a, write: true };
    expect(machine.ports).toEqual([write, write]);
    expect(machine.kvm.halted).toBe(true);
    const [, second] = of(exits, 'IO_INSTRUCTION');
    expect(second!.weight).toBe('heavy');
    expect(second!.actions).toContain('handled in user space: port 0x3f8');
    expect(second!.instructionBytes[0]).toBe(0xee);
  });

  it('pass the stages of the talk with the operations of 2.6.32', () => {
    const { exits } = traced({ code: OUTPUT });
    const second = of(exits, 'IO_INSTRUCTION')[1]!;
    expect(counts([stage(second, 'host state restored (MSRs, FPU)')])).toEqual(HOST_STATE_RESTORED);
    expect(counts([stage(second, 'qemu, back in kernel')])).toEqual(USER_SPACE);
    expect(counts([stage(second, 'guest state reloaded')])).toEqual(GUEST_STATE_RELOADED);
    expect(second.stages.reduce((sum, { cycles }) => sum + cycles, 0)).toBe(second.cycles);
    // The talk measured 10,400: predicted from parts, not fitted. The aim is 10 %.
    expect(Math.abs(second.cycles - 10_400) / 10_400).toBeLessThan(0.1);
  });

  it('stay in the kernel when one of its devices has the port', () => {
    const { machine, exits } = traced({ code: 'mov al, 0xff\nout 0x21, al\nout 0x21, al\nhlt' });
    const [, second] = of(exits, 'IO_INSTRUCTION');
    expect(machine.ports).toEqual([]);
    expect(second).toMatchObject({ weight: 'light', actions: ['handled in the kernel'] });
    expect(second!.cycles).toBeLessThan(3000);
    expect(second!.stages.map(({ name }) => name)).toEqual([
      'host acquires control',
      'exit handler runs',
      'kernel handler (PIO search)',
      'guest entry',
      'back in guest',
    ]);
  });

  it('of port 0x80 do not leave the guest', () => {
    const { exits } = traced({ code: 'out 0x80, al\nhlt' });
    expect(of(exits, 'IO_INSTRUCTION')).toEqual([]);
  });
});

describe('port reads', () => {
  it('put the answer of user space into the accumulator, as wide as the access', () => {
    const { machine } = traced({
      code: `
        mov rax, 0x1122334455667788
        in al, 0x60
        mov rbx, rax
        mov rax, 0x1122334455667788
        in ax, 0x60
        mov rcx, rax
        mov rax, 0x1122334455667788
        in eax, 0x60
        hlt`,
      readPort: () => 0x89abcdef,
    });
    const { gpr } = machine.kvm.getRegisters(machine.vcpu).general;
    expect(gpr[3]).toBe(0x11223344556677efn);
    expect(gpr[1]).toBe(0x112233445566cdefn);
    expect(gpr[0]).toBe(0x89abcdefn);
  });

  it('of devices in the kernel are light', () => {
    const { machine, exits } = traced({ code: 'mov al, 0x5a\nout 0x21, al\nxor eax, eax\nin al, 0x21\nhlt' });
    expect(machine.kvm.getRegisters(machine.vcpu).general.gpr[0]).toBe(0x5an);
    expect(of(exits, 'IO_INSTRUCTION').map(({ weight }) => weight)).toEqual(['light', 'light']);
  });

  it('with strings are emulated, and repeated in user space', () => {
    const { machine } = traced({
      code: `
        mov edi, 0x90000
        mov ecx, 3
        mov dx, 0x60
        rep insb
        mov eax, [0x90000]
        hlt`,
      readPort: () => 0x41,
    });
    expect(machine.ports.filter(({ write }) => !write)).toHaveLength(3);
    expect(machine.kvm.getRegisters(machine.vcpu).general.gpr[0]).toBe(0x414141n);
  });
});

describe('ends of interrupt', () => {
  it('through an MSR take the calibrated path', () => {
    const { exits } = traced({
      code: `
        mov ecx, 0x1b
        rdmsr
        or eax, 0xc00
        wrmsr
        mov ecx, 0x80b
        xor eax, eax
        xor edx, edx
        wrmsr
        hlt`,
    });
    const end = of(exits, 'MSR_WRITE').at(-1)!;
    expect(end.cycles).toBe(2366);
    expect(counts(end.stages)).toEqual(X2APIC_END_OF_INTERRUPT);
  });

  it('through memory take the calibrated path of the emulator', () => {
    const { exits } = traced({
      code: `
        mov edi, 0xfee00000
        mov dword [rdi + 0xf0], 0x1ff
        mov dword [rdi + 0xb0], 0
        hlt`,
    });
    const end = of(exits, 'APIC_ACCESS').at(-1)!;
    expect(end.cycles).toBe(4677);
    expect(counts(end.stages)).toEqual(XAPIC_END_OF_INTERRUPT);
  });
});

describe('virtual time', () => {
  it('is what the guest reads from its time-stamp counter', () => {
    const { machine, exits } = traced({
      code: `
        mov dx, 0x3f8
        out dx, al
        rdtsc
        mov ebx, eax
        out dx, al
        rdtsc
        sub eax, ebx
        hlt`,
    });
    const { gpr } = machine.kvm.getRegisters(machine.vcpu).general;
    const second = of(exits, 'IO_INSTRUCTION')[1]!;
    // Besides the exit: MOV after the first RDTSC, and the instructions around it, at one cycle each.
    expect(Number(gpr[0]) - second.cycles).toBeGreaterThanOrEqual(2);
    expect(Number(gpr[0]) - second.cycles).toBeLessThanOrEqual(4);
  });

  it('and all else is the same with and without observers, and on every run', () => {
    const plain = createKvmMachine({ code: OUTPUT });
    plain.run();
    const { machine, exits } = traced({ code: OUTPUT });
    const again = traced({ code: OUTPUT });
    expect(machine.host.elapsed).toBe(plain.host.elapsed);
    expect(machine.host.ledger.total).toBe(plain.host.ledger.total);
    expect(again.exits).toEqual(exits);
  });

  it('pauses after a number of instructions and goes on', () => {
    const code = 'mov ecx, 1000\n.a: dec ecx\njnz .a\nout 0x60, al\nhlt';
    const whole = createKvmMachine({ code });
    whole.run();
    const pieces = createKvmMachine({ code });
    for (let part = 0; part < 200 && !pieces.kvm.halted; part++) {
      pieces.host.scheduler.run({ instructions: 17, stopRequested: () => pieces.kvm.halted });
      const { rip } = pieces.kvm.getRegisters(pieces.vcpu).general;
      expect(rip).toBeGreaterThanOrEqual(0x100000n);
      expect(rip).toBeLessThan(0x100020n);
    }
    pieces.kvm.finish();
    pieces.host.verifyLedger();
    expect(pieces.kvm.halted).toBe(true);
    expect(pieces.host.elapsed).toBe(whole.host.elapsed);
    expect(pieces.ports).toEqual(whole.ports);
  });
});
