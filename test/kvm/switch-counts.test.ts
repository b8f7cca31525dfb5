/**
 * How many MSR and VMCS accesses the paths between host and guest take, by era: counted from the kernels' sources
 * (vmx_save_host_state, vmx_load_host_state, vmx_fpu_activate, vmx_fpu_deactivate, kvm_on_user_return).
 */

import { describe, expect, it } from 'vitest';
import { CR0, EFER } from '../../src/architecture/control-registers.js';
import { SEGMENT } from '../../src/architecture/registers.js';
import { operation } from '../../src/host/cost/operations.js';
import { STAGE, STAGE_NAMES, type Stage } from '../../src/host/stages.js';
import { activateFpu, deactivateFpu } from '../../src/kvm/fpu.js';
import { ERAS, type Era, type Policies } from '../../src/kvm/policies.js';
import { createScenario } from '../../src/machine/scenario/scenario.js';
import type { ExitRecord } from '../../src/trace/events.js';
import { guest } from '../machine/scenario/guests.js';
import { createKvmMachine, type KvmMachine, type KvmMachineOptions } from './kvm-machine.js';

const IO_INSTRUCTION = 30;
const CR_ACCESS = 28;
const LONG_MODE = EFER.LME | EFER.LMA | EFER.NXE;
const COUNTED = ['RDMSR', 'WRMSR', 'VMREAD', 'VMWRITE', 'SLDT', 'LTR', 'LGDT', 'CLTS', 'MOV to CR0'] as const;

type Counts = Partial<Record<(typeof COUNTED)[number], number>>;

function countsOf(record: ExitRecord, stages: readonly Stage[]): Counts {
  const counts: Counts = {};
  for (const stage of stages)
    for (const { name, count } of record.stages.find(({ name }) => name === STAGE_NAMES[stage])?.operations ??
      [])
      if ((COUNTED as readonly string[]).includes(name))
        counts[name as keyof Counts] = (counts[name as keyof Counts] ?? 0) + count;
  return counts;
}

function exitsOf(options: KvmMachineOptions, reason: number): ExitRecord[] {
  const machine = createKvmMachine(options);
  const records: ExitRecord[] = [];
  machine.kvm.trace = { vmExit: (record) => records.push(record) };
  machine.run();
  return records.filter((record) => record.reason === reason);
}

/** The second of two port writes that user space handles: the FPU is never used. */
const heavyExit = (era: Era, efer: number, policies: Partial<Policies> = {}): ExitRecord =>
  exitsOf({ code: 'out 0x60, al\nout 0x60, al\nhlt', era, efer, policies }, IO_INSTRUCTION)[1]!;

describe('a port write that user space handles, without use of the FPU', () => {
  const unused = { taskSwitchedFlag: 'guest-owned' } as const;
  const toHost = (record: ExitRecord): Counts => countsOf(record, [STAGE.HOST_STATE_RESTORED]);
  const toGuest = (record: ExitRecord): Counts => countsOf(record, [STAGE.GUEST_STATE_RELOADED]);

  it('2.6.32: the whole list each way, EFER besides when it differs', () => {
    const same = heavyExit('2.6.32', LONG_MODE | EFER.SCE, unused);
    expect(toHost(same)).toEqual({ RDMSR: 5, WRMSR: 5, LTR: 1, LGDT: 1 });
    expect(toGuest(same)).toEqual({ RDMSR: 3, WRMSR: 5, VMWRITE: 4, SLDT: 1 });
    // Without SYSCALL the guest's STAR does not matter, but its EFER does.
    const different = heavyExit('2.6.32', LONG_MODE, unused);
    expect(toHost(different)).toEqual({ RDMSR: 4, WRMSR: 4 + 1, LTR: 1, LGDT: 1 });
    expect(toGuest(different)).toEqual({ RDMSR: 3, WRMSR: 4 + 1, VMWRITE: 4, SLDT: 1 });
  });

  it.each<Era>(['2.6.35', '2.6.37'])('%s: KERNEL_GS_BASE, and what differs', (era) => {
    const differing = 4;
    const record = heavyExit(era, LONG_MODE | EFER.SCE);
    // The host's values come back on the way to user mode.
    expect(toHost(record)).toEqual({ RDMSR: 1, WRMSR: 1 + differing, LTR: 1, LGDT: 1 });
    expect(toGuest(record)).toEqual({ RDMSR: 3, WRMSR: 1 + differing, VMWRITE: 4, SLDT: 1 });
  });

  it('3.x corrects CR0.TS when nobody owns the FPU', () => {
    const record = heavyExit('3.x', LONG_MODE | EFER.SCE);
    expect(toHost(record)).toEqual({ RDMSR: 1, WRMSR: 5, LTR: 1, LGDT: 1, 'MOV to CR0': 1 });
  });
});

describe('a light exit for OUT to a device in the kernel', () => {
  const light = (era: Era): Counts => {
    const record = exitsOf({ code: 'out 0x20, al\nout 0x20, al\nhlt', era }, IO_INSTRUCTION)[1]!;
    expect(record.weight).toBe('light');
    return countsOf(record, Object.values(STAGE));
  };

  it('2.6.32: CR3 and the host’s CR0 written, the task-priority threshold too', () => {
    // Vectoring, reason, CR3, qualification, RIP, instruction length, interruptibility; RIP, CR3, CR0, threshold.
    expect(light('2.6.32')).toEqual({ VMREAD: 7, VMWRITE: 4 });
  });

  it('2.6.37: nine reads, and RIP written', () => {
    // With the interruption information and the TSC offset.
    expect(light('2.6.37')).toEqual({ VMREAD: 9, VMWRITE: 1 });
  });

  it('3.x no longer reloads DS and ES', () => {
    const loads = (era: Era): number =>
      exitsOf({ code: 'out 0x20, al\nhlt', era }, IO_INSTRUCTION)[0]!
        .stages.flatMap(({ operations }) => operations)
        .filter(({ name }) => name === 'load segment register')
        .reduce((sum, { count }) => sum + count, 0);
    expect(loads('2.6.37')).toBe(2);
    expect(loads('3.x')).toBe(0);
    // A VM that leaves user selectors in them makes the next one put them back.
    const image = guest('mov ebx, 50\nagain: out 0xb0, al\ndec ebx\njnz again\nxor eax, eax\nout 0xf4, al');
    const scenario = createScenario({
      vms: (['every-exit', 'host-switch'] as const).map((userSegments) => ({
        image,
        memoryBytes: 4 * 2 ** 20,
        placement: [0],
        policies: { userSegments },
      })),
      timeSliceInCycles: 100_000,
    });
    scenario.run();
    const { state } = scenario.host.cpus[0]!.cpu.processor;
    expect([state.segment(SEGMENT.DS).selector, state.segment(SEGMENT.ES).selector]).toEqual([0x2b, 0x2b]);
  });

  it('6.x: neither CR3 nor the interruption information is read', () => {
    expect(light('6.x')).toEqual({ VMREAD: 6, VMWRITE: 1 });
  });
});

describe('the FPU', () => {
  /** Accesses that `work` on the vCPU of a stopped machine takes. */
  const accesses = (machine: KvmMachine, work: (machine: KvmMachine) => void): Counts => {
    const counts = (): [number, number] => {
      const { cpu } = machine.vcpu;
      return [cpu.account.count(operation('VMREAD')), cpu.account.count(operation('VMWRITE'))];
    };
    const [reads, writes] = counts();
    work(machine);
    const [readsAfter, writesAfter] = counts();
    return { VMREAD: readsAfter - reads, VMWRITE: writesAfter - writes };
  };

  it.each<Era>(['2.6.35', '2.6.37', '3.x'])(
    '%s: is taken away with 2 reads and 4 writes, given with 1 and 3',
    (era) => {
      const machine = createKvmMachine({ code: 'fninit\njmp $', era });
      machine.run(1000);
      expect(machine.vcpu.fpuActive).toBe(true);
      expect(accesses(machine, ({ vcpu }) => deactivateFpu(vcpu))).toEqual({ VMREAD: 2, VMWRITE: 4 });
      expect(accesses(machine, ({ vcpu }) => activateFpu(vcpu))).toEqual({ VMREAD: 1, VMWRITE: 3 });
    },
  );

  it('2.6.32: a change of CR0.TS takes it away, and gives it back when TS is clear', () => {
    const records = exitsOf(
      { code: 'mov rax, cr0\nor al, 8\nmov cr0, rax\nand al, 0xf7\nmov cr0, rax\nhlt' },
      CR_ACCESS,
    );
    // The qualification and three reads to skip the instruction; CR0 read and written, bitmap, read shadow, CR0.
    const handled = records.map((record) => countsOf(record, [STAGE.KERNEL_HANDLER]));
    expect(handled).toEqual([
      { VMREAD: 4 + 1, VMWRITE: 4 },
      { VMREAD: 4 + 1, VMWRITE: 4 },
    ]);
  });

  it('eager: is neither taken away nor given', () => {
    const machine = createKvmMachine({ code: 'fninit\njmp $', era: '6.x' });
    machine.run(1000);
    expect(accesses(machine, ({ vcpu }) => deactivateFpu(vcpu))).toEqual({ VMREAD: 0, VMWRITE: 0 });
    expect(machine.vcpu.fpuActive).toBe(true);
  });

  it.each<[Policies['hostFpu'], host: Counts, guest: Counts]>([
    // The last exit set the flag although the thread owns the registers.
    ['unconditional', { CLTS: 1 }, { CLTS: 1 }],
    // Here, too, CLTS because the thread owns them; then STTS, and the host #NM of FXRSTOR: CLTS.
    ['unlazy-as-shipped', { CLTS: 1 }, { CLTS: 1, 'MOV to CR0': 1 }],
    // STTS when the guest's are saved.
    ['unlazy-as-intended', { 'MOV to CR0': 1 }, { CLTS: 1 }],
    ['eager', {}, {}],
  ])('%s: sets and clears CR0.TS of the host', (hostFpu, host, guest) => {
    const [, record] = exitsOf(
      {
        code: 'fninit\nout 0x60, al\nfninit\nout 0x60, al\nfninit\nhlt',
        era: '2.6.37',
        policies: { hostFpu, taskSwitchedFlag: 'trapped' },
        cr0: CR0.PE | CR0.ET | CR0.NE | CR0.WP | CR0.PG,
      },
      IO_INSTRUCTION,
    );
    const flag = (stage: Stage): Counts => {
      const { CLTS, 'MOV to CR0': write } = countsOf(record!, [stage]);
      return {
        ...(CLTS === undefined ? {} : { CLTS }),
        ...(write === undefined ? {} : { 'MOV to CR0': write }),
      };
    };
    expect(flag(STAGE.HOST_STATE_RESTORED)).toEqual(host);
    expect(flag(STAGE.GUEST_STATE_RELOADED)).toEqual(guest);
  });
});

describe('eras', () => {
  it('name the extra host #NM of unlazy_fpu as shipped in the trace and count it', () => {
    const machine = createKvmMachine({ code: 'fninit\nout 0x60, al\nfninit\nhlt', era: '2.6.37' });
    const actions: string[] = [];
    machine.kvm.trace = { vmExit: (record) => actions.push(...record.actions) };
    machine.run();
    expect(ERAS['2.6.37'].hostFpu).toBe('unlazy-as-shipped');
    expect(machine.kvm.vm.statistics.hostFpuFaults).toBe(2);
    expect(actions.filter((action) => action.startsWith('host #NM'))).toHaveLength(2);
    expect(actions.filter((action) => action === 'guest FPU registers unloaded')).toHaveLength(2);
  });
});
