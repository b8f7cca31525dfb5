/** Exceptions, interrupts, injection, and the state that VM entries and VM exits move (SDM Vol. 3C, 25.2, 26.3.2, 26.6, 27). */

import { describe, expect, it } from 'vitest';
import { SEGMENT } from '../../src/architecture/registers.js';
import {
  ENTRY_CONTROL,
  EXIT_CONTROL,
  PIN_BASED,
  PRIMARY,
  SECONDARY,
} from '../../src/architecture/vmx/controls.js';
import { EXIT_REASON } from '../../src/architecture/vmx/exit-reasons.js';
import { VMCS } from '../../src/architecture/vmx/vmcs-fields.js';
import { hostPhysical } from '../../src/memory/addresses.js';
import { STATE } from '../../src/processor/state/layout.js';
import { VmxAbortError } from '../../src/vmx/exit/vm-exit.js';
import {
  APIC_ACCESS_PAGE,
  activateSecondary,
  createVmxMachine,
  GUEST_CODE,
  GUEST_IDT,
  GUEST_STACK,
  HOST_STACK,
  launchToExit,
  MSR_AREA,
  runToExit,
  VIRTUAL_APIC_PAGE,
  type VmxMachine,
} from './vmx-machine.js';

const PIN = VMCS.PIN_BASED_VM_EXECUTION_CONTROLS;
const PRIMARY_FIELD = VMCS.PRIMARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS;
const HANDLER = GUEST_CODE + 0x400;

/** Interrupt gates for all vectors, to a HLT at `HANDLER`. */
function installHandlers(m: VmxMachine): void {
  for (let vector = 0; vector < 256; vector++) {
    const gate = hostPhysical(GUEST_IDT + vector * 16);
    const low =
      (BigInt(HANDLER) & 0xffffn) | (8n << 16n) | (0x8e00n << 32n) | ((BigInt(HANDLER) >> 16n) << 48n);
    m.memory.write64(gate, low);
    m.memory.write64(hostPhysical(gate + 8), 0n);
  }
  m.memory.write8(hostPhysical(HANDLER), 0xf4);
  // The code segment that gates load: the GDT is at 0.
  m.memory.write64(hostPhysical(8), 0x00af9b000000ffffn);
}

const stack = (m: VmxMachine, slot: number): bigint =>
  m.memory.read64(hostPhysical(Number(m.read(VMCS.GUEST_RSP)) + slot * 8));

describe('25.2 Other Causes of VM Exits: exceptions', () => {
  it('#UD exits if its bit of the exception bitmap is set', () => {
    const m = createVmxMachine();
    m.write(VMCS.EXCEPTION_BITMAP, 1 << 6);
    m.assemble('nop\nud2');
    expect(launchToExit(m)).toBe(EXIT_REASON.EXCEPTION_NMI);
    expect(m.read(VMCS.VM_EXIT_INTERRUPTION_INFORMATION)).toBe(0x80000306n);
    expect(m.read(VMCS.GUEST_RIP)).toBe(BigInt(GUEST_CODE + 1));
    // RF is saved as delivery would have pushed it.
    expect(m.read(VMCS.GUEST_RFLAGS) & 0x10000n).toBe(0x10000n);
  });

  it('and is delivered in the guest if it is clear', () => {
    const m = createVmxMachine();
    installHandlers(m);
    m.assemble('nop\nud2');
    expect(launchToExit(m)).toBe(EXIT_REASON.HLT);
    expect(m.read(VMCS.GUEST_RIP)).toBe(BigInt(HANDLER));
    expect(stack(m, 0)).toBe(BigInt(GUEST_CODE + 1));
  });

  it('INT3 is a software exception with an instruction length', () => {
    const m = createVmxMachine();
    m.write(VMCS.EXCEPTION_BITMAP, 1 << 3);
    m.assemble('int3');
    installHandlers(m);
    expect(launchToExit(m)).toBe(EXIT_REASON.EXCEPTION_NMI);
    expect(m.read(VMCS.VM_EXIT_INTERRUPTION_INFORMATION)).toBe(0x80000603n);
    expect(m.read(VMCS.VM_EXIT_INSTRUCTION_LENGTH)).toBe(1n);
    expect(m.read(VMCS.GUEST_RIP)).toBe(BigInt(GUEST_CODE));
  });

  it('#GP has its error code', () => {
    const m = createVmxMachine();
    m.write(VMCS.EXCEPTION_BITMAP, 1 << 13);
    m.assemble('mov eax, 0x2b\nmov ds, ax');
    expect(launchToExit(m)).toBe(EXIT_REASON.EXCEPTION_NMI);
    expect(m.read(VMCS.VM_EXIT_INTERRUPTION_INFORMATION)).toBe(0x80000b0dn);
    expect(m.read(VMCS.VM_EXIT_INTERRUPTION_ERROR_CODE)).toBe(0x28n);
  });

  for (const [bitmap, mask, match, exits] of [
    [1, 0, 0, true],
    [1, 2, 2, true],
    [1, 2, 0, false],
    [0, 2, 2, false],
    [0, 2, 0, true],
    [0, 0, 1, true],
  ] as const)
    it(`a write #PF ${exits ? 'exits' : 'does not exit'} with bitmap ${bitmap}, mask ${mask}, match ${match}`, () => {
      const m = createVmxMachine();
      installHandlers(m);
      m.write(VMCS.EXCEPTION_BITMAP, bitmap << 14);
      m.write(VMCS.PAGE_FAULT_ERROR_CODE_MASK, mask);
      m.write(VMCS.PAGE_FAULT_ERROR_CODE_MATCH, match);
      m.assemble('mov rax, 0x700000000123\nmov [rax], eax');
      const reason = launchToExit(m);
      if (exits) {
        expect(reason).toBe(EXIT_REASON.EXCEPTION_NMI);
        expect(m.read(VMCS.EXIT_QUALIFICATION)).toBe(0x700000000123n);
        expect(m.read(VMCS.VM_EXIT_INTERRUPTION_INFORMATION)).toBe(0x80000b0en);
        expect(m.read(VMCS.VM_EXIT_INTERRUPTION_ERROR_CODE)).toBe(2n);
        expect(m.processor.state.cr2).toBe(0n);
      } else {
        expect(reason).toBe(EXIT_REASON.HLT);
        expect(m.processor.state.cr2).toBe(0x700000000123n);
      }
    });

  it('a fault during delivery leaves the IDT-vectoring information', () => {
    const m = createVmxMachine();
    installHandlers(m);
    m.write(VMCS.EXCEPTION_BITMAP, 1 << 14);
    m.write(VMCS.GUEST_RSP, 0x700000001000n);
    m.assemble('int 0x21');
    expect(launchToExit(m)).toBe(EXIT_REASON.EXCEPTION_NMI);
    expect(m.read(VMCS.VM_EXIT_INTERRUPTION_INFORMATION)).toBe(0x80000b0en);
    expect(m.read(VMCS.IDT_VECTORING_INFORMATION)).toBe(0x80000421n);
    expect(m.read(VMCS.VM_EXIT_INSTRUCTION_LENGTH)).toBe(2n);
  });

  it('a double fault that exits is not "during delivery"', () => {
    const m = createVmxMachine();
    installHandlers(m);
    m.write(VMCS.EXCEPTION_BITMAP, 1 << 8);
    // #PF with a broken gate raises #GP: together a double fault.
    m.memory.write64(hostPhysical(GUEST_IDT + 14 * 16), 0n);
    m.assemble('mov rax, 0x700000000000\nmov [rax], eax');
    expect(launchToExit(m)).toBe(EXIT_REASON.EXCEPTION_NMI);
    expect(m.read(VMCS.VM_EXIT_INTERRUPTION_INFORMATION)).toBe(0x80000b08n);
    expect(m.read(VMCS.VM_EXIT_INTERRUPTION_ERROR_CODE)).toBe(0n);
    expect(m.read(VMCS.IDT_VECTORING_INFORMATION)).toBe(0n);
  });

  it('a triple fault exits', () => {
    const m = createVmxMachine();
    m.write(VMCS.GUEST_IDTR_LIMIT, 0);
    m.assemble('ud2');
    expect(launchToExit(m)).toBe(EXIT_REASON.TRIPLE_FAULT);
    expect(m.read(VMCS.IDT_VECTORING_INFORMATION)).toBe(0n);
    expect(m.read(VMCS.GUEST_RIP)).toBe(BigInt(GUEST_CODE));
  });
});

describe('25.2 Other Causes of VM Exits: interrupts', () => {
  const withInterrupt = (): VmxMachine & { acknowledged: number } => {
    let pending = true;
    const state = { acknowledged: 0 };
    const m = createVmxMachine({
      interrupts: {
        pending: () => pending,
        acknowledge: () => {
          pending = false;
          state.acknowledged++;
          return 0x31;
        },
      },
    });
    m.assemble('nop\nhlt');
    return Object.defineProperty(m, 'acknowledged', { get: () => state.acknowledged }) as never;
  };

  it('external-interrupt exiting works with IF clear, and leaves the interrupt pending', () => {
    const m = withInterrupt();
    m.change(PIN, PIN_BASED.EXTERNAL_INTERRUPT_EXITING);
    expect(launchToExit(m)).toBe(EXIT_REASON.EXTERNAL_INTERRUPT);
    expect(m.read(VMCS.VM_EXIT_INTERRUPTION_INFORMATION)).toBe(0n);
    expect(m.acknowledged).toBe(0);
  });

  it('"acknowledge interrupt on exit" gives the vector', () => {
    const m = withInterrupt();
    m.change(PIN, PIN_BASED.EXTERNAL_INTERRUPT_EXITING);
    m.change(VMCS.VM_EXIT_CONTROLS, EXIT_CONTROL.ACKNOWLEDGE_INTERRUPT_ON_EXIT);
    expect(launchToExit(m)).toBe(EXIT_REASON.EXTERNAL_INTERRUPT);
    expect(m.read(VMCS.VM_EXIT_INTERRUPTION_INFORMATION)).toBe(0x80000031n);
    expect(m.acknowledged).toBe(1);
  });

  it('without the control the guest takes the interrupt', () => {
    const m = withInterrupt();
    installHandlers(m);
    m.write(VMCS.GUEST_RFLAGS, 0x202);
    expect(launchToExit(m)).toBe(EXIT_REASON.HLT);
    expect(m.read(VMCS.GUEST_RIP)).toBe(BigInt(HANDLER));
  });

  it('interrupt-window exiting waits until IF is set and STI blocks no more', () => {
    const m = createVmxMachine();
    m.change(PRIMARY_FIELD, PRIMARY.INTERRUPT_WINDOW_EXITING);
    m.assemble('nop\nsti\nnop\nhlt');
    expect(launchToExit(m)).toBe(EXIT_REASON.INTERRUPT_WINDOW);
    expect(m.read(VMCS.GUEST_RIP)).toBe(BigInt(GUEST_CODE + 3));
    expect(m.read(VMCS.GUEST_RFLAGS)).toBe(0x202n);
  });

  it('an exit in the shadow of STI saves the blocking', () => {
    const m = createVmxMachine();
    m.assemble('sti\nhlt');
    expect(launchToExit(m)).toBe(EXIT_REASON.HLT);
    expect(m.read(VMCS.GUEST_INTERRUPTIBILITY_STATE)).toBe(1n);
    expect(m.processor.interruptShadow).toBe('none');
  });

  it('NMI-window exiting exits at once unless NMIs are blocked', () => {
    const m = createVmxMachine();
    m.change(PIN, PIN_BASED.NMI_EXITING | PIN_BASED.VIRTUAL_NMIS);
    m.change(PRIMARY_FIELD, PRIMARY.NMI_WINDOW_EXITING);
    m.assemble('hlt');
    expect(launchToExit(m)).toBe(EXIT_REASON.NMI_WINDOW);
    m.write(VMCS.GUEST_INTERRUPTIBILITY_STATE, 8);
    m.vmx.vmresume();
    expect(runToExit(m)).toBe(EXIT_REASON.HLT);
    expect(m.read(VMCS.GUEST_INTERRUPTIBILITY_STATE)).toBe(8n);
    expect(m.processor.nmiBlocked).toBe(false);
  });

  it('NMI exiting blocks NMIs behind the exit', () => {
    const m = createVmxMachine();
    m.change(PIN, PIN_BASED.NMI_EXITING);
    m.assemble('hlt');
    m.vmx.vmlaunch();
    const nmi = {
      type: 'nmi',
      vector: 2,
      errorCode: undefined,
      instructionLength: 0,
      payload: undefined,
    } as const;
    expect(m.processor.intercepts!.exception(nmi)).toBe(true);
    expect(m.read(VMCS.EXIT_REASON)).toBe(0n);
    expect(m.read(VMCS.VM_EXIT_INTERRUPTION_INFORMATION)).toBe(0x80000202n);
    expect(m.processor.nmiBlocked).toBe(true);
  });
});

describe('26.6 Event Injection', () => {
  const inject = (m: VmxMachine, information: number): void => {
    installHandlers(m);
    m.assemble('hlt');
    m.write(VMCS.VM_ENTRY_INTERRUPTION_INFORMATION, information);
  };

  it('external interrupt', () => {
    const m = createVmxMachine();
    inject(m, 0x80000030);
    m.write(VMCS.GUEST_RFLAGS, 0x202);
    m.vmx.vmlaunch();
    expect(m.processor.state.rip).toBe(BigInt(HANDLER));
    expect(m.processor.state.interruptsEnabled).toBe(false);
    expect(runToExit(m)).toBe(EXIT_REASON.HLT);
    expect(stack(m, 0)).toBe(BigInt(GUEST_CODE));
    expect(stack(m, 2)).toBe(0x202n);
    // 27.2: a VM exit clears the valid bit.
    expect(m.read(VMCS.VM_ENTRY_INTERRUPTION_INFORMATION)).toBe(0x30n);
  });

  it('hardware exception with an error code, not subject to the exception bitmap', () => {
    const m = createVmxMachine();
    inject(m, 0x80000b0e);
    m.write(VMCS.EXCEPTION_BITMAP, 0xffffffff);
    m.write(VMCS.VM_ENTRY_EXCEPTION_ERROR_CODE, 5);
    expect(launchToExit(m)).toBe(EXIT_REASON.HLT);
    expect(stack(m, 0)).toBe(5n);
    expect(stack(m, 1)).toBe(BigInt(GUEST_CODE));
    expect(m.processor.state.cr2).toBe(0n);
  });

  it('software interrupt: RIP behind the instruction is pushed', () => {
    const m = createVmxMachine();
    inject(m, 0x80000480);
    m.write(VMCS.VM_ENTRY_INSTRUCTION_LENGTH, 2);
    expect(launchToExit(m)).toBe(EXIT_REASON.HLT);
    expect(stack(m, 0)).toBe(BigInt(GUEST_CODE + 2));
  });

  it('wakes a halted guest', () => {
    const m = createVmxMachine();
    inject(m, 0x80000030);
    m.write(VMCS.GUEST_RFLAGS, 0x202);
    m.write(VMCS.GUEST_ACTIVITY_STATE, 1);
    m.vmx.vmlaunch();
    expect(m.processor.halted).toBe(false);
    expect(runToExit(m)).toBe(EXIT_REASON.HLT);
  });

  it('a fault in the delivery exits with the injected event in the IDT-vectoring information', () => {
    const m = createVmxMachine();
    inject(m, 0x80000030);
    m.write(VMCS.GUEST_RFLAGS, 0x202);
    m.write(VMCS.GUEST_RSP, 0x700000001000n);
    m.write(VMCS.EXCEPTION_BITMAP, 1 << 14);
    expect(m.vmx.vmlaunch()).toEqual({ ok: true });
    expect(m.processor.intercepts).toBeNull();
    expect(m.read(VMCS.EXIT_REASON)).toBe(BigInt(EXIT_REASON.EXCEPTION_NMI));
    expect(m.read(VMCS.IDT_VECTORING_INFORMATION)).toBe(0x80000030n);
    expect(m.vmx.lastEntryFailure).toBeUndefined();
  });

  it('26.7.7: TPR below threshold right after VM entry', () => {
    const m = createVmxMachine();
    m.assemble('hlt');
    m.change(PRIMARY_FIELD, PRIMARY.USE_TPR_SHADOW);
    activateSecondary(m, SECONDARY.VIRTUALIZE_APIC_ACCESSES);
    m.write(VMCS.VIRTUAL_APIC_ADDRESS, VIRTUAL_APIC_PAGE);
    m.write(VMCS.APIC_ACCESS_ADDRESS, APIC_ACCESS_PAGE);
    m.write(VMCS.TPR_THRESHOLD, 3);
    expect(launchToExit(m)).toBe(EXIT_REASON.TPR_BELOW_THRESHOLD);
    expect(m.read(VMCS.GUEST_RIP)).toBe(BigInt(GUEST_CODE));
  });
});

describe('26.3.2 Loading Guest State, 27.3 Saving Guest State', () => {
  it('moves every register both ways', () => {
    const m = createVmxMachine();
    const values: [number, bigint][] = [
      [VMCS.GUEST_RSP, 0x123456789abcdef0n],
      [VMCS.GUEST_RIP, BigInt(GUEST_CODE)],
      [VMCS.GUEST_RFLAGS, 0x203046n],
      [VMCS.GUEST_CR0, 0x8005003fn],
      [VMCS.GUEST_CR3, 0x12345000n],
      [VMCS.GUEST_CR4, 0x26f0n],
      [VMCS.GUEST_DR7, 0x455n],
      [VMCS.GUEST_IA32_DEBUGCTL, 1n],
      [VMCS.GUEST_IA32_SYSENTER_CS, 0x1234n],
      [VMCS.GUEST_IA32_SYSENTER_ESP, 0xffff800000001000n],
      [VMCS.GUEST_IA32_SYSENTER_EIP, 0xffff800000002000n],
      [VMCS.GUEST_GDTR_BASE, 0xffff880000000000n],
      [VMCS.GUEST_GDTR_LIMIT, 0x7fn],
      [VMCS.GUEST_IDTR_BASE, 0x11000n],
      [VMCS.GUEST_IDTR_LIMIT, 0xffen],
      [VMCS.GUEST_FS_BASE, 0x7f1234567000n],
      [VMCS.GUEST_GS_BASE, 0xffff8880abcde000n],
      [VMCS.GUEST_DS_SELECTOR, 0n],
      [VMCS.GUEST_DS_ACCESS_RIGHTS, 0x1c093n],
      [VMCS.GUEST_ES_LIMIT, 0xabcdefffn],
      [VMCS.GUEST_LDTR_SELECTOR, 0x60n],
      [VMCS.GUEST_LDTR_BASE, 0x123456n],
      [VMCS.GUEST_LDTR_LIMIT, 0x1fn],
      [VMCS.GUEST_LDTR_ACCESS_RIGHTS, 0x82n],
      [VMCS.GUEST_TR_SELECTOR, 0x40n],
      [VMCS.GUEST_TR_BASE, 0xffffc90000004000n],
      [VMCS.GUEST_TR_LIMIT, 0x2087n],
      [VMCS.GUEST_IA32_PAT, 0x0007040600070406n],
      [VMCS.GUEST_IA32_EFER, 0xd01n],
    ];
    for (const [field, value] of values) m.write(field, value);
    m.change(VMCS.VM_ENTRY_CONTROLS, ENTRY_CONTROL.LOAD_IA32_PAT | ENTRY_CONTROL.LOAD_IA32_EFER);
    m.change(VMCS.VM_EXIT_CONTROLS, EXIT_CONTROL.SAVE_IA32_PAT | EXIT_CONTROL.SAVE_IA32_EFER);
    expect(m.vmx.vmlaunch(), m.vmx.describeEntryFailure()).toEqual({ ok: true });
    const { state } = m.processor;
    expect(state.rip).toBe(BigInt(GUEST_CODE));
    expect(state.readGpr(4)).toBe(0x123456789abcdef0n);
    expect(state.rflags).toBe(0x203046);
    expect(state.cr3).toBe(0x12345000n);
    expect(state.cr4).toBe(0x26f0);
    expect(state.efer).toBe(0xd01);
    expect(state.read64(STATE.PAT)).toBe(0x0007040600070406n);
    expect(state.read64(STATE.DEBUG + 56)).toBe(0x455n);
    expect(state.segment(SEGMENT.FS).base).toBe(0x7f1234567000n);
    expect(state.segment(SEGMENT.TR).selector).toBe(0x40);
    expect(state.segment(SEGMENT.TR).limit).toBe(0x2087);
    expect(state.segment(SEGMENT.LDTR).accessRights).toBe(0x82);
    expect(state.read32(STATE.SYSENTER_CS)).toBe(0x1234);

    m.processor.intercepts!.tripleFault();
    for (const [field, value] of values) expect([field, m.read(field)]).toEqual([field, value]);

    // And what the guest changes is saved.
    m.vmx.vmresume();
    state.segment(SEGMENT.GS).base = 0x42n;
    state.segment(SEGMENT.CS).selector = 0x33;
    state.write64(STATE.SYSENTER_EIP, 0x77n);
    state.cr3 = 0x5000n;
    state.rflags = 0x97;
    state.write32(STATE.GDTR_LIMIT, 0x1f);
    m.processor.intercepts!.tripleFault();
    expect(m.read(VMCS.GUEST_GS_BASE)).toBe(0x42n);
    expect(m.read(VMCS.GUEST_CS_SELECTOR)).toBe(0x33n);
    expect(m.read(VMCS.GUEST_IA32_SYSENTER_EIP)).toBe(0x77n);
    expect(m.read(VMCS.GUEST_CR3)).toBe(0x5000n);
    expect(m.read(VMCS.GUEST_RFLAGS)).toBe(0x97n);
    expect(m.read(VMCS.GUEST_GDTR_LIMIT)).toBe(0x1fn);
  });

  it('without "load IA32_EFER", LMA and LME follow "IA-32e mode guest" and the rest stays', () => {
    const m = createVmxMachine();
    m.processor.state.efer = 0xd00;
    m.vmx.vmlaunch();
    expect(m.processor.state.efer).toBe(0xd00);
    m.processor.intercepts!.tripleFault();
    m.change(VMCS.VM_ENTRY_CONTROLS, 0, ENTRY_CONTROL.IA32E_MODE_GUEST);
    m.write(VMCS.GUEST_CR4, 0x2200);
    m.write(VMCS.GUEST_CS_ACCESS_RIGHTS, 0xc09b);
    expect(m.vmx.vmresume()).toEqual({ ok: true });
    expect(m.vmx.describeEntryFailure()).toBe('');
    expect(m.processor.state.efer).toBe(0x800);
  });

  it('EFER.LMA is stored in "IA-32e mode guest" by VM exits', () => {
    const m = createVmxMachine();
    m.vmx.vmlaunch();
    m.processor.state.efer = 0;
    m.processor.intercepts!.tripleFault();
    expect(m.read(VMCS.VM_ENTRY_CONTROLS) & BigInt(ENTRY_CONTROL.IA32E_MODE_GUEST)).toBe(0n);
  });
});

describe('27.5 Loading Host State', () => {
  it('gives the fixed attributes', () => {
    const m = createVmxMachine();
    m.write(VMCS.HOST_FS_BASE, 0x7f00deadb000n);
    m.write(VMCS.HOST_GS_BASE, 0xffff888000001000n);
    m.write(VMCS.HOST_TR_BASE, 0x9000);
    m.write(VMCS.HOST_GDTR_BASE, 0xa000);
    m.write(VMCS.HOST_IDTR_BASE, 0xb000);
    m.write(VMCS.HOST_DS_SELECTOR, 0);
    m.write(VMCS.HOST_IA32_SYSENTER_CS, 0x10);
    m.write(VMCS.HOST_IA32_SYSENTER_ESP, 0xffffc90000000000n);
    m.write(VMCS.GUEST_RFLAGS, 0x246);
    m.vmx.vmlaunch();
    m.processor.intercepts!.tripleFault();
    const { state } = m.processor;
    const segment = (n: number) => {
      const { selector, base, limit, accessRights } = state.segment(n);
      return { selector, base, limit, accessRights };
    };
    expect(segment(SEGMENT.CS)).toEqual({ selector: 8, base: 0n, limit: 0xffffffff, accessRights: 0xa09b });
    expect(segment(SEGMENT.SS)).toEqual({ selector: 16, base: 0n, limit: 0xffffffff, accessRights: 0xc093 });
    expect(state.segment(SEGMENT.DS).unusable).toBe(true);
    expect(segment(SEGMENT.FS).base).toBe(0x7f00deadb000n);
    expect(segment(SEGMENT.GS).base).toBe(0xffff888000001000n);
    expect(segment(SEGMENT.TR)).toEqual({ selector: 0x18, base: 0x9000n, limit: 0x67, accessRights: 0x8b });
    expect(segment(SEGMENT.LDTR)).toEqual({ selector: 0, base: 0n, limit: 0, accessRights: 0x10000 });
    expect(state.read64(STATE.GDTR_BASE)).toBe(0xa000n);
    expect(state.read32(STATE.GDTR_LIMIT)).toBe(0xffff);
    expect(state.read64(STATE.IDTR_BASE)).toBe(0xb000n);
    expect(state.read32(STATE.IDTR_LIMIT)).toBe(0xffff);
    expect(state.read64(STATE.DEBUG + 56)).toBe(0x400n);
    expect(state.rflags).toBe(2);
    expect(state.readGpr(4)).toBe(BigInt(HOST_STACK));
    expect(state.read32(STATE.SYSENTER_CS)).toBe(0x10);
    expect(state.read64(STATE.SYSENTER_ESP)).toBe(0xffffc90000000000n);
    expect(m.read(VMCS.GUEST_RSP)).toBe(BigInt(GUEST_STACK));
    expect(state.cpl).toBe(0);
  });
});

describe('26.4, 27.4, 27.6 MSR areas', () => {
  const entry = (m: VmxMachine, n: number, index: number, value: bigint): void => {
    m.memory.write64(hostPhysical(MSR_AREA + n * 16), BigInt(index));
    m.memory.write64(hostPhysical(MSR_AREA + n * 16 + 8), value);
  };
  const area = (m: VmxMachine, address: number, count: number, entries: number, offset = 0): void => {
    m.write(address, MSR_AREA + offset * 16);
    m.write(count, entries);
  };

  it('are loaded at VM entry, stored and loaded at VM exit', () => {
    const m = createVmxMachine();
    entry(m, 0, 0xc0000082, 0xffff800000001111n);
    entry(m, 1, 0xc0000102, 0x2222n);
    entry(m, 2, 0xc0000082, 0x3333n);
    area(m, VMCS.VM_ENTRY_MSR_LOAD_ADDRESS, VMCS.VM_ENTRY_MSR_LOAD_COUNT, 2);
    area(m, VMCS.VM_EXIT_MSR_STORE_ADDRESS, VMCS.VM_EXIT_MSR_STORE_COUNT, 2);
    area(m, VMCS.VM_EXIT_MSR_LOAD_ADDRESS, VMCS.VM_EXIT_MSR_LOAD_COUNT, 1, 2);
    m.vmx.vmlaunch();
    const { state } = m.processor;
    expect(state.read64(STATE.LSTAR)).toBe(0xffff800000001111n);
    expect(state.read64(STATE.KERNEL_GS_BASE)).toBe(0x2222n);
    state.write64(STATE.KERNEL_GS_BASE, 0x4444n);
    m.processor.intercepts!.tripleFault();
    expect(m.memory.read64(hostPhysical(MSR_AREA + 24))).toBe(0x4444n);
    expect(state.read64(STATE.LSTAR)).toBe(0x3333n);
  });

  for (const [what, index, value] of [
    ['FS base', 0xc0000100, 0n],
    ['GS base', 0xc0000101, 0n],
    ['an x2APIC register', 0x808, 0n],
    ['a value that WRMSR refuses', 0xc0000082, 0x0000800000000000n],
    ['an MSR that does not exist', 0x12345, 0n],
  ] as const)
    it(`VM entry fails on ${what}`, () => {
      const m = createVmxMachine();
      entry(m, 0, 0xc0000102, 1n);
      entry(m, 1, index, value);
      area(m, VMCS.VM_ENTRY_MSR_LOAD_ADDRESS, VMCS.VM_ENTRY_MSR_LOAD_COUNT, 2);
      expect(m.vmx.vmlaunch()).toEqual({ ok: true });
      expect(m.processor.intercepts).toBeNull();
      expect(m.read(VMCS.EXIT_REASON)).toBe(0x80000022n);
      expect(m.read(VMCS.EXIT_QUALIFICATION)).toBe(2n);
      expect(m.vmx.lastEntryFailure).toMatchObject({ stage: 'msr-load', qualification: 2 });
      // The launch state stays clear.
      expect(m.vmx.vmresume()).toEqual({ ok: false, kind: 'valid', error: 5 });
    });

  it('reserved bits of an entry fail, too', () => {
    const m = createVmxMachine();
    m.memory.write64(hostPhysical(MSR_AREA), 0x1c0000102n);
    area(m, VMCS.VM_ENTRY_MSR_LOAD_ADDRESS, VMCS.VM_ENTRY_MSR_LOAD_COUNT, 1);
    m.vmx.vmlaunch();
    expect(m.read(VMCS.EXIT_REASON)).toBe(0x80000022n);
  });

  it('27.7: a host MSR that can not be loaded is a VMX abort', () => {
    const m = createVmxMachine();
    entry(m, 0, 0x12345, 0n);
    area(m, VMCS.VM_EXIT_MSR_LOAD_ADDRESS, VMCS.VM_EXIT_MSR_LOAD_COUNT, 1);
    m.vmx.vmlaunch();
    expect(() => m.processor.intercepts!.tripleFault()).toThrow(VmxAbortError);
    expect(m.vmx.vmcs.header(1)).toBe(4);
  });
});
