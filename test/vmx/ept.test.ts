/** EPT, the APIC-access page and what is cached of both (SDM Vol. 3C, 28.2, 28.3, 29.4). */

import { describe, expect, it } from 'vitest';
import { PRIMARY, SECONDARY } from '../../src/architecture/vmx/controls.js';
import { encodeEptPointer } from '../../src/architecture/vmx/ept.js';
import {
  describeApicAccessQualification,
  describeEptQualification,
} from '../../src/architecture/vmx/exit-qualifications.js';
import { EXIT_REASON } from '../../src/architecture/vmx/exit-reasons.js';
import { VMCS } from '../../src/architecture/vmx/vmcs-fields.js';
import { hostPhysical } from '../../src/memory/addresses.js';
import { EptWalk, walkEpt } from '../../src/vmx/ept/ept-walk.js';
import { PAGE_TABLES } from '../support/bare-machine.js';
import {
  APIC_ACCESS_PAGE,
  activateSecondary,
  createVmxMachine,
  EPT_PD,
  EPT_PDPT,
  EPT_PML4,
  EPT_PT,
  enableEpt,
  GUEST_CODE,
  launchToExit,
  runToExit,
  VIRTUAL_APIC_PAGE,
  type VmxMachine,
} from './vmx-machine.js';

const PAGE = 0x180000;
const entryOf = (page: number): ReturnType<typeof hostPhysical> => hostPhysical(EPT_PT + (page >> 12) * 8);

/** A guest with EPT on whose page `PAGE` is mapped by `entry`. */
function withPage(entry: bigint, code: string): VmxMachine {
  const m = createVmxMachine();
  enableEpt(m);
  m.memory.write64(entryOf(PAGE), entry);
  m.assemble(code);
  return m;
}
const MAPPED = BigInt(PAGE | (6 << 3));

describe('28.2.2 EPT Translation Mechanism', () => {
  const walkOf = (m: VmxMachine, address: number): EptWalk => {
    const walk = new EptWalk();
    walkEpt(m.memory, EPT_PML4, address, walk);
    return walk;
  };

  it('walks four levels to a 4-KByte page, permissions ANDed', () => {
    const m = createVmxMachine();
    enableEpt(m);
    m.memory.write64(entryOf(PAGE), 0x7f_1234_5000n | 0x37n);
    m.memory.write64(hostPhysical(EPT_PD), BigInt(EPT_PT | 5));
    expect(walkOf(m, PAGE + 0xabc)).toMatchObject({
      outcome: 'mapped',
      address: 0x7f_1234_5abc,
      permissions: 5,
      pageSize: 4096,
    });
  });

  it('maps 2-MByte and 1-GByte pages', () => {
    const m = createVmxMachine();
    enableEpt(m);
    m.memory.write64(hostPhysical(EPT_PD + 5 * 8), 0x12_3460_0000n | 0xb7n);
    m.memory.write64(hostPhysical(EPT_PDPT + 3 * 8), 0xc0_0000_0000n | 0xb3n);
    expect(walkOf(m, 0xb23456)).toMatchObject({
      outcome: 'mapped',
      address: 0x12_3472_3456,
      permissions: 7,
      pageSize: 0x200000,
    });
    expect(walkOf(m, 0xf2345678)).toMatchObject({
      outcome: 'mapped',
      address: 0xc0_3234_5678,
      permissions: 3,
      pageSize: 0x40000000,
    });
  });

  it('ends where read, write and execute are all 0', () => {
    const m = createVmxMachine();
    enableEpt(m);
    m.memory.write64(hostPhysical(EPT_PDPT), 0xfff_ffff_fff8n);
    expect(walkOf(m, PAGE).outcome).toBe('not-present');
    expect(walkOf(m, 2 ** 39).outcome).toBe('not-present');
  });

  for (const [what, place, value] of [
    ['write without read (010)', entryOf(PAGE), MAPPED | 2n],
    ['write and execute without read (110)', entryOf(PAGE), MAPPED | 6n],
    ['reserved address bits in a page entry', entryOf(PAGE), MAPPED | 7n | (1n << 40n)],
    ['memory type 2', entryOf(PAGE), BigInt(PAGE | (2 << 3) | 7)],
    ['memory type 3', entryOf(PAGE), BigInt(PAGE | (3 << 3) | 7)],
    ['memory type 7', entryOf(PAGE), BigInt(PAGE | (7 << 3) | 7)],
    ['bit 3 of a PML4 entry', hostPhysical(EPT_PML4), BigInt(EPT_PDPT | 0xf)],
    ['bit 7 of a PML4 entry', hostPhysical(EPT_PML4), BigInt(EPT_PDPT | 0x87)],
    ['bit 6 of a PDPT entry that refers to a table', hostPhysical(EPT_PDPT), BigInt(EPT_PD | 0x47)],
    ['bit 3 of a PD entry that refers to a table', hostPhysical(EPT_PD), BigInt(EPT_PT | 0xf)],
    ['address bits below 2 MBytes of a large page', hostPhysical(EPT_PD), 0x1000n | 0xb7n],
    ['address bits below 1 GByte of a large page', hostPhysical(EPT_PDPT), 0x200000n | 0xb7n],
    ['reserved address bits in a table entry', hostPhysical(EPT_PD), BigInt(EPT_PT | 7) | (1n << 51n)],
    ['a table outside of RAM', hostPhysical(EPT_PD), 0x80_0000_0007n],
  ] as const)
    it(`28.2.3.1 EPT Misconfigurations: ${what}`, () => {
      const m = createVmxMachine();
      enableEpt(m);
      m.memory.write64(place, value);
      expect(walkOf(m, PAGE).outcome).toBe('misconfiguration');
    });

  it('execute-only pages are supported', () => {
    const m = createVmxMachine();
    enableEpt(m);
    m.memory.write64(entryOf(PAGE), MAPPED | 4n);
    expect(walkOf(m, PAGE)).toMatchObject({ outcome: 'mapped', permissions: 4 });
  });

  it('ignores bits 11:8 and 63:52', () => {
    const m = createVmxMachine();
    enableEpt(m);
    m.memory.write64(entryOf(PAGE), MAPPED | 0xf00n | 0x7ff0_0000_0000_0007n);
    expect(walkOf(m, PAGE)).toMatchObject({ outcome: 'mapped', address: PAGE });
  });
});

describe('28.2.3 EPT-Induced VM Exits', () => {
  const ACCESSES: [name: string, code: string, bit: number, right: number][] = [
    ['read', `mov rax, [${PAGE + 0x123}]`, 1, 1],
    ['write', `mov [${PAGE + 0x123}], rax`, 2, 2],
    ['fetch', `mov eax, ${PAGE + 0x123}\njmp rax`, 4, 4],
  ];
  for (const [name, code, bit, right] of ACCESSES) {
    it(`a ${name} of a page that is not present`, () => {
      const m = withPage(0n, code);
      expect(launchToExit(m)).toBe(EXIT_REASON.EPT_VIOLATION);
      // Linear address valid, final translation.
      expect(m.read(VMCS.EXIT_QUALIFICATION)).toBe(BigInt(bit | 0x180));
      expect(m.read(VMCS.GUEST_PHYSICAL_ADDRESS)).toBe(BigInt(PAGE + 0x123));
      expect(m.read(VMCS.GUEST_LINEAR_ADDRESS)).toBe(BigInt(PAGE + 0x123));
      expect(m.read(VMCS.GUEST_RFLAGS) & 0x10000n).toBe(0x10000n);
    });
    it(`a ${name} of a page without that right, mapped afterwards`, () => {
      const rights = right === 1 ? 4 : 7 & ~right;
      const m = withPage(MAPPED | BigInt(rights), `${code}\nhlt`);
      m.memory.write8(hostPhysical(PAGE + 0x123), 0xf4);
      expect(launchToExit(m)).toBe(EXIT_REASON.EPT_VIOLATION);
      expect(m.read(VMCS.EXIT_QUALIFICATION)).toBe(BigInt(bit | (rights << 3) | 0x180));
      // More rights need no INVEPT.
      m.memory.write64(entryOf(PAGE), MAPPED | 7n);
      m.vmx.vmresume();
      expect(runToExit(m)).toBe(EXIT_REASON.HLT);
    });
  }

  it('a read-modify-write of a read-only page is a write violation before anything changes', () => {
    const m = withPage(MAPPED | 5n, `mov ebx, ${PAGE}\nadd [rbx], rbx\nhlt`);
    m.memory.write64(hostPhysical(PAGE), 5n);
    expect(launchToExit(m)).toBe(EXIT_REASON.EPT_VIOLATION);
    expect(m.read(VMCS.EXIT_QUALIFICATION) & 2n).toBe(2n);
    expect(m.memory.read64(hostPhysical(PAGE))).toBe(5n);
    m.memory.write64(entryOf(PAGE), MAPPED | 7n);
    m.vmx.vmresume();
    expect(runToExit(m)).toBe(EXIT_REASON.HLT);
    expect(m.memory.read64(hostPhysical(PAGE))).toBe(BigInt(PAGE + 5));
  });

  it("the guest's page tables: bit 8 is clear, the linear address is that of the access", () => {
    const m = createVmxMachine();
    enableEpt(m);
    // The page directory of the fourth gigabyte.
    m.memory.write64(entryOf(PAGE_TABLES + 0x5000), 0n);
    m.assemble('mov eax, 0xc0000010\nmov rbx, [rax]');
    expect(launchToExit(m)).toBe(EXIT_REASON.EPT_VIOLATION);
    expect(m.read(VMCS.EXIT_QUALIFICATION)).toBe(0x81n);
    expect(m.read(VMCS.GUEST_PHYSICAL_ADDRESS)).toBe(BigInt(PAGE_TABLES + 0x5000));
    expect(m.read(VMCS.GUEST_LINEAR_ADDRESS)).toBe(0xc0000010n);
  });

  it('accessed flags of page tables without write permission', () => {
    const m = createVmxMachine();
    enableEpt(m);
    m.memory.write64(entryOf(PAGE_TABLES + 0x5000), BigInt((PAGE_TABLES + 0x5000) | (6 << 3) | 5));
    m.memory.write64(entryOf(PAGE), MAPPED | 7n);
    m.assemble('mov eax, 0xc0000010\nmov rbx, [rax]');
    expect(launchToExit(m)).toBe(EXIT_REASON.EPT_VIOLATION);
    expect(m.read(VMCS.EXIT_QUALIFICATION) & 0x1ban).toBe(0xaan);
  });

  it('a misconfiguration has the guest-physical address and no qualification', () => {
    const m = withPage(MAPPED | 2n, `mov rax, [${PAGE + 8}]`);
    expect(launchToExit(m)).toBe(EXIT_REASON.EPT_MISCONFIG);
    expect(m.read(VMCS.EXIT_QUALIFICATION)).toBe(0n);
    expect(m.read(VMCS.GUEST_PHYSICAL_ADDRESS)).toBe(BigInt(PAGE + 8));
  });

  it('during event delivery: IDT-vectoring information', () => {
    const m = createVmxMachine();
    enableEpt(m);
    m.write(VMCS.GUEST_IDTR_BASE, PAGE);
    m.memory.write64(entryOf(PAGE), 0n);
    m.assemble('int 0x21');
    expect(launchToExit(m)).toBe(EXIT_REASON.EPT_VIOLATION);
    expect(m.read(VMCS.GUEST_PHYSICAL_ADDRESS)).toBe(BigInt(PAGE + 0x21 * 16));
    expect(m.read(VMCS.IDT_VECTORING_INFORMATION)).toBe(0x80000421n);
    expect(m.read(VMCS.VM_EXIT_INSTRUCTION_LENGTH)).toBe(2n);
  });

  it('are put into words', () => {
    expect(describeEptQualification(0x182)).toBe('write, not present');
    expect(describeEptQualification(0x1aa)).toBe('write, allows r-x');
    expect(describeEptQualification(0x81)).toBe('read, not present, during page walk');
  });
});

describe('28.3 Caching Translation Information', () => {
  const reading = `.l: mov rax, [${PAGE}]\ncpuid\njmp .l`;
  const other = PAGE + 0x1000;
  const resumeBehindCpuid = (m: VmxMachine): number => {
    m.vmx.vmwriteNumber(VMCS.GUEST_RIP, m.vmx.vmreadNumber(VMCS.GUEST_RIP) + 2);
    m.vmx.vmresume();
    return runToExit(m);
  };
  const cached = (vpid: boolean): VmxMachine => {
    const m = withPage(MAPPED | 7n, reading);
    if (vpid) {
      m.change(VMCS.SECONDARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS, SECONDARY.ENABLE_VPID);
      m.write(VMCS.VIRTUAL_PROCESSOR_IDENTIFIER, 1);
    }
    m.memory.write64(hostPhysical(PAGE), 1n);
    m.memory.write64(hostPhysical(other), 2n);
    launchToExit(m);
    expect(m.processor.state.readGpr(0)).toBe(1n);
    m.memory.write64(entryOf(PAGE), BigInt(other | 0x37));
    return m;
  };

  it('with VPID, mappings outlive exits and entries until INVEPT', () => {
    const m = cached(true);
    expect(resumeBehindCpuid(m)).toBe(EXIT_REASON.CPUID);
    expect(m.processor.state.readGpr(0)).toBe(1n);
    expect(m.vmx.invept(1, m.read(VMCS.EPT_POINTER))).toEqual({ ok: true });
    expect(resumeBehindCpuid(m)).toBe(EXIT_REASON.CPUID);
    expect(m.processor.state.readGpr(0)).toBe(2n);
  });

  it('INVEPT of another EPT pointer keeps the guest-physical mappings, a global one does not', () => {
    const m = cached(true);
    m.vmx.invept(1, encodeEptPointer(0x40000));
    resumeBehindCpuid(m);
    expect(m.processor.state.readGpr(0)).toBe(1n);
    m.vmx.invept(2, 0n);
    resumeBehindCpuid(m);
    expect(m.processor.state.readGpr(0)).toBe(2n);
  });

  it('INVVPID forgets linear mappings, not guest-physical ones', () => {
    const m = cached(true);
    expect(m.vmx.invvpid(1, 1, 0n)).toEqual({ ok: true });
    resumeBehindCpuid(m);
    expect(m.processor.state.readGpr(0)).toBe(1n);
  });

  it('INVEPT and INVVPID check their operands', () => {
    const m = createVmxMachine();
    const invalid = { ok: false, kind: 'valid', error: 28 };
    expect(m.vmx.invept(0, 0n)).toEqual(invalid);
    expect(m.vmx.invept(3, 0n)).toEqual(invalid);
    expect(m.vmx.invvpid(4, 1, 0n)).toEqual(invalid);
    expect(m.vmx.invvpid(0, 0, 0n)).toEqual(invalid);
    expect(m.vmx.invvpid(1, 0, 0n)).toEqual(invalid);
    expect(m.vmx.invvpid(0, 1, 0x800000000000n)).toEqual(invalid);
    expect(m.vmx.invvpid(2, 0, 0n)).toEqual({ ok: true });
  });
});

describe('29.4 Virtualizing Memory-Mapped APIC Accesses', () => {
  const withApicPage = (code: string, tprShadow = false): VmxMachine => {
    const m = createVmxMachine();
    enableEpt(m);
    activateSecondary(m, SECONDARY.VIRTUALIZE_APIC_ACCESSES);
    m.write(VMCS.APIC_ACCESS_ADDRESS, APIC_ACCESS_PAGE);
    if (tprShadow) {
      m.change(VMCS.PRIMARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS, PRIMARY.USE_TPR_SHADOW);
      m.write(VMCS.VIRTUAL_APIC_ADDRESS, VIRTUAL_APIC_PAGE);
    }
    // The guest sees the page at PAGE.
    m.memory.write64(entryOf(PAGE), BigInt(APIC_ACCESS_PAGE | 0x37));
    m.assemble(code);
    return m;
  };

  for (const [name, code, qualification] of [
    ['read', `mov eax, [${PAGE + 0x20}]`, 0x0020n],
    ['write', `mov [${PAGE + 0xb0}], eax`, 0x10b0n],
    ['fetch', `mov eax, ${PAGE + 0x300}\njmp rax`, 0x2300n],
  ] as const)
    it(`a linear ${name} exits with its offset`, () => {
      const m = withApicPage(code);
      expect(launchToExit(m)).toBe(EXIT_REASON.APIC_ACCESS);
      expect(m.read(VMCS.EXIT_QUALIFICATION)).toBe(qualification);
    });

  it('29.4.6: a page-table access is a physical access by an instruction', () => {
    const m = withApicPage('mov eax, 0xc0000000\nmov ebx, [rax]');
    m.memory.write64(hostPhysical(PAGE_TABLES + 0x1000 + 3 * 8), BigInt(PAGE | 7));
    expect(launchToExit(m)).toBe(EXIT_REASON.APIC_ACCESS);
    expect(m.read(VMCS.EXIT_QUALIFICATION)).toBe(0xf000n);
  });

  it('event delivery has types of its own', () => {
    const m = withApicPage('int 0x21');
    m.write(VMCS.GUEST_IDTR_BASE, PAGE);
    expect(launchToExit(m)).toBe(EXIT_REASON.APIC_ACCESS);
    expect(m.read(VMCS.EXIT_QUALIFICATION)).toBe(0x3210n);
    expect(m.read(VMCS.IDT_VECTORING_INFORMATION)).toBe(0x80000421n);
  });

  it('29.4.2: under the TPR shadow, reads of offset 080H give VTPR, all others exit', () => {
    const m = withApicPage(
      `mov ebx, [${PAGE + 0x80}]\nmov ecx, [${PAGE + 0x80}]\nmov edx, [${PAGE + 0x90}]`,
      true,
    );
    m.memory.write32(hostPhysical(VIRTUAL_APIC_PAGE + 0x80), 0x60);
    expect(launchToExit(m)).toBe(EXIT_REASON.APIC_ACCESS);
    expect(m.processor.state.readGpr(3)).toBe(0x60n);
    expect(m.processor.state.readGpr(1)).toBe(0x60n);
    expect(m.read(VMCS.EXIT_QUALIFICATION)).toBe(0x0090n);
    expect(m.read(VMCS.GUEST_RIP)).toBeGreaterThan(BigInt(GUEST_CODE));
  });

  it('works without EPT, on the guest-physical address', () => {
    const m = createVmxMachine();
    activateSecondary(m, SECONDARY.VIRTUALIZE_APIC_ACCESSES);
    m.write(VMCS.APIC_ACCESS_ADDRESS, 0xfee00000);
    m.assemble('mov eax, 0xfee000b0\nmov [rax], ebx');
    expect(launchToExit(m)).toBe(EXIT_REASON.APIC_ACCESS);
    expect(m.read(VMCS.EXIT_QUALIFICATION)).toBe(0x10b0n);
    expect(describeApicAccessQualification(0x10b0)).toBe('write offset 0xb0 (EOI)');
  });
});
