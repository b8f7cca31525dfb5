import { describe, expect, it } from 'vitest';
import { CR0 } from '../../src/architecture/control-registers.js';
import { RFLAGS } from '../../src/architecture/rflags.js';
import { VECTOR } from '../../src/architecture/vectors.js';
import { VMCS } from '../../src/architecture/vmx/vmcs-fields.js';
import { injectPendingEvent } from '../../src/kvm/event-injection.js';
import type { ExitRecord, InjectionRecord } from '../../src/trace/events.js';
import { createKvmMachine } from './kvm-machine.js';

/** An IDT at 0x91000 whose vector 0x40 counts in RBX and ends the interrupt through the x2APIC. */
const WITH_TIMER = `
    lea rax, [rel handler]
    mov rdi, 0x91000 + 0x40 * 16
    mov [rdi], ax
    mov word [rdi + 2], 8
    mov word [rdi + 4], 0x8e00
    shr rax, 16
    mov [rdi + 6], ax
    shr rax, 16
    mov [rdi + 8], eax
    mov dword [rdi + 12], 0
    lidt [rel idt]
    %macro set 2
      mov ecx, %1
      mov eax, %2
      xor edx, edx
      wrmsr
    %endmacro
    set 0x1b, 0xfee00d00
    set 0x80f, 0x1ff
    set 0x83e, 0xb
    set 0x832, 0x40
    xor ebx, ebx
    jmp main
  handler:
    inc ebx
    set 0x80b, 0
    iretq
  idt: dw 0xfff
    dq 0x91000
  main:`;

function run(code: string): {
  machine: ReturnType<typeof createKvmMachine>;
  exits: ExitRecord[];
  injections: InjectionRecord[];
} {
  const machine = createKvmMachine({ code: WITH_TIMER + code });
  const exits: ExitRecord[] = [];
  const injections: InjectionRecord[] = [];
  machine.kvm.trace = {
    vmExit: (record) => exits.push(record),
    injection: (record) => injections.push(record),
  };
  machine.run();
  return { machine, exits, injections };
}

/** EPT violations right after an injection, before the handler's first instruction. */
const interruptedDeliveries = (exits: readonly ExitRecord[]): number =>
  exits.filter(({ actions }) => actions.includes('event delivery starts again')).length;

const rbx = (machine: ReturnType<typeof createKvmMachine>): bigint =>
  machine.kvm.getRegisters(machine.vcpu).general.gpr[3]!;

describe('the local APIC’s timer', () => {
  it('wakes a halted vCPU: heavy, the time asleep given away', () => {
    const { machine, exits, injections } = run(`
      sti
      set 0x838, 100000
      hlt
      cli
      hlt`);
    expect(rbx(machine)).toBe(1n);
    // The guest's stack is not mapped yet: delivery ends in an EPT violation and starts again.
    expect(injections[0]).toMatchObject({ kind: 'interrupt', vector: 0x40 });
    expect(injections).toHaveLength(1 + interruptedDeliveries(exits));
    const halt = exits.find(({ reasonName }) => reasonName === 'HLT')!;
    expect(halt.weight).toBe('heavy');
    // 100,000 ns of the APIC's clock are 260,000 cycles.
    expect(halt.cycles).toBeGreaterThan(250_000);
    expect(halt.cycles).toBeLessThan(290_000);
    expect(halt.stages.reduce((sum, { cycles }) => sum + cycles, 0)).toBe(halt.cycles);
    expect(machine.kvm.vm.statistics.haltWakeups).toBe(1);
  });

  it('interrupts running code through an external-interrupt exit', () => {
    const { machine, exits } = run(`
      sti
      set 0x838, 10000
    .wait: test ebx, ebx
      jz .wait
      cli
      hlt`);
    expect(rbx(machine)).toBe(1n);
    expect(exits.filter(({ reasonName }) => reasonName === 'EXTERNAL_INTERRUPT')).toHaveLength(1);
  });

  it('waits for an interrupt window while the guest has interrupts off', () => {
    const { machine, exits, injections } = run(`
      set 0x838, 10000
      mov ebp, 20000
    .busy: dec ebp
      jnz .busy
      sti
      nop
      cli
      hlt`);
    expect(rbx(machine)).toBe(1n);
    expect(exits.filter(({ reasonName }) => reasonName === 'INTERRUPT_WINDOW')).toHaveLength(1);
    expect(injections).toHaveLength(1 + interruptedDeliveries(exits));
  });

  it('does not wake a vCPU that halted with interrupts off', () => {
    const { machine } = run(`
      set 0x838, 10000
      cli
      hlt
      inc ebx
      hlt`);
    expect(rbx(machine)).toBe(0n);
    expect(machine.kvm.halted).toBe(true);
  });
});

describe('exceptions', () => {
  const guarded = (code: string): ReturnType<typeof createKvmMachine> => {
    const machine = createKvmMachine({ code });
    machine.run();
    return machine;
  };

  it('of RDMSR from a register that does not exist reach the guest as #GP', () => {
    // Without an IDT the guest can't take it.
    const machine = guarded('mov ecx, 0x12345\nrdmsr\nhlt');
    expect(machine.exits).toEqual([{ reason: 'shutdown' }]);
  });

  it('of CR0 values that are not allowed as well', () => {
    const machine = guarded('mov rax, cr0\nbtr rax, 0\nmov cr0, rax\nhlt');
    expect(machine.exits).toEqual([{ reason: 'shutdown' }]);
  });

  it.each([
    ['real', 0, 0x80000306],
    ['protected', CR0.PE, 0x80000b06],
  ])('carry an error code only outside real mode: %s mode', (_mode, cr0, expected) => {
    const { vcpu } = createKvmMachine({ code: 'hlt' });
    const { cpu } = vcpu;
    cpu.withoutCharge(() => {
      vcpu.cr0 = cr0;
      vcpu.injectException(VECTOR.UD, 0);
      injectPendingEvent(vcpu);
    });
    expect(Number(cpu.peekVmcs(VMCS.VM_ENTRY_INTERRUPTION_INFORMATION))).toBe(expected);
  });

  it('leave RFLAGS alone when they are only looked at', () => {
    const machine = guarded('cpuid\nhlt');
    expect(machine.kvm.getRegisters(machine.vcpu).general.rflags & RFLAGS.IF).toBe(0);
  });
});

describe('CPUID', () => {
  it('shows KVM, x2APIC and the hypervisor bit, and hides VMX', () => {
    const machine = createKvmMachine({
      code: `
        mov eax, 0x40000000
        cpuid
        mov esi, ebx
        mov edi, ecx
        mov ebp, edx
        mov eax, 1
        cpuid
        hlt`,
    });
    machine.run();
    const { gpr } = machine.kvm.getRegisters(machine.vcpu).general;
    const bytes = new DataView(new ArrayBuffer(12));
    for (const [index, register] of [6, 7, 5].entries())
      bytes.setUint32(index * 4, Number(gpr[register]), true);
    expect(String.fromCharCode(...new Uint8Array(bytes.buffer))).toBe('KVMKVMKVM\0\0\0');
    const ecx = Number(gpr[1]);
    expect(ecx & (1 << 21)).not.toBe(0);
    expect(ecx >>> 31).toBe(1);
    expect(ecx & (1 << 5)).toBe(0);
  });
});
