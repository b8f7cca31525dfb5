/** VMX instructions executed by code of the processor itself: a hypervisor in assembly (SDM Vol. 3C, Chapter 30 VMX Instruction Reference). */

import { describe, expect, it } from 'vitest';
import { CR4 } from '../../src/architecture/control-registers.js';
import { RFLAGS } from '../../src/architecture/rflags.js';
import { VMCS } from '../../src/architecture/vmx/vmcs-fields.js';
import { VMCS_REVISION_IDENTIFIER, vmxCapability } from '../../src/architecture/vmx/vmx-capabilities.js';
import { assemble } from '../../src/assembler/index.js';
import { hostPhysical } from '../../src/memory/addresses.js';
import { STATE } from '../../src/processor/state/layout.js';
import { VirtualMachineExtensions } from '../../src/vmx/virtual-machine-extensions.js';
import { RootInstructions } from '../../src/vmx/vmx-instructions.js';
import { type BareMachine, createBareMachine } from '../support/bare-machine.js';
import { baseFields, HOST_RIP } from './vmx-machine.js';

const CODE = 0x40000;
const DATA = 0x50000;
/** VMXON region, two VMCS regions; pointers to them at DATA, DATA + 8, DATA + 16. */
const REGIONS = [0x10000, 0x11000, 0x12000];

interface Hypervisor extends BareMachine {
  readonly vmx: VirtualMachineExtensions;
}

/** @param text 64-bit code at `CODE`; it ends with HLT */
function createHypervisor(text: string): Hypervisor {
  const machine = createBareMachine();
  const { processor, memory } = machine;
  const vmx = new VirtualMachineExtensions(processor);
  processor.vmx = new RootInstructions(vmx);
  processor.state.cr4 |= CR4.VMXE;
  processor.state.write32(STATE.FEATURE_CONTROL, 5);
  for (const [n, region] of REGIONS.entries()) {
    memory.write64(hostPhysical(DATA + n * 8), BigInt(region));
    memory.write32(hostPhysical(region), VMCS_REVISION_IDENTIFIER);
  }
  const { ok, image, diagnostics } = assemble(
    `bits 64\norg ${CODE}\n%define vmxon_pointer ${DATA}\n%define vmcs_pointer ${DATA + 8}\n%define other_pointer ${DATA + 16}\n${text}\nhlt\n`,
    { fileName: 'hypervisor.asm' },
  );
  if (!ok) throw new Error(diagnostics.map((d) => d.message).join('; '));
  memory.load(hostPhysical(CODE), image);
  processor.state.rip = BigInt(CODE);
  processor.state.writeGpr(4, 0x60000n);
  return { ...machine, vmx };
}

const runToHalt = (h: Hypervisor): void => {
  const { kind } = h.processor.run({ cycles: 1e6, instructions: 10_000 });
  expect(kind).toBe('halt');
  h.processor.halted = false;
};
const flags = (h: Hypervisor): number => h.processor.state.rflags & (RFLAGS.CF | RFLAGS.ZF);
const register = (h: Hypervisor, n: number): bigint => h.processor.state.readGpr(n);

const START = 'vmxon [vmxon_pointer]\nvmclear [vmcs_pointer]\nvmptrld [vmcs_pointer]\n';
const ERROR = `mov eax, ${VMCS.VM_INSTRUCTION_ERROR}\nvmread rbx, rax\n`;

describe('30.2 Conventions', () => {
  it('VMsucceed clears the arithmetic flags', () => {
    const h = createHypervisor(`${START}stc\nvmptrld [vmcs_pointer]`);
    runToHalt(h);
    expect(h.processor.state.rflags & 0x8d5).toBe(0);
    expect(h.vmx.currentVmcs).toBe(REGIONS[1]);
  });

  for (const [what, code] of [
    ['VMREAD without current VMCS', 'vmxon [vmxon_pointer]\nmov eax, 0x4400\nvmread rbx, rax'],
    ['VMWRITE without current VMCS', 'vmxon [vmxon_pointer]\nmov eax, 0x4400\nvmwrite rax, rbx'],
    ['VMLAUNCH without current VMCS', 'vmxon [vmxon_pointer]\nvmlaunch'],
    ['VMCALL without current VMCS', 'vmxon [vmxon_pointer]\nvmcall'],
    ['VMXON with a wrong revision identifier', `mov dword [${REGIONS[0]}], 1\nvmxon [vmxon_pointer]`],
    ['VMXON with a misaligned pointer', 'add dword [vmxon_pointer], 8\nvmxon [vmxon_pointer]'],
  ] as const)
    it(`VMfailInvalid: ${what}`, () => {
      const h = createHypervisor(code);
      runToHalt(h);
      expect(flags(h)).toBe(RFLAGS.CF);
    });

  for (const [error, what, code] of [
    [1, 'VMCALL in root operation', 'vmcall\n'],
    [2, 'VMCLEAR with a misaligned address', 'mov dword [other_pointer], 0x12001\nvmclear [other_pointer]\n'],
    [3, 'VMCLEAR with the VMXON pointer', 'vmclear [vmxon_pointer]\n'],
    [4, 'VMLAUNCH with a launched VMCS', ''],
    [5, 'VMRESUME with a clear VMCS', 'vmresume\n'],
    [7, 'VMLAUNCH with empty controls', 'vmlaunch\n'],
    [
      9,
      'VMPTRLD beyond the physical-address width',
      'mov dword [other_pointer+4], 0x100\nvmptrld [other_pointer]\n',
    ],
    [10, 'VMPTRLD with the VMXON pointer', 'vmptrld [vmxon_pointer]\n'],
    [
      11,
      'VMPTRLD with a wrong revision identifier',
      `mov dword [${REGIONS[2]}], 0x80000001\nvmptrld [other_pointer]\n`,
    ],
    [12, 'VMREAD of an unsupported field', 'mov eax, 0x6600\nvmread rbx, rax\n'],
    [12, 'VMREAD of a field number beyond 32 bits', 'mov rax, 0x10000681e\nvmread rbx, rax\n'],
    [12, 'VMREAD of the upper half of a natural-width field', 'mov eax, 0x681f\nvmread rbx, rax\n'],
    [13, 'VMWRITE of a read-only field', 'mov eax, 0x4402\nvmwrite rax, rbx\n'],
    [15, 'VMXON in root operation', 'vmxon [vmxon_pointer]\n'],
    [26, 'VMLAUNCH under blocking by MOV SS', 'mov ax, ss\nmov ss, ax\nvmlaunch\n'],
    [28, 'INVEPT with an unknown type', 'xor eax, eax\ninvept rax, [vmxon_pointer]\n'],
    [28, 'INVVPID of VPID 0', 'mov eax, 1\nmov qword [other_pointer], 0\ninvvpid rax, [other_pointer]\n'],
  ] as const)
    it(`VMfailValid ${error}: ${what}`, () => {
      if (error === 4) {
        const h = createHypervisor(`${START}vmlaunch`);
        h.memory.write32(hostPhysical(REGIONS[1]! + 8), 1);
        // VMCLEAR makes it clear again, so mark it as launched behind the VMPTRLD.
        h.processor.run({ cycles: 1e6, instructions: 3 });
        h.memory.write32(hostPhysical(REGIONS[1]! + 8), 1);
        runToHalt(h);
        expect(flags(h)).toBe(RFLAGS.ZF);
        expect(h.vmx.vmread(VMCS.VM_INSTRUCTION_ERROR)).toBe(4n);
        return;
      }
      // SS is null-safe here: the GDT at 0 gets a data segment for the reload.
      const h = createHypervisor(`${START}${code}pushfq\npop rdi\n${ERROR}`);
      h.memory.write64(hostPhysical(16), 0x00cf93000000ffffn);
      h.processor.state.write32(STATE.GDTR_LIMIT, 0xff);
      runToHalt(h);
      expect(Number(register(h, 7)) & (RFLAGS.CF | RFLAGS.ZF)).toBe(RFLAGS.ZF);
      expect(register(h, 3)).toBe(BigInt(error));
    });
});

describe('VMX instructions', () => {
  it('VMWRITE and VMREAD move values of every width, and halves', () => {
    const h = createHypervisor(
      `${START}mov rbx, 0x1122334455667788
       mov eax, ${VMCS.GUEST_RIP}
       vmwrite rax, rbx
       vmread rcx, rax
       mov eax, ${VMCS.GUEST_ES_SELECTOR}
       vmwrite rax, rbx
       vmread rdx, rax
       mov eax, ${VMCS.EXCEPTION_BITMAP}
       vmwrite rax, rbx
       vmread rsi, rax
       mov eax, ${VMCS.TSC_OFFSET}
       vmwrite rax, rbx
       mov eax, ${VMCS.TSC_OFFSET + 1}
       vmread rdi, rax
       mov ebx, 0xabcdef01
       vmwrite rax, rbx
       mov eax, ${VMCS.TSC_OFFSET}
       vmread [${DATA + 0x100}], rax
       vmptrst [${DATA + 0x108}]`,
    );
    runToHalt(h);
    expect(register(h, 1)).toBe(0x1122334455667788n);
    expect(register(h, 2)).toBe(0x7788n);
    expect(register(h, 6)).toBe(0x55667788n);
    expect(register(h, 7)).toBe(0x11223344n);
    expect(h.memory.read64(hostPhysical(DATA + 0x100))).toBe(0xabcdef0155667788n);
    expect(h.memory.read64(hostPhysical(DATA + 0x108))).toBe(BigInt(REGIONS[1]!));
  });

  it('two VMCSs keep their values; VMCLEAR of the current one leaves none', () => {
    const h = createHypervisor(
      `${START}mov eax, ${VMCS.GUEST_RSP}
       mov ebx, 111
       vmwrite rax, rbx
       vmclear [other_pointer]
       vmptrld [other_pointer]
       mov ebx, 222
       vmwrite rax, rbx
       vmptrld [vmcs_pointer]
       vmread rcx, rax
       vmclear [vmcs_pointer]
       vmptrst [${DATA + 0x100}]
       vmptrld [other_pointer]
       vmread rdx, rax`,
    );
    runToHalt(h);
    expect(register(h, 1)).toBe(111n);
    expect(register(h, 2)).toBe(222n);
    expect(h.memory.read64(hostPhysical(DATA + 0x100))).toBe(0xffffffffffffffffn);
  });

  it('runs a guest, and is run again at each exit', () => {
    // The base VMCS, written by the hypervisor's own VMWRITEs; the guest counts in RBX and exits by CPUID.
    const writes = baseFields()
      .map(([field, value]) => `mov eax, ${field}\nmov rdx, ${value}\nvmwrite rax, rdx`)
      .join('\n');
    const h = createHypervisor(
      `${START}${writes}
       mov eax, ${VMCS.HOST_RIP}
       lea rdx, [rel exited]
       vmwrite rax, rdx
       mov eax, ${VMCS.GUEST_RIP}
       lea rdx, [rel guest]
       vmwrite rax, rdx
       xor ebx, ebx
       vmlaunch
       mov r15d, 0xbad
       hlt
guest: inc ebx
       cpuid
       jmp guest
exited: inc r8d
       cmp ebx, 5
       jae done
       mov eax, ${VMCS.GUEST_RIP}
       vmread rdx, rax
       add rdx, 2
       vmwrite rax, rdx
       vmresume
       mov r15d, 0xbad
done:  mov eax, ${VMCS.EXIT_REASON}
       vmread rcx, rax
       vmxoff`,
    );
    runToHaltAcrossExits(h);
    expect(register(h, 15)).toBe(0n);
    expect(register(h, 3)).toBe(5n);
    expect(register(h, 8)).toBe(5n);
    expect(register(h, 1)).toBe(10n);
    expect(h.vmx.active).toBe(false);
    expect(h.vmx.exitCount).toBe(5);
    expect(h.processor.state.rip).not.toBe(BigInt(HOST_RIP));
  });

  it('raise #GP(0) where VMXON is not allowed and #UD outside of VMX operation', () => {
    for (const [code, vector, prepare] of [
      ['vmxon [vmxon_pointer]', 13, (h: Hypervisor) => h.processor.state.write32(STATE.FEATURE_CONTROL, 1)],
      ['vmxon [vmxon_pointer]', 13, (h: Hypervisor) => (h.processor.state.cr0 &= ~0x20)],
      ['vmxon [vmxon_pointer]', 6, (h: Hypervisor) => (h.processor.state.cr4 &= ~CR4.VMXE)],
      ['vmptrld [vmcs_pointer]', 6, () => {}],
      ['vmlaunch', 6, () => {}],
    ] as const) {
      const h = createHypervisor(code);
      prepare(h);
      const idt = 0x70000;
      for (const n of [6, 13]) {
        const handler = 0x71000 + n * 16;
        h.memory.write64(
          hostPhysical(idt + n * 16),
          BigInt(handler & 0xffff) | (8n << 16n) | (0x8e00n << 32n) | (7n << 48n),
        );
        h.memory.write8(hostPhysical(handler), 0xf4);
      }
      h.memory.write64(hostPhysical(8), 0x00af9b000000ffffn);
      h.processor.state.write64(STATE.IDTR_BASE, BigInt(idt));
      h.processor.state.write32(STATE.IDTR_LIMIT, 0xfff);
      h.processor.state.write32(STATE.GDTR_LIMIT, 0xff);
      runToHalt(h);
      expect([code, h.processor.state.rip]).toEqual([code, BigInt(0x71000 + vector * 16 + 1)]);
    }
  });
});

/** The run stops at each VM exit although the host is code of the same processor. */
function runToHaltAcrossExits(h: Hypervisor): void {
  for (let n = 0; n < 100; n++) {
    const { kind } = h.processor.run({ cycles: 1e6, instructions: 10_000 });
    if (kind === 'halt') return;
    expect(kind).toBe('vm-exit');
  }
  throw new Error('no end');
}

describe('Appendix A VMX Capability Reporting Facility', () => {
  it('allowed-1 settings contain allowed-0 settings, TRUE controls relax the others', () => {
    for (const [plain, relaxed] of [
      [0x481, 0x48d],
      [0x482, 0x48e],
      [0x483, 0x48f],
      [0x484, 0x490],
    ] as const) {
      const [a, b] = [vmxCapability(plain)!, vmxCapability(relaxed)!];
      for (const value of [a, b]) expect(value & 0xffffffffn & ~(value >> 32n)).toBe(0n);
      expect(b & 0xffffffffn & ~(a & 0xffffffffn)).toBe(0n);
      expect(a >> 32n).toBe(b >> 32n);
    }
  });
  it('has the default1 bits of the manual (A.3.1, A.3.2, A.4, A.5)', () => {
    expect(vmxCapability(0x481)! & 0xffffffffn).toBe(0x16n);
    expect(vmxCapability(0x482)! & 0xffffffffn).toBe(0x401e172n);
    expect(vmxCapability(0x483)! & 0xffffffffn).toBe(0x36dffn);
    expect(vmxCapability(0x484)! & 0xffffffffn).toBe(0x11ffn);
  });
  it('is readable with RDMSR', () => {
    const h = createHypervisor('mov ecx, 0x480\nrdmsr');
    runToHalt(h);
    expect(register(h, 0)).toBe(BigInt(VMCS_REVISION_IDENTIFIER));
    expect(register(h, 2)! & 0x1fffn).toBe(0x1000n);
    expect(vmxCapability(0x4a0)).toBeUndefined();
  });
});
