import { describe, expect, it } from 'vitest';
import { CR0, EFER } from '../../src/architecture/control-registers.js';
import { MSR } from '../../src/architecture/msrs.js';
import { operation } from '../../src/host/cost/operations.js';
import { HOST_SYSCALL_MSRS } from '../../src/host/host-kernel.js';
import type { Policies } from '../../src/kvm/policies.js';
import { createKvmMachine } from './kvm-machine.js';

const RDMSR = operation('RDMSR');
const WRMSR = operation('WRMSR');
const IO_INSTRUCTION = 30;
const LONG_MODE = EFER.LME | EFER.LMA | EFER.NXE;

/** Guest values unlike the host's in every MSR that SYSCALL uses, then a heavy exit, then what SYSCALL would find. */
const SET_AND_CHECK = `
    %macro set 3
      mov ecx, %1
      mov edx, %2
      mov eax, %3
      wrmsr
    %endmacro
    set 0xc0000081, 0x00180008, 0
    set 0xc0000082, 0, 0x123000
    set 0xc0000083, 0, 0x456000
    set 0xc0000084, 0, 0x200
    set 0xc0000102, 0x11, 0x22222222
    out 0x60, al
    mov ecx, 0xc0000102
    rdmsr
    mov ebx, eax
    swapgs
    mov ecx, 0xc0000101
    rdmsr
    mov esi, eax
    swapgs
    jmp $`;

describe.each<Policies['syscallMsrs']>(['eager', 'shared'])('syscall MSRs, %s', (syscallMsrs) => {
  const policies = { syscallMsrs };

  it('are the guest’s when the guest uses them, after a trip to user space', () => {
    const machine = createKvmMachine({ code: SET_AND_CHECK, policies });
    machine.run(1000);
    expect(machine.ports).toHaveLength(1);
    expect(machine.vcpu.inGuest).toBe(true);
    const hardware = [MSR.STAR, MSR.LSTAR, MSR.CSTAR, MSR.SYSCALL_MASK, MSR.KERNEL_GS_BASE].map((index) =>
      machine.host.cpus[0]!.cpu.peekMsr(index),
    );
    expect(hardware).toEqual([0x0018000800000000n, 0x123000n, 0x456000n, 0x200n, 0x1122222222n]);
  });

  it('let SWAPGS exchange the guest’s own bases', () => {
    const machine = createKvmMachine({ code: SET_AND_CHECK, policies });
    machine.run(1000);
    const { gpr } = machine.kvm.getRegisters(machine.vcpu).general;
    expect(gpr[3]).toBe(0x22222222n);
    expect(gpr[6]).toBe(0x22222222n);
  });

  it('are the host’s in user space', () => {
    let seen: bigint[] = [];
    createKvmMachine({
      code: SET_AND_CHECK,
      policies,
      writePort: (machine) => {
        seen = HOST_SYSCALL_MSRS.map(([index]) => machine.host.cpus[0]!.cpu.peekMsr(index));
      },
    }).host.scheduler.run({ instructions: 1000 });
    expect(seen).toEqual(HOST_SYSCALL_MSRS.map(([, value]) => value));
  });
});

describe('MSR traffic of a port write that user space handles', () => {
  const traffic = (syscallMsrs: Policies['syscallMsrs'], efer: number): [number, number] => {
    const machine = createKvmMachine({
      code: 'out 0x60, al\nhlt',
      policies: { syscallMsrs },
      efer,
    });
    machine.run();
    const { account } = machine.thread;
    return [account.count(RDMSR, IO_INSTRUCTION), account.count(WRMSR, IO_INSTRUCTION)];
  };

  it('2.6.32: 8 reads, 10 writes with SYSCALL enabled', () => {
    expect(traffic('eager', LONG_MODE | EFER.SCE)).toEqual([8, 10]);
  });
  it('2.6.32: STAR is left alone without SYSCALL, but EFER is switched', () => {
    expect(traffic('eager', LONG_MODE)).toEqual([7, 10]);
  });
  it('shared: KERNEL_GS_BASE both ways, and the five values that differ', () => {
    // 3 reads and 1 + 4 writes in, 1 read and 1 write out, 4 writes on the way to user mode: STAR, LSTAR, CSTAR, FMASK.
    expect(traffic('shared', LONG_MODE | EFER.SCE)).toEqual([4, 10]);
  });
});

describe('the FPU', () => {
  const NM_EXIT = 0;
  const CR_EXIT = 28;
  const CR0_BOOT = CR0.PE | CR0.ET | CR0.NE | CR0.WP | CR0.PG;

  /** Loads the guest's registers from an image at 0x90000 that it fills with `byte`. */
  const loadImage = (byte: number): string => `
    mov edi, 0x90000
    mov ecx, 512
    mov al, ${byte}
    rep stosb
    mov dword [0x90018], 0x1f80
    fxrstor [0x90000]`;

  it('is the guest’s at once when CR0.TS is clear, and survives user space', () => {
    const machine = createKvmMachine({
      code: `${loadImage(0x5a)}
        out 0x60, al
        fxsave [0x91000]
        mov rax, [0x91000 + 32]
        hlt`,
    });
    machine.run();
    expect(machine.ports).toHaveLength(1);
    expect(machine.kvm.getRegisters(machine.vcpu).general.gpr[0]).toBe(0x5a5a5a5a5a5a5a5an);
  });

  it('is intercepted while the guest has CR0.TS set, without the guest seeing #NM', () => {
    const machine = createKvmMachine({ code: 'clts\nfninit\nhlt', cr0: CR0_BOOT | CR0.TS });
    machine.run();
    // CLTS exits and gives the guest its FPU.
    expect(machine.thread.account.exits[CR_EXIT]?.samples).toBe(1);
    expect(machine.thread.account.exits[NM_EXIT]).toBeUndefined();
    expect(machine.vcpu.fpuActive).toBe(true);
  });

  it('exits at the first use when the guest has left CR0.TS set, then the guest takes its own #NM', () => {
    const machine = createKvmMachine({ code: 'mov rax, cr0\nor al, 8\nmov cr0, rax\nfninit\nhlt' });
    machine.run();
    // There is no IDT, so the guest's #NM ends in a triple fault.
    expect(machine.thread.account.exits[NM_EXIT]?.samples).toBe(1);
    expect(machine.exits).toEqual([{ reason: 'shutdown' }]);
  });

  it('setting TS by MOV to CR0 takes it away again', () => {
    const machine = createKvmMachine({
      code: `
        mov rax, cr0
        or eax, 8
        mov cr0, rax
        mov rbx, cr0
        clts
        mov rcx, cr0
        hlt`,
    });
    machine.run();
    const { gpr } = machine.kvm.getRegisters(machine.vcpu).general;
    expect(gpr[3]! & 8n).toBe(8n);
    expect(gpr[1]! & 8n).toBe(0n);
    expect(machine.thread.account.exits[CR_EXIT]?.samples).toBe(2);
  });

  it('keeps the host thread’s registers as user space left them', () => {
    const image = Uint8Array.from({ length: 512 }, (_, index) => (index * 7) & 0xff);
    const machine = createKvmMachine({
      code: `${loadImage(0x11)}\nout 0x60, al\n${loadImage(0x22)}\nout 0x60, al\nhlt`,
    });
    machine.thread.setFpuState(image);
    // Every return to user mode compares the registers with the image.
    machine.run();
    expect(machine.ports).toHaveLength(2);
    expect(machine.vcpu.guestFpu[40]).toBe(0x22);
  });
});
