import { describe, expect, it } from 'vitest';
import { CR0, EFER } from '../../src/architecture/control-registers.js';
import { MSR } from '../../src/architecture/msrs.js';
import { operation } from '../../src/host/cost/operations.js';
import { HOST_SYSCALL_MSRS } from '../../src/host/host-kernel.js';
import { useFpuInUserMode } from '../../src/host/user-mode.js';
import type { Policies } from '../../src/kvm/policies.js';
import { createKvmMachine, type KvmMachine, type KvmMachineOptions } from './kvm-machine.js';

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

describe.each<Policies['syscallMsrs']>(['eager-rereading', 'eager', 'shared'])(
  'syscall MSRs, %s',
  (syscallMsrs) => {
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
  },
);

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
  it('before the eager switch of 2.6.32: five reads more', () => {
    expect(traffic('eager-rereading', LONG_MODE | EFER.SCE)).toEqual([13, 10]);
  });
  it('2.6.32: STAR is left alone without SYSCALL, but EFER is switched', () => {
    expect(traffic('eager', LONG_MODE)).toEqual([7, 10]);
  });
  it('shared: KERNEL_GS_BASE both ways, and the five values that differ', () => {
    // 3 reads and 1 + 4 writes in, 1 read and 1 write out, 4 writes on the way to user mode: STAR, LSTAR, CSTAR, FMASK.
    expect(traffic('shared', LONG_MODE | EFER.SCE)).toEqual([4, 10]);
  });
});

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

const exitsOf = (machine: KvmMachine, reason: number): number =>
  machine.thread.account.exits[reason]?.samples ?? 0;

const gprs = (machine: KvmMachine): readonly bigint[] => machine.kvm.getRegisters(machine.vcpu).general.gpr;

const FPU_POLICIES: Partial<Policies>[] = (['trapped', 'guest-owned'] as const).flatMap((taskSwitchedFlag) =>
  (['unconditional', 'unlazy-as-intended'] as const).map((hostFpu) => ({ taskSwitchedFlag, hostFpu })),
);

describe.each(FPU_POLICIES)('the FPU, $taskSwitchedFlag, host $hostFpu', (policies) => {
  const run = (code: string, options: Partial<KvmMachineOptions> = {}): KvmMachine => {
    const machine = createKvmMachine({ code, policies, ...options });
    machine.run();
    return machine;
  };

  it('keeps the guest’s registers over trips to user space', () => {
    const machine = run(`${loadImage(0x5a)}
      out 0x60, al
      out 0x60, al
      fxsave [0x91000]
      mov rax, [0x91000 + 32]
      hlt`);
    expect(machine.ports).toHaveLength(2);
    expect(gprs(machine)[0]).toBe(0x5a5a5a5a5a5a5a5an);
  });

  it.each([
    ['that user space does not use', () => {}],
    [
      'that user space uses in between',
      (machine: KvmMachine) => {
        const [host] = machine.host.cpus;
        useFpuInUserMode(host!, machine.thread, new Uint8Array(512).fill(machine.ports.length));
      },
    ],
  ])('keeps the host’s registers %s', (_what, writePort) => {
    // Every return to user mode compares the thread's registers with what its user code left in them.
    const machine = run(`${loadImage(0x11)}\nout 0x60, al\n${loadImage(0x22)}\nout 0x60, al\nhlt`, {
      writePort,
    });
    expect(machine.ports).toHaveLength(2);
    expect(machine.vcpu.guestFpu[40]).toBe(0x22);
  });

  it('is given to the guest by CLTS, without #NM', () => {
    const machine = run('mov rax, cr0\nor al, 8\nmov cr0, rax\nclts\nfninit\nhlt');
    expect(machine.kvm.halted).toBe(true);
    expect(machine.vcpu.fpuActive).toBe(true);
    expect(exitsOf(machine, NM_EXIT)).toBe(0);
  });

  it('shows the guest the CR0.TS that it set, also after a trip to user space', () => {
    const machine = run(`
      fninit
      mov rax, cr0
      or eax, 8
      mov cr0, rax
      mov rbx, cr0
      out 0x60, al
      mov rbp, cr0
      clts
      mov rcx, cr0
      out 0x60, al
      mov rsi, cr0
      hlt`);
    const gpr = gprs(machine);
    const taskSwitched = [3, 5, 1, 6].map((register) => gpr[register]! & 8n);
    expect(taskSwitched).toEqual([8n, 8n, 0n, 0n]);
  });

  it('lets the guest take its own #NM when it set CR0.TS', () => {
    const machine = run('fninit\nmov rax, cr0\nor al, 8\nmov cr0, rax\nfninit\nhlt');
    // There is no IDT, so the guest's #NM ends in a triple fault.
    expect(machine.exits).toEqual([{ reason: 'shutdown' }]);
  });

  it('works when the guest starts with CR0.TS set', () => {
    const machine = run('clts\nfninit\nhlt', { cr0: CR0_BOOT | CR0.TS });
    expect(machine.kvm.halted).toBe(true);
    expect(exitsOf(machine, CR_EXIT)).toBe(1);
  });
});

describe('exits for CR0.TS', () => {
  const SWITCHES = 10;
  const code = `
      fninit
      mov ebx, ${SWITCHES}
      mov rax, cr0
    .switch: or al, 8
      mov cr0, rax
      clts
      dec ebx
      jnz .switch
      hlt`;

  it('2.6.32: two for each task switch of the guest', () => {
    const machine = createKvmMachine({ code });
    machine.run();
    expect(exitsOf(machine, CR_EXIT)).toBe(2 * SWITCHES);
  });

  it('none while the guest owns the flag', () => {
    const machine = createKvmMachine({ code, policies: { taskSwitchedFlag: 'guest-owned' } });
    machine.run();
    expect(machine.kvm.halted).toBe(true);
    expect(exitsOf(machine, CR_EXIT)).toBe(0);
    // The first use of the FPU.
    expect(exitsOf(machine, NM_EXIT)).toBe(1);
  });

  it('cost VMREADs and VMWRITEs as the kernel’s code does', () => {
    const count = (options: Partial<KvmMachineOptions>, lines: string, reason: number): [number, number] => {
      const machine = createKvmMachine({ code: `${lines}\nhlt`, ...options });
      const operations = { VMREAD: 0, VMWRITE: 0 };
      machine.kvm.trace = {
        vmExit: (record) => {
          if (record.reason !== reason) return;
          const handler = record.stages.find(({ name }) => name.startsWith('kernel handler'))!;
          for (const { name, count: times } of handler.operations)
            if (name === 'VMREAD' || name === 'VMWRITE') operations[name] = times;
        },
      };
      machine.run();
      return [operations.VMREAD, operations.VMWRITE];
    };
    // Activation by #NM: GUEST_CR0 read and written, exception bitmap, mask of owned bits.
    const owned: Partial<KvmMachineOptions> = { policies: { taskSwitchedFlag: 'guest-owned' } };
    expect(count(owned, 'fninit', NM_EXIT)).toEqual([1, 3]);
    // CLTS in 2.6.32: the qualification and three reads to skip the instruction besides; shadow, and CR0 and bitmap.
    expect(count({}, 'mov rax, cr0\nor al, 8\nmov cr0, rax\nclts', CR_EXIT)).toEqual([1 + 3 + 1, 3]);
  });
});
