/** The VMX-preemption timer (SDM Vol. 3C, 25.5.1 VMX-Preemption Timer). */

import { describe, expect, it } from 'vitest';
import { EXIT_CONTROL, PIN_BASED } from '../../src/architecture/vmx/controls.js';
import { EXIT_REASON } from '../../src/architecture/vmx/exit-reasons.js';
import { VMCS } from '../../src/architecture/vmx/vmcs-fields.js';
import { PREEMPTION_TIMER_RATE } from '../../src/architecture/vmx/vmx-capabilities.js';
import { hostPhysical } from '../../src/memory/addresses.js';
import {
  createVmxMachine,
  GUEST_CODE,
  GUEST_IDT,
  launchToExit,
  runToExit,
  type VmxMachine,
} from './vmx-machine.js';

const UNIT = 2 ** PREEMPTION_TIMER_RATE;

function machineWithTimer(value: number, code = 'again: inc rax\njmp again'): VmxMachine {
  const machine = createVmxMachine({}, ['preemptionTimer']);
  machine.assemble(code);
  machine.change(VMCS.PIN_BASED_VM_EXECUTION_CONTROLS, PIN_BASED.ACTIVATE_VMX_PREEMPTION_TIMER);
  machine.write(VMCS.VMX_PREEMPTION_TIMER_VALUE, value);
  return machine;
}

describe('25.5.1 VMX-Preemption Timer', () => {
  it.each([1, 2, 7, 100, 5000])('%i: counts down when bit X of the time-stamp counter changes', (value) => {
    const machine = machineWithTimer(value);
    const { processor } = machine;
    processor.timeStampCounter = 17;
    expect(machine.vmx.vmlaunch().ok).toBe(true);
    const start = Math.floor(processor.timeStampCounter / UNIT);
    expect(runToExit(machine, 1e6)).toBe(EXIT_REASON.PREEMPTION_TIMER);
    // At the first instruction boundary from the expiry on; instructions cost a cycle or two here.
    expect(processor.timeStampCounter - (start + value) * UNIT).toBeGreaterThanOrEqual(0);
    expect(processor.timeStampCounter - (start + value) * UNIT).toBeLessThan(3);
  });

  it('of zero exits before any instruction', () => {
    const machine = machineWithTimer(0);
    expect(launchToExit(machine)).toBe(EXIT_REASON.PREEMPTION_TIMER);
    expect(machine.read(VMCS.GUEST_RIP)).toBe(BigInt(GUEST_CODE));
  });

  it('of zero exits after the delivery of an injected event', () => {
    const machine = machineWithTimer(0);
    machine.memory.write64(hostPhysical(GUEST_IDT + 0x40 * 16), 0x0008_8e00_0008_0100n);
    // The code segment that the gate loads: the GDT is at 0.
    machine.memory.write64(hostPhysical(8), 0x00af_9b00_0000_ffffn);
    machine.write(VMCS.GUEST_RFLAGS, 0x202);
    machine.write(VMCS.VM_ENTRY_INTERRUPTION_INFORMATION, 0x80000040);
    expect(launchToExit(machine)).toBe(EXIT_REASON.PREEMPTION_TIMER);
    expect(machine.read(VMCS.GUEST_RIP)).toBe(0x80100n);
  });

  it('is not blocked by STI, which the exit records', () => {
    const machine = machineWithTimer(0, 'sti\nnop');
    machine.write(VMCS.GUEST_INTERRUPTIBILITY_STATE, 1);
    machine.write(VMCS.GUEST_RFLAGS, 0x202);
    expect(launchToExit(machine)).toBe(EXIT_REASON.PREEMPTION_TIMER);
    expect(machine.read(VMCS.GUEST_INTERRUPTIBILITY_STATE)).toBe(1n);
  });

  it('has its value saved if the VM-exit control says so', () => {
    for (const save of [false, true]) {
      const machine = machineWithTimer(1000, 'mov ecx, 320\nagain: loop again\nhlt');
      if (save) machine.change(VMCS.VM_EXIT_CONTROLS, EXIT_CONTROL.SAVE_VMX_PREEMPTION_TIMER);
      const before = machine.processor.timeStampCounter;
      expect(launchToExit(machine)).toBe(EXIT_REASON.HLT);
      const passed = Math.floor(machine.processor.timeStampCounter / UNIT) - Math.floor(before / UNIT);
      expect(Number(machine.read(VMCS.VMX_PREEMPTION_TIMER_VALUE))).toBe(save ? 1000 - passed : 1000);
    }
  });

  it('does not exist on a processor without it', () => {
    const machine = createVmxMachine();
    expect(machine.vmx.readField(VMCS.VMX_PREEMPTION_TIMER_VALUE)).toMatchObject({ ok: false, error: 12 });
    expect(machine.vmx.capabilities.msr(0x481)! >> 32n).toBe(0x3fn);
    machine.change(VMCS.PIN_BASED_VM_EXECUTION_CONTROLS, PIN_BASED.ACTIVATE_VMX_PREEMPTION_TIMER);
    expect(machine.vmx.vmlaunch()).toMatchObject({ ok: false, error: 7 });
  });
});

describe('26.2.1.2 VM-Exit Control Fields', () => {
  it('a timer that is not active can not be saved', () => {
    const machine = createVmxMachine({}, ['preemptionTimer']);
    machine.change(VMCS.VM_EXIT_CONTROLS, EXIT_CONTROL.SAVE_VMX_PREEMPTION_TIMER);
    expect(machine.vmx.vmlaunch()).toMatchObject({ ok: false, error: 7 });
    expect(machine.vmx.describeEntryFailure()).toMatch(/save VMX-preemption timer value/);
  });
});
