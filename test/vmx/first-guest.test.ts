import { describe, expect, it } from 'vitest';
import { EXIT_REASON } from '../../src/architecture/vmx/exit-reasons.js';
import { VMCS } from '../../src/architecture/vmx/vmcs-fields.js';
import { hostPhysical } from '../../src/memory/addresses.js';
import {
  createVmxMachine,
  enableEpt,
  GUEST_CODE,
  HOST_RIP,
  HOST_STACK,
  IO_BITMAP_A,
  launchToExit,
  runToExit,
} from './vmx-machine.js';

describe('a 64-bit guest', () => {
  for (const ept of [false, true])
    it(`runs, exits, and is resumed, ${ept ? 'with' : 'without'} EPT`, () => {
      const machine = createVmxMachine();
      if (ept) enableEpt(machine);
      machine.memory.write8(hostPhysical(IO_BITMAP_A + 0xe9 / 8), 1 << (0xe9 & 7));
      // mov al, 41h; out 0e9h, al; mov ebx, 12345678h; cpuid; hlt
      machine.load(0xb0, 0x41, 0xe6, 0xe9, 0xbb, 0x78, 0x56, 0x34, 0x12, 0x0f, 0xa2, 0xf4);

      expect(launchToExit(machine)).toBe(EXIT_REASON.IO_INSTRUCTION);
      expect(machine.processor.intercepts).toBeNull();
      expect(machine.processor.state.rip).toBe(BigInt(HOST_RIP));
      expect(machine.processor.state.readGpr(4)).toBe(BigInt(HOST_STACK));
      expect(machine.read(VMCS.GUEST_RIP)).toBe(BigInt(GUEST_CODE + 2));
      expect(machine.read(VMCS.VM_EXIT_INSTRUCTION_LENGTH)).toBe(2n);
      // Port 0e9h, immediate, OUT, one byte.
      expect(machine.read(VMCS.EXIT_QUALIFICATION)).toBe(0x00e90040n);
      expect(machine.processor.state.readGpr(0) & 0xffn).toBe(0x41n);

      machine.vmx.vmwriteNumber(VMCS.GUEST_RIP, machine.vmx.vmreadNumber(VMCS.GUEST_RIP) + 2);
      expect(machine.vmx.vmresume()).toEqual({ ok: true });
      expect(runToExit(machine)).toBe(EXIT_REASON.CPUID);
      expect(machine.processor.state.readGpr(3)).toBe(0x12345678n);
      expect(machine.read(VMCS.GUEST_RIP)).toBe(BigInt(GUEST_CODE + 9));

      machine.vmx.vmwriteNumber(VMCS.GUEST_RIP, GUEST_CODE + 11);
      expect(machine.vmx.vmresume()).toEqual({ ok: true });
      expect(runToExit(machine)).toBe(EXIT_REASON.HLT);
      expect(machine.vmx.exitCount).toBe(3);
    });
});
