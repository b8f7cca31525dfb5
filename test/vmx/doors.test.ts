/** How host code reaches VMX: numbers, thrown failures, and the dump of a VMCS. */

import { describe, expect, it } from 'vitest';
import { VMCS } from '../../src/architecture/vmx/vmcs-fields.js';
import { hostPhysical } from '../../src/memory/addresses.js';
import { dumpVmcs } from '../../src/vmx/dump-vmcs.js';
import { HypervisorDoor, VmxInstructionError } from '../../src/vmx/hypervisor-door.js';
import { VmxMisuseError } from '../../src/vmx/vmcs.js';
import { SUPPORTED_FIELDS } from '../../src/vmx/vmcs-layout.js';
import { createVmxMachine, enableEpt } from './vmx-machine.js';

describe('VMREAD and VMWRITE as numbers', () => {
  it('agree with the bigint ones on every field', () => {
    const { vmx } = createVmxMachine();
    for (const field of SUPPORTED_FIELDS) {
      const readOnly = ((field >> 10) & 3) === 1;
      if (readOnly) {
        expect(() => vmx.vmwriteNumber(field, 1)).toThrow(VmxMisuseError);
        continue;
      }
      for (const value of [0, 1, 0xffff, 0x12345678, 0xffffffff, 0x1f_ffff_ffff_ffff]) {
        vmx.vmwriteNumber(field, value);
        const asNumber = vmx.vmreadNumber(field);
        const asBigint = vmx.vmread(field);
        expect(BigInt(asNumber)).toBe(asBigint);
        vmx.vmwrite(field, BigInt(value));
        expect(vmx.vmread(field)).toBe(asBigint);
        expect(asBigint).toBe(
          BigInt.asUintN(((field >> 13) & 3) === 0 ? 16 : ((field >> 13) & 3) === 2 ? 32 : 64, BigInt(value)),
        );
      }
    }
  });

  it('are also to be had as two words', () => {
    const { vmx } = createVmxMachine();
    const words = Int32Array.of(0x12345678, -0x7fffffff);
    vmx.vmwriteWords(VMCS.GUEST_RIP, words);
    expect(vmx.vmread(VMCS.GUEST_RIP)).toBe(0x8000000112345678n);
    const read = new Int32Array(2);
    vmx.vmreadWords(VMCS.GUEST_RIP, read);
    expect(read).toEqual(words);
    expect(() => vmx.vmreadWords(VMCS.GUEST_CS_LIMIT, read)).toThrow(VmxMisuseError);
    expect(() => vmx.vmwriteWords(VMCS.EXIT_QUALIFICATION, read)).toThrow(VmxMisuseError);
  });

  it('refuse what they can not do', () => {
    const { vmx } = createVmxMachine();
    vmx.vmwrite(VMCS.GUEST_RIP, 0xffffffff80000000n);
    expect(() => vmx.vmreadNumber(VMCS.GUEST_RIP)).toThrow(/53 bits/);
    expect(() => vmx.vmwriteNumber(VMCS.GUEST_RIP, -1)).toThrow(VmxMisuseError);
    expect(() => vmx.vmwriteNumber(VMCS.GUEST_RIP, 2 ** 53)).toThrow(VmxMisuseError);
    expect(() => vmx.vmreadNumber(0x6600)).toThrow(/unsupported field 0x6600/);
    expect(() => vmx.vmreadNumber(0x10000)).toThrow(VmxMisuseError);
    expect(() => vmx.vmwriteNumber(0x681f, 0)).toThrow(VmxMisuseError);
    expect(() => vmx.vmread(VMCS.EPTP_INDEX)).toThrow(/EPTP_INDEX/);
    expect(() => vmx.vmwrite(VMCS.EXIT_REASON, 0n)).toThrow(/EXIT_REASON/);
  });
});

describe('the door of a hypervisor', () => {
  it('tells an entered guest from a VM exit, and throws VMfail with its reason', () => {
    const machine = createVmxMachine();
    const door = new HypervisorDoor(machine.processor, machine.vmx);
    expect(door.vmlaunch()).toBe(true);
    machine.processor.intercepts!.tripleFault();
    door.vmwriteNumber(VMCS.GUEST_TR_ACCESS_RIGHTS, 0);
    expect(door.vmresume()).toBe(false);
    door.vmwriteNumber(VMCS.PIN_BASED_VM_EXECUTION_CONTROLS, 0);
    let thrown: unknown;
    try {
      door.vmresume();
    } catch (problem) {
      thrown = problem;
    }
    expect(thrown).toBeInstanceOf(VmxInstructionError);
    expect((thrown as VmxInstructionError).message).toBe(
      'VMRESUME failed: VM entry with invalid control field(s). VM entry failed: invalid control field PIN_BASED_VM_EXECUTION_CONTROLS = 0x0: reserved bits in the pin-based VM-execution controls must be set properly (SDM 26.2.1.1 VM-Execution Control Fields)',
    );
    expect(() => door.vmptrld(hostPhysical(0x123))).toThrow(/VMPTRLD with invalid physical address/);
    door.vmxoff();
    expect(() => door.vmptrld(hostPhysical(0x11000))).toThrow(VmxMisuseError);
  });
});

describe('the dump of a VMCS', () => {
  it('has the layout of the Linux kernel', () => {
    const machine = createVmxMachine();
    enableEpt(machine);
    machine.vmx.vmlaunch();
    machine.processor.intercepts!.tripleFault();
    const lines = dumpVmcs(machine.vmx.vmcs).split('\n');
    expect(lines).toContain('*** Guest State ***');
    expect(lines).toContain(
      'CR0: actual=0x0000000080010031, shadow=0x0000000000000000, gh_mask=0000000000000000',
    );
    expect(lines).toContain('RSP = 0x0000000000090000  RIP = 0x0000000000080000');
    expect(lines).toContain('CS:   sel=0x0008, attr=0x0a09b, limit=0xffffffff, base=0x0000000000000000');
    expect(lines).toContain('*** Host State ***');
    expect(lines).toContain('CS=0008 SS=0010 DS=0010 ES=0010 FS=0010 GS=0010 TR=0018');
    expect(lines).toContain('*** Control State ***');
    expect(lines).toContain('        reason=00000002 qualification=0000000000000000');
    expect(lines).toContain('EPT pointer = 0x000000000003001e');
  });
});
