/** Instructions that cause VM exits, and what they do when they don't (SDM Vol. 3C, 25.1 and 25.3), by running guest code. */

import { describe, expect, it } from 'vitest';
import { PRIMARY, SECONDARY } from '../../src/architecture/vmx/controls.js';
import { EXIT_REASON } from '../../src/architecture/vmx/exit-reasons.js';
import { VMCS } from '../../src/architecture/vmx/vmcs-fields.js';
import { Instruction } from '../../src/instruction-set/instruction.js';
import { hostPhysical } from '../../src/memory/addresses.js';
import { GuestFault } from '../../src/processor/core.js';
import {
  activateSecondary,
  createVmxMachine,
  enableEpt,
  GUEST_CODE,
  IO_BITMAP_A,
  IO_BITMAP_B,
  launchToExit,
  MSR_BITMAPS,
  VIRTUAL_APIC_PAGE,
  type VmxMachine,
} from './vmx-machine.js';

const PRIMARY_FIELD = VMCS.PRIMARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS;

interface Exit {
  readonly name: string;
  /** The instruction; HLT (which always exits here) follows it. */
  readonly code: string;
  /** Instructions before it. */
  readonly before?: string;
  readonly setUp?: (m: VmxMachine) => void;
  readonly reason: number;
  readonly qualification?: bigint;
  readonly information?: bigint;
  readonly linearAddress?: bigint;
}

const control =
  (set: number, clear = 0) =>
  (m: VmxMachine): void =>
    m.change(PRIMARY_FIELD, set, clear);
const secondary =
  (bits: number) =>
  (m: VmxMachine): void =>
    activateSecondary(m, bits);
const setBit = (m: VmxMachine, bitmap: number, bit: number): void =>
  m.memory.write8(hostPhysical(bitmap + (bit >> 3)), 1 << (bit & 7));
const port =
  (number: number) =>
  (m: VmxMachine): void =>
    number < 0x8000 ? setBit(m, IO_BITMAP_A, number) : setBit(m, IO_BITMAP_B, number - 0x8000);
const cr0Owned =
  (mask: number, shadow: number) =>
  (m: VmxMachine): void => {
    m.write(VMCS.CR0_GUEST_HOST_MASK, mask);
    m.write(VMCS.CR0_READ_SHADOW, shadow);
  };

const EXITS: Exit[] = [
  { name: 'CPUID', code: 'cpuid', reason: EXIT_REASON.CPUID },
  { name: 'INVD', code: 'invd', reason: EXIT_REASON.INVD },
  { name: 'HLT', code: 'hlt', reason: EXIT_REASON.HLT },
  { name: 'VMCALL', code: 'vmcall', reason: EXIT_REASON.VMCALL },
  { name: 'VMXOFF', code: 'vmxoff', reason: EXIT_REASON.VMOFF },
  { name: 'VMLAUNCH', code: 'vmlaunch', reason: EXIT_REASON.VMLAUNCH },
  { name: 'VMRESUME', code: 'vmresume', reason: EXIT_REASON.VMRESUME },
  // Table 27-13: scale ×4 (2), 64-bit addresses (2 << 7), DS (3 << 15), index RCX (1 << 18), base RBX (3 << 23).
  {
    name: 'VMPTRLD with a memory operand',
    code: 'vmptrld [rbx+rcx*4-8]',
    reason: EXIT_REASON.VMPTRLD,
    qualification: 0xfffffffffffffff8n,
    information: BigInt(2 | (2 << 7) | (3 << 15) | (1 << 18) | (3 << 23)),
  },
  // No index (1 << 22), no base (1 << 27): the qualification has the address.
  {
    name: 'VMCLEAR with a RIP-relative operand',
    code: `vmclear [rel ${GUEST_CODE + 0x100}]`,
    reason: EXIT_REASON.VMCLEAR,
    qualification: BigInt(GUEST_CODE + 0x100),
    information: BigInt((2 << 7) | (3 << 15) | (1 << 22) | (1 << 27)),
  },
  // Table 27-14: register form (1 << 10), register 1 = RDX (2 << 3), register 2 = R9.
  {
    name: 'VMREAD to a register',
    code: 'vmread rdx, r9',
    reason: EXIT_REASON.VMREAD,
    information: BigInt((1 << 10) | (2 << 3)) + (9n << 28n),
  },
  {
    name: 'VMWRITE from memory',
    code: 'vmwrite rax, [rsp+16]',
    reason: EXIT_REASON.VMWRITE,
    qualification: 16n,
    information: BigInt((2 << 7) | (2 << 15) | (1 << 22) | (4 << 23)),
  },
  {
    name: 'INVEPT',
    code: 'invept rdx, [rdi]',
    reason: EXIT_REASON.INVEPT,
    information: BigInt((2 << 7) | (3 << 15) | (1 << 22) | (7 << 23)) + (2n << 28n),
  },
  {
    name: 'INVLPG',
    code: 'invlpg [rbx+0x1234]',
    before: 'mov ebx, 0x5000',
    setUp: control(PRIMARY.INVLPG_EXITING),
    reason: EXIT_REASON.INVLPG,
    qualification: 0x6234n,
  },
  { name: 'RDTSC', code: 'rdtsc', setUp: control(PRIMARY.RDTSC_EXITING), reason: EXIT_REASON.RDTSC },
  { name: 'RDPMC', code: 'rdpmc', setUp: control(PRIMARY.RDPMC_EXITING), reason: EXIT_REASON.RDPMC },
  {
    name: 'PAUSE',
    code: 'pause',
    setUp: control(PRIMARY.PAUSE_EXITING),
    reason: EXIT_REASON.PAUSE_INSTRUCTION,
  },
  { name: 'WBINVD', code: 'wbinvd', setUp: secondary(SECONDARY.WBINVD_EXITING), reason: EXIT_REASON.WBINVD },
  {
    name: 'SGDT',
    code: 'sgdt [rax+2]',
    setUp: secondary(SECONDARY.DESCRIPTOR_TABLE_EXITING),
    reason: EXIT_REASON.GDTR_IDTR,
    qualification: 2n,
    information: BigInt((2 << 7) | (1 << 11) | (3 << 15) | (1 << 22) | (0 << 23)),
  },
  {
    name: 'LIDT',
    code: 'lidt [rax]',
    setUp: secondary(SECONDARY.DESCRIPTOR_TABLE_EXITING),
    reason: EXIT_REASON.GDTR_IDTR,
    information: BigInt((2 << 7) | (1 << 11) | (3 << 15) | (1 << 22)) + (3n << 28n),
  },
  {
    name: 'STR to a register',
    code: 'str rcx',
    setUp: secondary(SECONDARY.DESCRIPTOR_TABLE_EXITING),
    reason: EXIT_REASON.LDTR_TR,
    information: BigInt((1 << 10) | (1 << 3) | (1 << 28)),
  },
  {
    name: 'MOV from CR3',
    code: 'mov r10, cr3',
    setUp: control(PRIMARY.CR3_STORE_EXITING),
    reason: EXIT_REASON.CR_ACCESS,
    qualification: 0xa13n,
  },
  {
    name: 'MOV to CR3',
    code: 'mov cr3, rsi',
    setUp: control(PRIMARY.CR3_LOAD_EXITING),
    reason: EXIT_REASON.CR_ACCESS,
    qualification: 0x603n,
  },
  {
    name: 'MOV to CR8',
    code: 'mov cr8, rdi',
    setUp: control(PRIMARY.CR8_LOAD_EXITING),
    reason: EXIT_REASON.CR_ACCESS,
    qualification: 0x708n,
  },
  {
    name: 'MOV from CR8',
    code: 'mov rax, cr8',
    setUp: control(PRIMARY.CR8_STORE_EXITING),
    reason: EXIT_REASON.CR_ACCESS,
    qualification: 0x018n,
  },
  {
    name: 'MOV to CR0 that changes a bit of the host',
    code: 'mov cr0, rax',
    before: 'mov eax, 0x80010039',
    setUp: cr0Owned(8, 0),
    reason: EXIT_REASON.CR_ACCESS,
    qualification: 0n,
  },
  {
    name: 'MOV to CR4 that changes a bit of the host',
    code: 'mov cr4, rcx',
    before: 'xor ecx, ecx',
    setUp: (m) => {
      m.write(VMCS.CR4_GUEST_HOST_MASK, 0x2000);
      m.write(VMCS.CR4_READ_SHADOW, 0x2000);
    },
    reason: EXIT_REASON.CR_ACCESS,
    qualification: 0x104n,
  },
  {
    name: 'CLTS with TS in mask and shadow',
    code: 'clts',
    setUp: cr0Owned(8, 8),
    reason: EXIT_REASON.CR_ACCESS,
    qualification: 0x20n,
  },
  {
    name: 'LMSW from a register',
    code: 'lmsw cx',
    before: 'mov ecx, 0xfff9',
    setUp: cr0Owned(8, 0),
    reason: EXIT_REASON.CR_ACCESS,
    qualification: 0xfff90030n,
  },
  {
    name: 'LMSW that sets PE',
    code: 'lmsw cx',
    before: 'mov ecx, 1',
    setUp: cr0Owned(1, 0),
    reason: EXIT_REASON.CR_ACCESS,
    qualification: 0x10030n,
  },
  {
    name: 'LMSW from memory',
    code: 'lmsw [rbx+4]',
    before: `mov ebx, ${GUEST_CODE + 0x800}`,
    setUp: (m) => {
      cr0Owned(8, 0)(m);
      m.memory.write16(hostPhysical(GUEST_CODE + 0x804), 0x0009);
    },
    reason: EXIT_REASON.CR_ACCESS,
    qualification: 0x90070n,
    linearAddress: BigInt(GUEST_CODE + 0x804),
  },
  {
    name: 'MOV from DR7',
    code: 'mov rbx, dr7',
    setUp: control(PRIMARY.MOV_DR_EXITING),
    reason: EXIT_REASON.DR_ACCESS,
    qualification: 0x317n,
  },
  {
    name: 'MOV to DR0',
    code: 'mov dr0, rcx',
    setUp: control(PRIMARY.MOV_DR_EXITING),
    reason: EXIT_REASON.DR_ACCESS,
    qualification: 0x100n,
  },
  {
    name: 'IN from an immediate port',
    code: 'in eax, 0x71',
    setUp: port(0x71),
    reason: EXIT_REASON.IO_INSTRUCTION,
    qualification: 0x71004bn,
  },
  {
    name: 'OUT to DX in bitmap B',
    code: 'out dx, ax',
    before: 'mov edx, 0x8000',
    setUp: port(0x8001),
    reason: EXIT_REASON.IO_INSTRUCTION,
    qualification: 0x80000001n,
  },
  {
    name: 'OUT that spans both bitmaps',
    code: 'out dx, eax',
    before: 'mov edx, 0x7ffd',
    setUp: port(0x8000),
    reason: EXIT_REASON.IO_INSTRUCTION,
    qualification: 0x7ffd0003n,
  },
  {
    name: 'OUT beyond the last port',
    code: 'out dx, ax',
    before: 'mov edx, 0xffff',
    reason: EXIT_REASON.IO_INSTRUCTION,
    qualification: 0xffff0001n,
  },
  {
    name: 'unconditional I/O exiting',
    code: 'in al, dx',
    before: 'mov edx, 0x60',
    setUp: control(PRIMARY.UNCONDITIONAL_IO_EXITING, PRIMARY.USE_IO_BITMAPS),
    reason: EXIT_REASON.IO_INSTRUCTION,
    qualification: 0x600008n,
  },
  {
    name: 'REP OUTSB',
    code: 'rep outsb',
    before: `mov edx, 0x3f8\nmov ecx, 5\nmov esi, ${GUEST_CODE + 0x900}`,
    setUp: port(0x3f8),
    reason: EXIT_REASON.IO_INSTRUCTION,
    qualification: 0x3f80030n,
    information: BigInt((2 << 7) | (3 << 15)),
    linearAddress: BigInt(GUEST_CODE + 0x900),
  },
  {
    name: 'INSD with 32-bit addresses',
    code: 'a32 insd',
    before: `mov edx, 0x3f8\nmov edi, ${GUEST_CODE + 0x900}`,
    setUp: port(0x3fb),
    reason: EXIT_REASON.IO_INSTRUCTION,
    qualification: 0x3f8001bn,
    linearAddress: BigInt(GUEST_CODE + 0x900),
  },
  {
    name: 'RDMSR selected by the bitmap (low range)',
    code: 'rdmsr',
    before: 'mov ecx, 0x1b',
    setUp: (m) => setBit(m, MSR_BITMAPS, 0x1b),
    reason: EXIT_REASON.MSR_READ,
  },
  {
    name: 'RDMSR selected by the bitmap (high range)',
    code: 'rdmsr',
    before: 'mov ecx, 0xc0000082',
    setUp: (m) => setBit(m, MSR_BITMAPS + 0x400, 0x82),
    reason: EXIT_REASON.MSR_READ,
  },
  {
    name: 'WRMSR selected by the bitmap (low range)',
    code: 'wrmsr',
    before: 'mov ecx, 0x174',
    setUp: (m) => setBit(m, MSR_BITMAPS + 0x800, 0x174),
    reason: EXIT_REASON.MSR_WRITE,
  },
  {
    name: 'WRMSR selected by the bitmap (high range)',
    code: 'wrmsr',
    before: 'mov ecx, 0xc0000080',
    setUp: (m) => setBit(m, MSR_BITMAPS + 0xc00, 0x80),
    reason: EXIT_REASON.MSR_WRITE,
  },
  {
    name: 'RDMSR outside both ranges',
    code: 'rdmsr',
    before: 'mov ecx, 0x40000000',
    reason: EXIT_REASON.MSR_READ,
  },
  {
    name: 'WRMSR outside both ranges',
    code: 'wrmsr',
    before: 'mov ecx, 0x2000',
    reason: EXIT_REASON.MSR_WRITE,
  },
  {
    name: 'RDMSR without bitmaps',
    code: 'rdmsr',
    before: 'mov ecx, 0x1b',
    setUp: control(0, PRIMARY.USE_MSR_BITMAPS),
    reason: EXIT_REASON.MSR_READ,
  },
];

describe('instructions that cause VM exits', () => {
  for (const e of EXITS)
    it(e.name, () => {
      const machine = createVmxMachine();
      e.setUp?.(machine);
      const length = codeLength(machine, e);
      expect(launchToExit(machine)).toBe(e.reason);
      expect(machine.read(VMCS.EXIT_QUALIFICATION)).toBe(e.qualification ?? 0n);
      expect(machine.read(VMCS.VM_EXIT_INSTRUCTION_LENGTH)).toBe(BigInt(length.exiting));
      expect(machine.read(VMCS.GUEST_RIP)).toBe(BigInt(GUEST_CODE + length.before));
      expect(machine.read(VMCS.VM_EXIT_INTERRUPTION_INFORMATION)).toBe(0n);
      expect(machine.read(VMCS.IDT_VECTORING_INFORMATION)).toBe(0n);
      if (e.information !== undefined)
        expect(machine.read(VMCS.VM_EXIT_INSTRUCTION_INFORMATION).toString(16)).toBe(
          e.information.toString(16),
        );
      if (e.linearAddress !== undefined)
        expect(machine.read(VMCS.GUEST_LINEAR_ADDRESS)).toBe(e.linearAddress);
    });
});

/** Lengths of the exiting instruction and of the code before it, as the assembler sees them. */
function codeLength(machine: VmxMachine, e: Exit): { before: number; exiting: number } {
  const place = hostPhysical(GUEST_CODE);
  const size = (text: string): number => {
    machine.memory.bytes.fill(0x90, place, place + 64);
    machine.assemble(`${text}\nend: db 0xd6, 0xd6, 0xd6, 0xd6`);
    for (let n = 0; ; n++) if (machine.memory.read32(hostPhysical(place + n)) === 0xd6d6d6d6) return n;
  };
  const before = size(e.before ?? '');
  const exiting = size(`${e.before ?? ''}\n${e.code}`) - before;
  machine.assemble(`${e.before ?? ''}\n${e.code}\nhlt`);
  return { before, exiting };
}

interface NoExit {
  readonly name: string;
  readonly code: string;
  readonly setUp?: (m: VmxMachine) => void;
  readonly check?: (m: VmxMachine) => void;
}

const rax = (m: VmxMachine): bigint => m.processor.state.readGpr(0);

const NO_EXITS: NoExit[] = [
  { name: 'PAUSE, WBINVD and INVLPG without their controls', code: 'pause\nwbinvd\ninvlpg [rax]' },
  {
    name: 'I/O to a port that the bitmap does not select',
    code: 'mov edx, 0x3f7\nout dx, al\nin al, dx',
    setUp: port(0x3f8),
  },
  {
    name: 'RDMSR while only WRMSR is selected',
    code: 'mov ecx, 0x174\nrdmsr',
    setUp: (m) => setBit(m, MSR_BITMAPS + 0x800, 0x174),
  },
  {
    name: 'CLTS with TS in the mask only: ignored',
    code: 'clts',
    setUp: (m) => {
      cr0Owned(8, 0)(m);
      m.write(VMCS.GUEST_CR0, 0x80010039);
    },
    check: (m) => expect(m.read(VMCS.GUEST_CR0)).toBe(0x80010039n),
  },
  {
    name: 'CLTS with TS owned by the guest',
    code: 'clts',
    setUp: (m) => m.write(VMCS.GUEST_CR0, 0x80010039),
    check: (m) => expect(m.read(VMCS.GUEST_CR0)).toBe(0x80010031n),
  },
  {
    name: 'MOV to CR0 that agrees with the shadow keeps the bits of the host',
    code: 'mov eax, 0x80010013\nmov cr0, rax',
    setUp: (m) => {
      // NE is the host's: set in CR0, shown as clear.
      cr0Owned(0x28, 0)(m);
      m.write(VMCS.GUEST_CR0, 0x80010039);
    },
    check: (m) => expect(m.read(VMCS.GUEST_CR0)).toBe(0x8001003bn),
  },
  {
    name: 'MOV from CR0 shows the shadow in the bits of the host',
    code: 'mov rax, cr0',
    setUp: cr0Owned(0x40000028, 0x40000008),
    check: (m) => expect(rax(m)).toBe(0xc0010019n),
  },
  {
    name: 'SMSW shows the shadow, too',
    code: 'xor eax, eax\nsmsw eax',
    setUp: cr0Owned(8, 8),
    check: (m) => expect(rax(m) & 0xffffn).toBe(0x39n),
  },
  {
    name: 'MOV from CR4 shows the shadow in the bits of the host',
    code: 'mov rax, cr4',
    setUp: (m) => m.write(VMCS.CR4_GUEST_HOST_MASK, 0x2000),
    check: (m) => expect(rax(m)).toBe(0x220n),
  },
  {
    name: 'LMSW can not clear PE',
    code: 'xor eax, eax\nlmsw ax',
    check: (m) => expect(m.read(VMCS.GUEST_CR0)).toBe(0x80010031n),
  },
  {
    name: 'LMSW sets the bits of the guest and keeps those of the host',
    code: 'mov eax, 6\nlmsw ax',
    setUp: cr0Owned(2, 2),
    check: (m) => expect(m.read(VMCS.GUEST_CR0)).toBe(0x80010035n),
  },
  {
    name: 'MOV to CR3 of a CR3-target value',
    code: 'mov rax, cr3\nmov cr3, rax',
    setUp: (m) => {
      m.change(PRIMARY_FIELD, PRIMARY.CR3_LOAD_EXITING);
      m.write(VMCS.CR3_TARGET_COUNT, 2);
      m.write(VMCS.CR3_TARGET_VALUE_1, m.read(VMCS.GUEST_CR3));
    },
  },
  {
    name: 'CR8 under the TPR shadow is the virtual TPR',
    code: 'mov eax, 7\nmov cr8, rax\nmov rbx, cr8',
    setUp: (m) => {
      m.change(PRIMARY_FIELD, PRIMARY.USE_TPR_SHADOW);
      m.write(VMCS.VIRTUAL_APIC_ADDRESS, VIRTUAL_APIC_PAGE);
    },
    check: (m) => {
      expect(m.memory.read32(hostPhysical(VIRTUAL_APIC_PAGE + 0x80))).toBe(0x70);
      expect(m.processor.state.readGpr(3)).toBe(7n);
    },
  },
  {
    name: 'RDTSC adds the TSC offset',
    code: 'rdtsc\nshl rdx, 32\nor rax, rdx',
    setUp: (m) => {
      m.change(PRIMARY_FIELD, PRIMARY.USE_TSC_OFFSETTING);
      m.write(VMCS.TSC_OFFSET, 0x100000000000n);
    },
    check: (m) => expect(rax(m) >> 20n).toBe(0x1000000n),
  },
];

describe('instructions that do not cause VM exits', () => {
  for (const n of NO_EXITS)
    it(n.name, () => {
      const machine = createVmxMachine();
      n.setUp?.(machine);
      machine.assemble(`${n.code}\nhlt`);
      expect(launchToExit(machine), `exit with qualification ${machine.read(VMCS.EXIT_QUALIFICATION)}`).toBe(
        EXIT_REASON.HLT,
      );
      n.check?.(machine);
    });

  it('HLT without HLT exiting stops the processor in the HLT activity state', () => {
    const machine = createVmxMachine();
    machine.change(PRIMARY_FIELD, 0, PRIMARY.HLT_EXITING);
    machine.assemble('hlt');
    machine.vmx.vmlaunch();
    expect(machine.processor.run({ cycles: 1e6, instructions: 10 }).kind).toBe('halt');
    machine.processor.intercepts!.interruptWindow();
    machine.processor.intercepts!.tripleFault();
    expect(machine.read(VMCS.GUEST_ACTIVITY_STATE)).toBe(1n);
  });

  it('MOV to CR8 below the TPR threshold exits behind the instruction', () => {
    const machine = createVmxMachine();
    machine.change(PRIMARY_FIELD, PRIMARY.USE_TPR_SHADOW);
    machine.write(VMCS.VIRTUAL_APIC_ADDRESS, VIRTUAL_APIC_PAGE);
    machine.memory.write32(hostPhysical(VIRTUAL_APIC_PAGE + 0x80), 0x50);
    machine.write(VMCS.TPR_THRESHOLD, 4);
    machine.assemble('mov eax, 4\nmov cr8, rax\nmov eax, 3\nmov cr8, rax\nhlt');
    expect(launchToExit(machine)).toBe(EXIT_REASON.TPR_BELOW_THRESHOLD);
    expect(machine.read(VMCS.GUEST_RIP)).toBe(BigInt(GUEST_CODE + 2 * (5 + 4)));
    expect(machine.memory.read32(hostPhysical(VIRTUAL_APIC_PAGE + 0x80))).toBe(0x30);
  });

  it('RDTSCP exits with RDTSC exiting when it is enabled', () => {
    const machine = createVmxMachine({
      cpuid: (leaf) => ({ eax: 0, ebx: 0, ecx: 0, edx: leaf === 0x80000001 ? 1 << 27 : 0 }),
    });
    machine.change(PRIMARY_FIELD, PRIMARY.RDTSC_EXITING);
    activateSecondary(machine, SECONDARY.ENABLE_RDTSCP);
    machine.assemble('rdtscp\nhlt');
    expect(launchToExit(machine)).toBe(EXIT_REASON.RDTSCP);
  });

  it('RDTSCP raises #UD when it is not enabled', () => {
    const machine = createVmxMachine({
      cpuid: (leaf) => ({ eax: 0, ebx: 0, ecx: 0, edx: leaf === 0x80000001 ? 1 << 27 : 0 }),
    });
    machine.change(PRIMARY_FIELD, PRIMARY.RDTSC_EXITING);
    machine.write(VMCS.EXCEPTION_BITMAP, 1 << 6);
    machine.assemble('rdtscp\nhlt');
    expect(launchToExit(machine)).toBe(EXIT_REASON.EXCEPTION_NMI);
  });

  it('MOV to CR0 that turns paging off raises #GP unless the guest is unrestricted', () => {
    for (const unrestricted of [false, true]) {
      const machine = createVmxMachine();
      machine.write(VMCS.EXCEPTION_BITMAP, 1 << 13);
      enableEpt(machine);
      if (unrestricted)
        machine.change(VMCS.SECONDARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS, SECONDARY.UNRESTRICTED_GUEST);
      // From compatibility mode, where it is allowed at all.
      machine.write(VMCS.GUEST_CS_ACCESS_RIGHTS, 0xc09b);
      machine.vmx.vmlaunch();
      const written = () => machine.processor.intercepts!.writeCr0(new Instruction(), 0x31n, 0);
      if (unrestricted) expect(written()).toBe(0x31n);
      else expect(written).toThrow(GuestFault);
    }
  });
});
