import { describe, expect, it } from 'vitest';
import { CR0, CR4, EFER } from '../../src/architecture/control-registers.js';
import { CPUID_1_ECX, CPUID_1_EDX } from '../../src/architecture/cpuid-features.js';
import { MSR } from '../../src/architecture/msrs.js';
import { GPR, SEGMENT } from '../../src/architecture/registers.js';
import { RFLAGS } from '../../src/architecture/rflags.js';
import { VECTOR } from '../../src/architecture/vectors.js';
import type { MsrDevice } from '../../src/processor/core.js';
import { STATE } from '../../src/processor/state/layout.js';
import { createCpuid } from '../../src/processor/system/cpuid-model.js';
import { readMsr, writeMsr } from '../../src/processor/system/msr-registers.js';
import { skipNote } from '../support/tools.js';
import { LAYOUT, RecordingIntercepts, SELECTOR, SystemGuest } from './system-guest.js';

const skipped = skipNote('nasm');
const { GP, UD } = VECTOR;
const LONG_CR0 = (CR0.PE | CR0.NE | CR0.WP | CR0.PG | CR0.ET) >>> 0;
const GENERAL_PROTECTION = { vector: GP, errorCode: 0, rip: BigInt(LAYOUT.CODE) };

function stepWith(text: string, rax: bigint, prepare?: (guest: SystemGuest) => void): SystemGuest {
  const guest = new SystemGuest();
  guest.state.writeGpr(GPR.RAX, rax);
  prepare?.(guest);
  guest.step(text);
  return guest;
}

describe.skipIf(skipped !== '')(`control registers (SDM Vol. 2B, MOV CR; Vol. 3A, 2.5)${skipped}`, () => {
  it.each([
    ['bits 63:32', 1n << 32n],
    ['PG without PE', BigInt(CR0.PG)],
    ['NW without CD', BigInt(LONG_CR0 | CR0.NW)],
    ['PG cleared in 64-bit mode', BigInt(CR0.PE | CR0.ET)],
  ])('MOV CR0 refuses %s', (_name, value) => {
    expect(stepWith('mov cr0, rax', BigInt.asUintN(64, value)).frame).toMatchObject(GENERAL_PROTECTION);
  });

  it('MOV CR0 keeps ET set and ignores reserved bits 31:0 that do not exist', () => {
    const guest = stepWith('mov cr0, rax', BigInt((LONG_CR0 | CR0.TS | 0x40) & ~CR0.ET) & 0xffffffffn);
    expect(guest.state.cr0).toBe((LONG_CR0 | CR0.TS) >>> 0);
  });

  it.each([
    ['an unknown bit', 1n << 40n],
    ['VMXE without VT-x', BigInt(CR4.PAE | CR4.VMXE)],
    ['SMAP, which CPUID does not report', BigInt(CR4.PAE | CR4.SMAP)],
    ['PAE cleared in IA-32e mode', BigInt(CR4.OSFXSR)],
  ])('MOV CR4 refuses %s', (_name, value) => {
    expect(stepWith('mov cr4, rax', value).frame).toMatchObject(GENERAL_PROTECTION);
  });

  it('MOV CR4 accepts what is reported', () => {
    const value = CR4.PAE | CR4.PGE | CR4.OSFXSR | CR4.TSD | CR4.DE;
    expect(stepWith('mov cr4, rax', BigInt(value)).state.cr4).toBe(value);
  });

  it('MOV CR3 refuses bits beyond MAXPHYADDR, and flushes translations', () => {
    expect(stepWith('mov cr3, rax', 1n << 40n).frame).toMatchObject(GENERAL_PROTECTION);
    const guest = new SystemGuest();
    // A second set of tables: its first gigabyte maps the page with DATA to 0.
    guest.machine.memory.bytes.copyWithin(0x300000, 0x1000, 0x4000);
    guest.write64(0x300000, 0x301007n);
    guest.write64(0x301000, 0x302007n);
    guest.write64(0x302008, 0x87n);
    guest.write64(LAYOUT.DATA, 0x1111n);
    guest.write64(0, 0x2222n);
    guest.run(
      `mov rbx, ${LAYOUT.DATA}; mov rcx, [rbx]; mov eax, 0x300000; mov cr3, rax; mov rdx, [rbx]; hlt`,
    );
    expect([guest.state.readGpr(GPR.RCX), guest.state.readGpr(GPR.RDX)]).toEqual([0x1111n, 0x2222n]);
  });

  it('CR8 has four bits', () => {
    expect(stepWith('mov cr8, rax', 16n).frame).toMatchObject(GENERAL_PROTECTION);
    const guest = new SystemGuest();
    guest.run('mov eax, 9; mov cr8, rax; mov rcx, cr8; hlt');
    expect(guest.state.readGpr(GPR.RCX)).toBe(9n);
  });

  it('CR8 is the task priority of the interrupt source, or the TPR shadow in non-root operation', () => {
    let priority = 3;
    const guest = new SystemGuest({
      interrupts: {
        pending: () => false,
        acknowledge: () => 0,
        taskPriority: {
          read: () => priority,
          write: (value) => {
            priority = value;
          },
        },
      },
    });
    guest.run('mov rcx, cr8; mov eax, 5; mov cr8, rax; hlt');
    expect(guest.state.readGpr(GPR.RCX)).toBe(3n);
    expect(priority).toBe(5);
  });

  it.each(['mov rax, cr1', 'mov cr5, rax'])('%s is invalid', (text) => {
    const number = text.includes('cr1') ? 0xc8 : 0xe8;
    const guest = stepWith(`db 0x0f, ${text.startsWith('mov cr') ? 0x22 : 0x20}, ${number}`, 0n);
    expect(guest.frame?.vector).toBe(UD);
  });

  it('CLTS clears TS; LMSW sets PE … TS but does not clear PE; SMSW reads CR0', () => {
    const guest = new SystemGuest();
    guest.state.cr0 |= CR0.TS;
    guest.processor.caches.modeChanged();
    guest.run('smsw rax; clts; smsw ecx; mov dx, 0xfffa; lmsw dx; smsw ebx; hlt');
    expect(guest.state.readGpr(GPR.RAX)).toBe(BigInt((LONG_CR0 & ~CR0.ET) | CR0.TS) & 0xffffffffn);
    expect(guest.state.readGpr(GPR.RCX) & 8n).toBe(0n);
    expect(guest.state.readGpr(GPR.RBX) & 15n).toBe(11n);
  });

  it('in non-root operation CR0 and CR4 read through the shadow, and the merged value is loaded', () => {
    const guest = new SystemGuest();
    const intercepts = new RecordingIntercepts();
    guest.processor.intercepts = intercepts.face;
    guest.run('mov rcx, cr0; smsw edx; mov rbx, cr4; hlt');
    expect(guest.state.readGpr(GPR.RCX)).toBe(0x80050033n);
    expect(guest.state.readGpr(GPR.RDX)).toBe(0x80050033n);
    expect(guest.state.readGpr(GPR.RBX)).toBe(0x2020n);
    const merged = stepWith('mov cr0, rax', 0n, (other) => {
      intercepts.face.writeCr0 = () => BigInt(LONG_CR0 | CR0.TS) & 0xffffffffn;
      other.processor.intercepts = intercepts.face;
    });
    expect(merged.state.cr0).toBe((LONG_CR0 | CR0.TS) >>> 0);
  });

  it('VMX operation fixes bits (SDM Vol. 3C, 23.8)', () => {
    const guest = stepWith('mov cr0, rax', BigInt(LONG_CR0 & ~CR0.NE) & 0xffffffffn, (other) => {
      other.processor.vmx = {
        active: true,
        capability: (index) => (index === MSR.VMX_CR0_FIXED0 ? 0x80000021n : 0xffffffffn),
        execute: () => 0,
      };
    });
    expect(guest.frame).toMatchObject(GENERAL_PROTECTION);
  });

  it('paging with EFER.LME enters IA-32e mode, clearing it leaves (Vol. 3A, 9.8.5)', () => {
    const guest = new SystemGuest();
    const { state, processor } = guest;
    state.cr0 = CR0.PE | CR0.ET | CR0.NE;
    state.efer = EFER.LME | EFER.NXE;
    state.segment(SEGMENT.CS).accessRights = 0xc09b;
    processor.caches.modeChanged();
    state.writeGpr(GPR.RAX, BigInt(CR0.PG | CR0.PE | CR0.ET) & 0xffffffffn);
    guest.step('mov cr0, eax', 32);
    expect(state.efer & EFER.LMA).toBe(EFER.LMA);
    state.writeGpr(GPR.RAX, BigInt(CR0.PE));
    state.rip = BigInt(LAYOUT.CODE);
    processor.step();
    expect(state.efer & EFER.LMA).toBe(0);
    state.cr4 &= ~CR4.PAE;
    state.writeGpr(GPR.RAX, BigInt(CR0.PG | CR0.PE) & 0xffffffffn);
    state.rip = BigInt(LAYOUT.CODE);
    processor.intercepts = new RecordingIntercepts('exception').face;
    processor.intercepts.writeCr0 = (_instruction, value) => value;
    expect(processor.step().kind).toBe('vm-exit');
    expect(state.efer & EFER.LMA).toBe(0);
  });

  it('INVLPG drops one translation', () => {
    const guest = new SystemGuest();
    guest.write64(LAYOUT.DATA, 0x1111n);
    guest.write64(0, 0x2222n);
    const entry = 0x3000 + 8;
    guest.run(
      `mov rbx, ${LAYOUT.DATA}; mov rcx, [rbx]; mov qword [${entry}], 0x87; invlpg [rbx]; mov rdx, [rbx]; hlt`,
    );
    expect([guest.state.readGpr(GPR.RCX), guest.state.readGpr(GPR.RDX)]).toEqual([0x1111n, 0x2222n]);
  });
});

describe.skipIf(skipped !== '')(`debug registers (SDM Vol. 3B, 17.2)${skipped}`, () => {
  it('DR6 and DR7 have fixed bits; DR4 and DR5 are their other names', () => {
    const guest = new SystemGuest();
    guest.run(
      'xor eax, eax; mov dr6, rax; mov dr7, rax; mov rcx, dr6; mov rdx, dr7; db 0x0f, 0x21, 0xe3; hlt',
    );
    expect(guest.state.readGpr(GPR.RCX)).toBe(0xffff0ff0n);
    expect(guest.state.readGpr(GPR.RDX)).toBe(0x400n);
    expect(guest.state.readGpr(GPR.RBX)).toBe(0xffff0ff0n);
  });

  it('DR4 is invalid with CR4.DE; upper halves of DR6 and DR7 must be zero', () => {
    const guest = stepWith('db 0x0f, 0x21, 0xe3', 0n, (other) => {
      other.state.cr4 |= CR4.DE;
    });
    expect(guest.frame?.vector).toBe(UD);
    expect(stepWith('mov dr7, rax', 1n << 32n).frame).toMatchObject(GENERAL_PROTECTION);
  });

  it('DR7.GD raises #DB with DR6.BD and is cleared', () => {
    const guest = stepWith('mov rax, dr0', 0n, (other) => other.state.write64(STATE.DEBUG + 56, 0x2400n));
    expect(guest.frame).toMatchObject({ vector: VECTOR.DB, rip: BigInt(LAYOUT.CODE) });
    expect(guest.state.read64(STATE.DEBUG + 48) & 0x2000n).toBe(0x2000n);
    expect(guest.state.read64(STATE.DEBUG + 56)).toBe(0x400n);
  });
});

describe('model-specific registers (SDM Vol. 4)', () => {
  it.each([
    ['LSTAR', 0xffffffff81000000n, 1n << 47n],
    ['CSTAR', 0x1000n, 1n << 63n],
    ['KERNEL_GS_BASE', 0xffff880000000000n, 1n << 62n],
    ['FS_BASE', 0x7fff00000000n, 1n << 48n],
    ['GS_BASE', 0x10n, 0x800000000000n],
    ['SYSENTER_EIP', 0xffff800000000000n, 0x8000_0000_0000_0000n],
    ['SYSENTER_ESP', 0x5000n, 1n << 50n],
    ['SYSCALL_MASK', 0x47700n, 1n << 32n],
    ['TSC_AUX', 0xffffffffn, 1n << 32n],
    ['PAT', 0x0007040600070406n, 2n],
    ['EFER', 0xd00n, 2n],
    ['APIC_BASE', 0xfee00d00n, 1n],
  ] as const)('%s', (name, good, bad) => {
    const { processor } = new SystemGuest();
    const index = MSR[name];
    const before = readMsr(processor, index);
    expect(writeMsr(processor, index, bad)).toBe(false);
    expect(readMsr(processor, index)).toBe(before);
    expect(writeMsr(processor, index, good)).toBe(true);
    expect(readMsr(processor, index)).toBe(good);
  });

  it('FS_BASE and GS_BASE are the bases of the segments', () => {
    const { processor, state } = new SystemGuest();
    writeMsr(processor, MSR.GS_BASE, 0x1234n);
    expect(state.segment(SEGMENT.GS).base).toBe(0x1234n);
  });

  it('EFER: LMA is read-only, LME is fixed while paging is on', () => {
    const { processor, state } = new SystemGuest();
    expect(writeMsr(processor, MSR.EFER, BigInt(EFER.SCE))).toBe(false);
    expect(writeMsr(processor, MSR.EFER, BigInt(EFER.LME))).toBe(true);
    expect(state.efer).toBe(EFER.LME | EFER.LMA);
  });

  it('APIC_BASE: x2APIC mode is entered from the enabled state and left by disabling', () => {
    const { processor } = new SystemGuest();
    expect(writeMsr(processor, MSR.APIC_BASE, 0xfee00c00n)).toBe(true);
    expect(writeMsr(processor, MSR.APIC_BASE, 0xfee00800n)).toBe(false);
    expect(writeMsr(processor, MSR.APIC_BASE, 0xfee00400n)).toBe(false);
    expect(writeMsr(processor, MSR.APIC_BASE, 0xfee00000n)).toBe(true);
    expect(writeMsr(processor, MSR.APIC_BASE, 0xfee00c00n)).toBe(false);
  });

  it('the time-stamp counter goes on from the written value', () => {
    const { processor } = new SystemGuest();
    processor.timeStampCounter = 1000;
    expect(writeMsr(processor, MSR.TIME_STAMP_COUNTER, 50n)).toBe(true);
    processor.timeStampCounter += 7;
    expect(readMsr(processor, MSR.TIME_STAMP_COUNTER)).toBe(57n);
    expect(processor.timeStampCounter).toBe(1007);
  });

  it('the time-stamp counter can be written down and read across 2^64', () => {
    const { processor } = new SystemGuest();
    writeMsr(processor, MSR.TIME_STAMP_COUNTER, 0xffffffffffffffffn);
    processor.timeStampCounter += 2;
    expect(readMsr(processor, MSR.TIME_STAMP_COUNTER)).toBe(1n);
  });

  it('unknown registers fail', () => {
    const { processor } = new SystemGuest();
    for (const index of [0x123456, MSR.VMX_BASIC, MSR.X2APIC_BASE, MSR.TSC_DEADLINE, MSR.FEATURE_CONTROL]) {
      expect(readMsr(processor, index)).toBeUndefined();
      expect(writeMsr(processor, index, 0n)).toBe(false);
    }
    expect(writeMsr(processor, MSR.MTRRCAP, 0n)).toBe(false);
  });

  it('devices are asked first', () => {
    const { processor } = new SystemGuest();
    const written: bigint[] = [];
    const device: MsrDevice = {
      read: (index) => (index === 0x808 ? 0x20n : undefined),
      write: (index, value) => index === 0x808 && written.push(value) > 0,
    };
    Object.assign(processor, { msrDevices: [device] });
    expect(readMsr(processor, 0x808)).toBe(0x20n);
    expect(writeMsr(processor, 0x808, 5n)).toBe(true);
    expect(written).toEqual([5n]);
    expect(writeMsr(processor, 0x809, 5n)).toBe(false);
  });
});

describe.skipIf(skipped !== '')(`RDMSR, WRMSR, RDTSC (SDM Vol. 2)${skipped}`, () => {
  it('move EDX:EAX and clear the upper halves', () => {
    const guest = new SystemGuest();
    for (const register of [GPR.RAX, GPR.RDX]) guest.state.writeGpr(register, -1n & 0xffffffff_ffffffffn);
    guest.run(`mov ecx, ${MSR.LSTAR}; mov eax, 0x81000000; mov edx, -1; wrmsr; mov edx, 0; rdmsr; hlt`);
    expect(guest.state.read64(STATE.LSTAR)).toBe(0xffffffff81000000n);
    expect(guest.state.readGpr(GPR.RAX)).toBe(0x81000000n);
    expect(guest.state.readGpr(GPR.RDX)).toBe(0xffffffffn);
  });

  it('RDMSR of an unknown register and WRMSR of a bad value raise #GP(0)', () => {
    const unknown = stepWith('rdmsr', 0n, (guest) => guest.state.writeGpr(GPR.RCX, 0x9999n));
    expect(unknown.frame).toMatchObject(GENERAL_PROTECTION);
    const bad = stepWith('wrmsr', 0n, (guest) => {
      guest.state.writeGpr(GPR.RCX, BigInt(MSR.LSTAR));
      guest.state.writeGpr(GPR.RDX, 0x8000n);
    });
    expect(bad.frame).toMatchObject(GENERAL_PROTECTION);
  });

  it('RDTSC adds the offset of VMX, RDTSCP gives TSC_AUX, CR4.TSD restricts both', () => {
    const guest = new SystemGuest();
    guest.processor.timeStampCounter = 0x1_0000_0000;
    guest.writeMsr('TSC_AUX', 77n);
    const intercepts = new RecordingIntercepts();
    Object.defineProperty(intercepts.face, 'tscOffset', { value: 0x100n });
    guest.processor.intercepts = intercepts.face;
    guest.step('rdtscp');
    expect(guest.state.readGpr(GPR.RDX)).toBe(1n);
    expect(guest.state.readGpr(GPR.RCX)).toBe(77n);
    expect(guest.state.readGpr(GPR.RAX)).toBeGreaterThanOrEqual(0n);
    for (const text of ['rdtsc', 'rdtscp']) {
      const restricted = stepWith(text, 0n, (other) => {
        other.enterUser();
        other.state.cr4 |= CR4.TSD;
      });
      expect(restricted.frame).toMatchObject({ vector: GP, errorCode: 0 });
    }
  });

  it('RDTSCP is invalid in non-root operation unless it is enabled (Vol. 3C, 25.3)', () => {
    const guest = stepWith('rdtscp', 0n, (other) => {
      const { face } = new RecordingIntercepts('rdtscp');
      other.processor.intercepts = Object.create(face, { rdtscpEnabled: { value: false } });
    });
    expect(guest.frame?.vector).toBe(UD);
  });

  it('RDPMC finds no counter', () => {
    expect(stepWith('rdpmc', 0n).frame).toMatchObject(GENERAL_PROTECTION);
  });

  it('CPUID clears upper halves, and its APIC and OSXSAVE bits follow the state', () => {
    const guest = new SystemGuest();
    guest.state.writeGpr(GPR.RBX, -1n & 0xffffffff_ffffffffn);
    guest.run('mov eax, 1; cpuid; hlt');
    expect(guest.state.readGpr(GPR.RBX) >> 32n).toBe(0n);
    expect(guest.state.readGpr32(GPR.RDX) & CPUID_1_EDX.APIC).toBe(CPUID_1_EDX.APIC);
    const disabled = new SystemGuest();
    disabled.state.write64(STATE.APIC_BASE, 0xfee00000n);
    disabled.run('mov eax, 1; cpuid; hlt');
    expect(disabled.state.readGpr32(GPR.RDX) & CPUID_1_EDX.APIC).toBe(0);
  });

  it.each(['monitor', 'mwait', 'xgetbv', 'xsetbv', 'clac', 'rdrand eax', 'xsave [rax]', 'rsm'])(
    '%s is invalid, because CPUID does not report it',
    (text) => {
      expect(stepWith(text, 0n).frame?.vector).toBe(UD);
    },
  );
});

describe('the CPUID model (SDM Vol. 2A, CPUID)', () => {
  const cpuid = createCpuid();
  const text = (...words: number[]): string =>
    String.fromCharCode(...words.flatMap((word) => [0, 8, 16, 24].map((shift) => (word >>> shift) & 0xff)));

  it('is GenuineIntel, family 6, model 1AH', () => {
    const { eax, ebx, ecx, edx } = cpuid(0, 0);
    expect(eax).toBe(0xb);
    expect(text(ebx, edx, ecx)).toBe('GenuineIntel');
    expect(cpuid(1, 0).eax).toBe(0x106a5);
  });

  it('reports VMX, x2APIC and TSC deadline, and no hypervisor', () => {
    const { ecx } = cpuid(1, 0);
    const wanted = CPUID_1_ECX.VMX | CPUID_1_ECX.X2APIC | CPUID_1_ECX.TSC_DEADLINE;
    expect(ecx & wanted).toBe(wanted);
    expect(ecx & CPUID_1_ECX.HYPERVISOR).toBe(0);
  });

  it('has a brand string of 48 bytes and 40/48 address bits', () => {
    const words = [2, 3, 4].flatMap((n) => {
      const { eax, ebx, ecx, edx } = cpuid(0x80000000 + n, 0);
      return [eax, ebx, ecx, edx];
    });
    expect(text(...words).replace(/\0+$/, '')).toBe('exitscope i7-class processor @ 2.60GHz');
    expect(cpuid(0x80000008, 0).eax).toBe(0x3028);
  });

  it('describes caches in leaf 4 and levels in leaf 0xB', () => {
    const sizes = [0, 1, 2, 3].map((n) => {
      const { ebx, ecx } = cpuid(4, n);
      return ((ebx >>> 22) + 1) * ((ebx & 0xfff) + 1) * (ecx + 1);
    });
    expect(sizes).toEqual([32 << 10, 32 << 10, 256 << 10, 8 << 20]);
    expect(cpuid(4, 4).eax & 31).toBe(0);
    expect([0, 1, 2].map((n) => cpuid(0xb, n).ecx)).toEqual([0x100, 0x201, 2]);
  });

  it('gives the highest basic leaf for leaves out of range', () => {
    expect(cpuid(0x40000000, 0)).toEqual(cpuid(0xb, 0));
    expect(cpuid(0x80000009, 1)).toEqual(cpuid(0xb, 1));
  });
});

describe.skipIf(skipped !== '')(`fast system calls (SDM Vol. 2B; Vol. 3A, 5.8.7 and 5.8.8)${skipped}`, () => {
  const target = BigInt(LAYOUT.CALL_TARGET);

  function atUser(): SystemGuest {
    const guest = new SystemGuest();
    guest.writeMsr('LSTAR', target);
    guest.writeMsr('SYSCALL_MASK', BigInt(RFLAGS.IF | RFLAGS.DF));
    guest.writeMsr('SYSENTER_CS', BigInt(SELECTOR.CODE64));
    guest.writeMsr('SYSENTER_EIP', target);
    guest.writeMsr('SYSENTER_ESP', BigInt(LAYOUT.RING0_STACK));
    guest.enterUser();
    guest.state.rflags = RFLAGS.FIXED | RFLAGS.IF | RFLAGS.DF | RFLAGS.CF | RFLAGS.IOPL;
    return guest;
  }

  it('SYSCALL saves RIP and RFLAGS, masks flags, loads fixed segments', () => {
    const guest = atUser();
    guest.step('syscall');
    const { state } = guest;
    expect(state.rip).toBe(target);
    expect(state.readGpr(GPR.RCX)).toBe(BigInt(LAYOUT.CODE + 2));
    expect(state.readGpr(GPR.R11)).toBe(0x3603n);
    expect(state.rflags).toBe(0x3003);
    expect(state.segment(SEGMENT.CS)).toMatchObject({
      selector: 8,
      base: 0n,
      limit: 0xffffffff,
      accessRights: 0xa09b,
    });
    expect(state.segment(SEGMENT.SS)).toMatchObject({ selector: 16, accessRights: 0xc093 });
    expect(state.readGpr(GPR.RSP)).toBe(BigInt(LAYOUT.USER_STACK));
  });

  it.each([
    ['o64 sysret', 0xa0fb, SELECTOR.USER_CODE64 | 3, 0x7fff_1234_5678n],
    ['sysret', 0xc0fb, SELECTOR.USER_CODE32 | 3, 0x1234_5678n],
  ])('%s goes to level 3', (text, accessRights, selector, rip) => {
    const guest = new SystemGuest();
    guest.state.writeGpr(GPR.RCX, 0x7fff_1234_5678n);
    guest.state.writeGpr(GPR.R11, 0xffff_ffff_ffffn);
    guest.step(text);
    const { state } = guest;
    expect(state.rip).toBe(rip);
    expect(state.cpl).toBe(3);
    expect(state.rflags).toBe(0x3c7fd7);
    expect(state.segment(SEGMENT.CS)).toMatchObject({ selector, accessRights });
    expect(state.segment(SEGMENT.SS)).toMatchObject({
      selector: SELECTOR.USER_DATA | 3,
      accessRights: 0xc0f3,
    });
  });

  it('SYSRET to an address that is not canonical raises #GP(0) at level 0', () => {
    const guest = new SystemGuest();
    guest.state.writeGpr(GPR.RCX, 1n << 47n);
    guest.step('o64 sysret');
    expect(guest.frame).toMatchObject({ ...GENERAL_PROTECTION, cs: SELECTOR.CODE64 });
  });

  it.each(['syscall', 'o64 sysret'])('%s is invalid without EFER.SCE', (text) => {
    const guest = new SystemGuest();
    guest.state.efer &= ~EFER.SCE;
    guest.step(text);
    expect(guest.frame?.vector).toBe(UD);
  });

  it('SYSENTER loads RSP and RIP, and clears IF only', () => {
    const guest = atUser();
    guest.step('sysenter');
    const { state } = guest;
    expect([state.rip, state.readGpr(GPR.RSP)]).toEqual([target, BigInt(LAYOUT.RING0_STACK)]);
    expect(state.rflags).toBe(0x3403);
    expect(state.segment(SEGMENT.CS)).toMatchObject({ selector: 8, accessRights: 0xa09b });
    expect(state.segment(SEGMENT.SS)).toMatchObject({ selector: 16, accessRights: 0xc093 });
  });

  it('SYSENTER and SYSEXIT with a null SYSENTER_CS raise #GP(0)', () => {
    for (const text of ['sysenter', 'sysexit'])
      expect(stepWith(text, 0n).frame).toMatchObject(GENERAL_PROTECTION);
  });

  it.each([
    ['sysexit', 0x18 + 3, 0xc0fb, 0x20 + 3],
    ['o64 sysexit', 0x28 + 3, 0xa0fb, 0x30 + 3],
  ])('%s: CS and SS follow SYSENTER_CS', (text, code, accessRights, stack) => {
    const guest = new SystemGuest();
    guest.writeMsr('SYSENTER_CS', 8n);
    guest.state.writeGpr(GPR.RCX, 0x5000n);
    guest.state.writeGpr(GPR.RDX, 0x6000n);
    guest.step(text);
    expect(guest.state.segment(SEGMENT.CS)).toMatchObject({ selector: code, accessRights });
    expect(guest.state.segment(SEGMENT.SS).selector).toBe(stack);
    expect([guest.state.rip, guest.state.readGpr(GPR.RSP)]).toEqual([0x6000n, 0x5000n]);
  });

  it('SWAPGS exchanges the base with KERNEL_GS_BASE', () => {
    const guest = new SystemGuest();
    guest.state.segment(SEGMENT.GS).base = 1n;
    guest.writeMsr('KERNEL_GS_BASE', 2n);
    guest.step('swapgs');
    expect([guest.state.segment(SEGMENT.GS).base, guest.state.read64(STATE.KERNEL_GS_BASE)]).toEqual([
      2n,
      1n,
    ]);
  });
});
