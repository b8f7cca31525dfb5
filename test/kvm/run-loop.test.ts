import { describe, expect, it } from 'vitest';
import { createKvmMachine } from './kvm-machine.js';

/** out dx, al; hlt (interrupts off) */
const OUT_AND_HALT = [0xee, 0xf4];

describe('a guest under the run loop', () => {
  it('writes to a port that user space handles, and halts', () => {
    const machine = createKvmMachine({ code: OUT_AND_HALT, gpr: [0x5an, 0n, 0x3f8n] });
    machine.run();
    expect(machine.ports).toEqual([{ port: 0x3f8, sizeInBytes: 1, value: 0x5a, write: true }]);
    expect(machine.kvm.halted).toBe(true);
  });
});
