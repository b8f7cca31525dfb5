import { describe, expect, it } from 'vitest';
import { operation } from '../../src/host/cost/operations.js';
import { IMPLEMENTED, type Policies } from '../../src/kvm/policies.js';
import { createKvmMachine, type KvmMachine } from './kvm-machine.js';

const LOG = 0x90000;
const INJECTION_CHECK = operation('event injection check');

/** Gates for vectors 0x30 to 0xff, whose handlers write their vector to the log at RDI and end the interrupt. */
const prologue = (apic: 'xAPIC' | 'x2APIC'): string => `
    mov edi, ${LOG}
    mov ecx, 0x30
    lea rsi, [idt]
    lea rax, [handlers]
gate:
    mov edx, ecx
    shl edx, 4
    mov [rsi + rdx], ax
    mov word [rsi + rdx + 2], cs
    mov word [rsi + rdx + 4], 0x8e00
    mov ebx, eax
    shr ebx, 16
    mov [rsi + rdx + 6], bx
    add rax, 16
    inc ecx
    cmp ecx, 0x100
    jb gate
    lidt [idt_register]
    ${
      apic === 'x2APIC'
        ? `mov ecx, 0x1b
    rdmsr
    or eax, 0xc00
    wrmsr
    mov ecx, 0x80f
    xor edx, edx
    mov eax, 0x1ff
    wrmsr`
        : 'mov r8d, 0xfee00000\n    mov dword [r8 + 0xf0], 0x1ff'
    }
    %macro self 1
      ${apic === 'x2APIC' ? 'mov ecx, 0x830\n xor edx, edx\n mov eax, 0x40000 + %1\n wrmsr' : 'mov dword [r8 + 0x300], 0x40000 + %1'}
    %endmacro
    %macro priority 1
      mov eax, %1
      mov cr8, rax
    %endmacro
`;
const epilogue = (apic: 'xAPIC' | 'x2APIC'): string => `
    mov byte [rdi], 0xff
    cli
    hlt
    align 16
handlers:
    %assign vector 0x30
    %rep 0xd0
      push rax
      mov al, vector
      jmp common
      align 16
      %assign vector vector + 1
    %endrep
common:
    mov [rdi], al
    inc edi
    push rcx
    push rdx
    ${apic === 'x2APIC' ? 'mov ecx, 0x80b\n xor eax, eax\n xor edx, edx\n wrmsr' : 'mov dword [r8 + 0xb0], 0'}
    pop rdx
    pop rcx
    pop rax
    iretq
idt_register:
    dw 256 * 16 - 1
    dq idt
    align 16
idt: times 256 * 16 db 0
`;

/** Vectors in the order of their handlers, then 0xff. */
function vectors(machine: KvmMachine): number[] {
  const { memory } = machine.host;
  const log: number[] = [];
  for (let address = LOG; memory.bytes[address] !== 0; address++) log.push(memory.bytes[address]!);
  return log;
}

const EVERY = IMPLEMENTED.eventInjection.flatMap((eventInjection) =>
  (['xAPIC', 'x2APIC'] as const).map((apic) => ({ eventInjection, apic })),
);

describe.each(EVERY)(
  'interrupts of the guest to itself, $eventInjection, $apic',
  ({ eventInjection, apic }) => {
    const run = (body: string, policies: Partial<Policies> = {}): KvmMachine => {
      const machine = createKvmMachine({
        code: prologue(apic) + body + epilogue(apic),
        policies: { eventInjection, ...policies },
      });
      machine.run(20_000);
      return machine;
    };

    it('come by priority once interrupts are enabled', () => {
      const machine = run('self 0x41\nself 0x93\nself 0x55\nself 0x94\nsti\nnop\nnop\n');
      expect(vectors(machine)).toEqual([0x94, 0x93, 0x55, 0x41, 0xff]);
    });

    it('come when the task priority no longer holds them back', () => {
      const machine = run(
        'sti\npriority 9\nself 0x41\nself 0x93\nself 0xa5\nmov byte [rdi], 1\ninc edi\npriority 5\nnop\nmov byte [rdi], 2\ninc edi\npriority 0\nnop\n',
      );
      expect(vectors(machine)).toEqual([0xa5, 1, 0x93, 2, 0x41, 0xff]);
    });

    it('wake a halted guest, also when they came before it halted', () => {
      const machine = run('self 0x60\nsti\nhlt\ncli\nself 0x61\nself 0x62\nsti\nhlt\ncli\n');
      expect(vectors(machine)).toEqual([0x60, 0x62, 0x61, 0xff]);
    });

    it('are not lost over trips to user space', () => {
      const machine = run(
        'self 0x70\nout 0x60, al\nself 0x71\nsti\nnop\nout 0x60, al\nself 0x72\nout 0x60, al\n',
      );
      expect(vectors(machine)).toEqual([0x71, 0x70, 0x72, 0xff]);
      expect(machine.ports).toHaveLength(3);
    });

    it('and software interrupts keep their order', () => {
      const machine = run('sti\nself 0x80\nint 0x90\nself 0x81\n');
      expect(vectors(machine)).toEqual([0x80, 0x90, 0x81, 0xff]);
    });
  },
);

describe('looking for events', () => {
  const checks = (eventInjection: Policies['eventInjection']): number => {
    const machine = createKvmMachine({
      code: 'mov ebx, 50\nagain: out 0x20, al\ndec ebx\njnz again\nhlt',
      policies: { eventInjection },
    });
    machine.run();
    return machine.thread.account.count(INJECTION_CHECK);
  };

  it('is done at every entry in 2.6.32, and hardly ever on request', () => {
    expect(checks('every-entry')).toBeGreaterThan(50);
    expect(checks('on-request')).toBeLessThanOrEqual(2);
  });
});
