/** APIC virtualization and virtual interrupts (SDM Vol. 3C, Chapter 29). */

import { describe, expect, it } from 'vitest';
import { EXIT_CONTROL, PIN_BASED, PRIMARY, SECONDARY } from '../../src/architecture/vmx/controls.js';
import { EXIT_REASON } from '../../src/architecture/vmx/exit-reasons.js';
import { VMCS } from '../../src/architecture/vmx/vmcs-fields.js';
import { hostPhysical } from '../../src/memory/addresses.js';
import type { InterruptSource } from '../../src/processor/core.js';
import {
  APIC_ACCESS_PAGE,
  activateSecondary,
  createVmxMachine,
  enableEpt,
  GUEST_CODE,
  GUEST_IDT,
  launchToExit,
  MSR_AREA,
  VIRTUAL_APIC_PAGE,
  type VmxMachine,
} from './vmx-machine.js';

const PIN = VMCS.PIN_BASED_VM_EXECUTION_CONTROLS;
const PRIMARY_FIELD = VMCS.PRIMARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS;
const HANDLER = GUEST_CODE + 0x800;
const NOTIFICATION = 0xf2;
const BOTH = SECONDARY.APIC_REGISTER_VIRTUALIZATION | SECONDARY.VIRTUAL_INTERRUPT_DELIVERY;

/** Gates of all vectors lead to a handler that halts; guest code is 64-bit, with interrupts on. */
function machineWith(secondary: number, code: string): VmxMachine {
  const m = createVmxMachine({}, ['apicVirtualization']);
  for (let vector = 0; vector < 256; vector++) {
    const low =
      (BigInt(HANDLER) & 0xffffn) | (8n << 16n) | (0x8e00n << 32n) | ((BigInt(HANDLER) >> 16n) << 48n);
    m.memory.write64(hostPhysical(GUEST_IDT + vector * 16), low);
  }
  m.memory.write64(hostPhysical(8), 0x00af9b000000ffffn);
  m.memory.write8(hostPhysical(HANDLER), 0xf4);
  enableEpt(m);
  m.change(PRIMARY_FIELD, PRIMARY.USE_TPR_SHADOW);
  m.write(VMCS.VIRTUAL_APIC_ADDRESS, VIRTUAL_APIC_PAGE);
  m.write(VMCS.APIC_ACCESS_ADDRESS, APIC_ACCESS_PAGE);
  m.change(PIN, PIN_BASED.EXTERNAL_INTERRUPT_EXITING);
  activateSecondary(m, secondary);
  m.write(VMCS.GUEST_RFLAGS, 0x202);
  m.assemble(code);
  return m;
}

const register = (m: VmxMachine, offset: number): number =>
  m.memory.read32(hostPhysical(VIRTUAL_APIC_PAGE + offset)) >>> 0;
const setRegister = (m: VmxMachine, offset: number, value: number): void =>
  m.memory.write32(hostPhysical(VIRTUAL_APIC_PAGE + offset), value);
const setVector = (m: VmxMachine, base: number, vector: number): void =>
  setRegister(m, base + (vector >> 5) * 16, register(m, base + (vector >> 5) * 16) | (1 << (vector & 31)));
const hasVector = (m: VmxMachine, base: number, vector: number): boolean =>
  (register(m, base + (vector >> 5) * 16) & (1 << (vector & 31))) !== 0;
const ISR = 0x100;
const IRR = 0x200;
const PPR = 0xa0;
const rip = (m: VmxMachine): number => Number(m.read(VMCS.GUEST_RIP));
/** SVI and RVI. */
const status = (m: VmxMachine): number => Number(m.read(VMCS.GUEST_INTERRUPT_STATUS));

const X2APIC = SECONDARY.VIRTUALIZE_X2APIC_MODE | BOTH;
const wrmsr = (msr: number, low: number, high = 0): string =>
  `mov ecx, ${msr}\nmov eax, ${low}\nmov edx, ${high}\nwrmsr\n`;

describe('29.2.1 Evaluation and 29.2.2 Virtual-Interrupt Delivery', () => {
  it('an interrupt above the priority is delivered after VM entry, without an exit', () => {
    const m = machineWith(X2APIC, 'nop\nhlt');
    setVector(m, IRR, 0x51);
    setVector(m, IRR, 0x31);
    m.write(VMCS.GUEST_INTERRUPT_STATUS, 0x51);
    expect(launchToExit(m)).toBe(EXIT_REASON.HLT);
    expect(rip(m)).toBe(HANDLER);
    expect(status(m)).toBe(0x5131);
    expect([hasVector(m, IRR, 0x51), hasVector(m, ISR, 0x51), register(m, PPR)]).toEqual([false, true, 0x50]);
  });

  it.each([
    ['the task priority', 0x50, 0x51, 0x202, 0],
    ['RFLAGS.IF', 0, 0x51, 0x2, 0],
    ['interrupt-window exiting', 0, 0x51, 0x202, PRIMARY.INTERRUPT_WINDOW_EXITING],
  ])('%s holds it back', (_name, taskPriority, vector, rflags, primary) => {
    const m = machineWith(X2APIC, 'nop\nhlt');
    m.change(PRIMARY_FIELD, primary);
    setRegister(m, 0x80, taskPriority);
    setVector(m, IRR, vector);
    m.write(VMCS.GUEST_INTERRUPT_STATUS, vector);
    m.write(VMCS.GUEST_RFLAGS, rflags);
    expect(launchToExit(m)).toBe(primary === 0 ? EXIT_REASON.HLT : EXIT_REASON.INTERRUPT_WINDOW);
    expect(rip(m)).toBeLessThan(HANDLER);
    expect(status(m)).toBe(vector);
  });

  it('STI holds it back for one instruction', () => {
    const m = machineWith(X2APIC, 'sti\nmov ebx, 7\nmov ebx, 8\nhlt');
    m.write(VMCS.GUEST_RFLAGS, 2);
    setVector(m, IRR, 0x40);
    m.write(VMCS.GUEST_INTERRUPT_STATUS, 0x40);
    expect(launchToExit(m)).toBe(EXIT_REASON.HLT);
    expect([rip(m), m.processor.state.readGpr(3)]).toEqual([HANDLER, 7n]);
  });
});

describe('29.1.2 TPR, 29.1.3 PPR, 29.1.4 EOI and 29.1.5 Self-IPI Virtualization', () => {
  it('a lower task priority lets a request through at once', () => {
    const m = machineWith(X2APIC, `${wrmsr(0x808, 0x40)}nop\nhlt`);
    setRegister(m, 0x80, 0x70);
    setVector(m, IRR, 0x61);
    m.write(VMCS.GUEST_INTERRUPT_STATUS, 0x61);
    expect(launchToExit(m)).toBe(EXIT_REASON.HLT);
    expect([rip(m), register(m, 0x80), register(m, PPR)]).toEqual([HANDLER, 0x40, 0x60]);
  });

  it('CR8 works on the same register', () => {
    const m = machineWith(X2APIC, 'mov eax, 4\nmov cr8, rax\nnop\nhlt');
    setRegister(m, 0x80, 0x70);
    setVector(m, IRR, 0x61);
    m.write(VMCS.GUEST_INTERRUPT_STATUS, 0x61);
    expect(launchToExit(m)).toBe(EXIT_REASON.HLT);
    expect(rip(m)).toBe(HANDLER);
  });

  it('an end of interrupt takes the highest vector out of service and evaluates', () => {
    const m = machineWith(X2APIC, `${wrmsr(0x80b, 0)}nop\nhlt`);
    for (const vector of [0x52, 0x31]) setVector(m, ISR, vector);
    setVector(m, IRR, 0x44);
    m.write(VMCS.GUEST_INTERRUPT_STATUS, 0x5244);
    expect(launchToExit(m)).toBe(EXIT_REASON.HLT);
    expect([rip(m), status(m)]).toEqual([HANDLER, 0x4400]);
    expect([hasVector(m, ISR, 0x52), hasVector(m, ISR, 0x31)]).toEqual([false, true]);
  });

  it('an end of interrupt exits behind the instruction if the EOI-exit bitmap says so', () => {
    const m = machineWith(X2APIC, `${wrmsr(0x80b, 0)}hlt`);
    setVector(m, ISR, 0x75);
    m.write(VMCS.GUEST_INTERRUPT_STATUS, 0x7500);
    m.write(VMCS.EOI_EXIT_BITMAP_1, 1n << 0x35n);
    expect(launchToExit(m)).toBe(EXIT_REASON.EOI_INDUCED);
    expect([m.read(VMCS.EXIT_QUALIFICATION), status(m)]).toEqual([0x75n, 0]);
    expect(m.memory.read8(hostPhysical(rip(m)))).toBe(0xf4);
  });

  it('a self-IPI is requested and delivered; vectors below 16 exit', () => {
    const m = machineWith(X2APIC, `${wrmsr(0x83f, 0x45)}nop\nhlt`);
    expect(launchToExit(m)).toBe(EXIT_REASON.HLT);
    expect([rip(m), status(m)]).toEqual([HANDLER, 0x4500]);
    const low = machineWith(X2APIC, `${wrmsr(0x83f, 9)}nop\nhlt`);
    expect(launchToExit(low)).toBe(EXIT_REASON.APIC_WRITE);
    expect(low.read(VMCS.EXIT_QUALIFICATION)).toBe(0x3f0n);
  });
});

describe('29.5 Virtualizing MSR-Based APIC Accesses', () => {
  it('reads come from the virtual-APIC page', () => {
    const m = machineWith(X2APIC, 'mov ecx, 0x830\nrdmsr\nhlt');
    setRegister(m, 0x300, 0x1234);
    setRegister(m, 0x304, 0x5678);
    expect(launchToExit(m)).toBe(EXIT_REASON.HLT);
    expect([m.processor.state.readGpr(0), m.processor.state.readGpr(2)]).toEqual([0x1234n, 0x5678n]);
  });

  it('without APIC-register virtualization only the task priority does', () => {
    const m = machineWith(
      SECONDARY.VIRTUALIZE_X2APIC_MODE,
      'mov ecx, 0x808\nrdmsr\nmov ecx, 0x80f\nrdmsr\nhlt',
    );
    setRegister(m, 0x80, 0x33);
    m.write(VMCS.EXCEPTION_BITMAP, 1 << 13);
    expect(launchToExit(m)).toBe(EXIT_REASON.EXCEPTION_NMI);
    expect(m.processor.state.readGpr(0)).toBe(0x33n);
  });

  it.each([
    [0x808, 0x100, 0],
    [0x80b, 1, 0],
    [0x83f, 0x40, 1],
  ])('reserved bits in a write of %i raise #GP', (msr, low, high) => {
    const m = machineWith(X2APIC, `${wrmsr(msr, low, high)}hlt`);
    m.write(VMCS.EXCEPTION_BITMAP, 1 << 13);
    expect(launchToExit(m)).toBe(EXIT_REASON.EXCEPTION_NMI);
  });

  it('the MSR bitmaps come first', () => {
    const m = machineWith(X2APIC, `${wrmsr(0x80b, 0)}hlt`);
    m.memory.write8(hostPhysical(0x22000 + 0x800 + 0x101), 0xff);
    expect(launchToExit(m)).toBe(EXIT_REASON.MSR_WRITE);
  });
});

const MMIO = SECONDARY.VIRTUALIZE_APIC_ACCESSES;
const page = (offset: number): string => `[0x${(APIC_ACCESS_PAGE + offset).toString(16)}]`;

describe('29.4.2 Virtualizing Reads from the APIC-Access Page', () => {
  it('registers are read without an exit under APIC-register virtualization, the current count is not', () => {
    const m = machineWith(MMIO | BOTH, `mov eax, dword ${page(0xf0)}\nmov ebx, dword ${page(0x390)}\nhlt`);
    setRegister(m, 0xf0, 0x1ff);
    expect(launchToExit(m)).toBe(EXIT_REASON.APIC_ACCESS);
    expect([m.processor.state.readGpr(0), m.read(VMCS.EXIT_QUALIFICATION)]).toEqual([0x1ffn, 0x390n]);
  });
});

describe('29.4.3 Virtualizing Writes to the APIC-Access Page', () => {
  it('most are written to the virtual-APIC page and exit behind the instruction, with their offset', () => {
    const m = machineWith(MMIO | BOTH, `mov dword ${page(0x380)}, 12345\nhlt`);
    expect(launchToExit(m)).toBe(EXIT_REASON.APIC_WRITE);
    expect([m.read(VMCS.EXIT_QUALIFICATION), register(m, 0x380)]).toEqual([0x380n, 12345]);
    expect(m.memory.read8(hostPhysical(rip(m)))).toBe(0xf4);
  });

  it('TPR, EOI and self-IPI are virtualized without an exit', () => {
    const m = machineWith(
      MMIO | BOTH,
      `mov dword ${page(0x80)}, 0x1234f0\nmov dword ${page(0x300)}, 0x40045\nmov ebx, 1\nmov dword ${page(0x80)}, 0x20\nmov ebx, 2\nhlt`,
    );
    expect(launchToExit(m)).toBe(EXIT_REASON.HLT);
    // The interrupt waits behind priority 0xf0, and comes right after it is lowered.
    expect([rip(m), m.processor.state.readGpr(3), status(m)]).toEqual([HANDLER, 1n, 0x4500]);
    const end = machineWith(MMIO | BOTH, `mov dword ${page(0xb0)}, 99\nhlt`);
    setVector(end, ISR, 0x52);
    end.write(VMCS.GUEST_INTERRUPT_STATUS, 0x5200);
    expect(launchToExit(end)).toBe(EXIT_REASON.HLT);
    expect([status(end), register(end, 0xb0), hasVector(end, ISR, 0x52)]).toEqual([0, 0, false]);
  });

  it('a read-modify-write instruction is virtualized like a write', () => {
    const m = machineWith(MMIO | BOTH, `add dword ${page(0x380)}, 5\nhlt`);
    setRegister(m, 0x380, 100);
    expect(launchToExit(m)).toBe(EXIT_REASON.APIC_WRITE);
    expect(register(m, 0x380)).toBe(105);
  });

  it('an interrupt command to others exits', () => {
    const m = machineWith(MMIO | BOTH, `mov dword ${page(0x300)}, 0xc0045\nhlt`);
    expect(launchToExit(m)).toBe(EXIT_REASON.APIC_WRITE);
    expect(m.read(VMCS.EXIT_QUALIFICATION)).toBe(0x300n);
  });

  it('without APIC-register virtualization other registers cause APIC-access exits', () => {
    const m = machineWith(MMIO | SECONDARY.VIRTUAL_INTERRUPT_DELIVERY, `mov dword ${page(0x380)}, 1\nhlt`);
    expect(launchToExit(m)).toBe(EXIT_REASON.APIC_ACCESS);
    expect(m.read(VMCS.EXIT_QUALIFICATION)).toBe(0x1380n);
  });
});

describe('29.6 Posted-Interrupt Processing', () => {
  function posted(vectorOnBus: number): { machine: VmxMachine; taken: () => number } {
    const machine = machineWith(X2APIC, 'again: inc ebx\njmp again');
    machine.change(PIN, PIN_BASED.PROCESS_POSTED_INTERRUPTS);
    machine.change(VMCS.VM_EXIT_CONTROLS, EXIT_CONTROL.ACKNOWLEDGE_INTERRUPT_ON_EXIT);
    machine.write(VMCS.POSTED_INTERRUPT_NOTIFICATION_VECTOR, NOTIFICATION);
    machine.write(VMCS.POSTED_INTERRUPT_DESCRIPTOR_ADDRESS, MSR_AREA);
    machine.memory.write32(hostPhysical(MSR_AREA + (0x61 >> 5) * 4), 1 << (0x61 & 31));
    machine.memory.write32(hostPhysical(MSR_AREA + 32), 1);
    let taken = 0;
    const source: InterruptSource = {
      pending: () => taken === 0,
      acknowledge: () => {
        taken++;
        return vectorOnBus;
      },
    };
    machine.processor.interrupts = source;
    return { machine, taken: () => taken };
  }

  it('a notification moves the posted requests to the guest, which takes them without an exit', () => {
    const { machine, taken } = posted(NOTIFICATION);
    expect(launchToExit(machine)).toBe(EXIT_REASON.HLT);
    expect([rip(machine), status(machine), taken()]).toEqual([HANDLER, 0x6100, 1]);
    const descriptor = Array.from({ length: 9 }, (_, n) =>
      machine.memory.read32(hostPhysical(MSR_AREA + n * 4)),
    );
    expect(descriptor).toEqual(Array.from({ length: 9 }, () => 0));
  });

  it('any other interrupt exits with its vector', () => {
    const { machine } = posted(0xec);
    expect(launchToExit(machine)).toBe(EXIT_REASON.EXTERNAL_INTERRUPT);
    expect(Number(machine.read(VMCS.VM_EXIT_INTERRUPTION_INFORMATION)) & 0x800000ff).toBe(0x800000ec | 0);
    expect(machine.memory.read32(hostPhysical(MSR_AREA + 32))).toBe(1);
  });
});
