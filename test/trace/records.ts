/** Made-up exits for the tests of the sinks. */

import type { ExitRecord } from '../../src/trace/events.js';

export function exitRecord(fields: Partial<ExitRecord> = {}): ExitRecord {
  return {
    sequence: 0,
    vcpu: 0,
    time: 1234567,
    rip: 0x100013n,
    instructionBytes: Uint8Array.of(0xe6, 0x80),
    reason: 30,
    reasonName: 'IO_INSTRUCTION',
    qualification: 0x800040n,
    interruptionInformation: 0,
    interruptionErrorCode: 0,
    guestPhysicalAddress: undefined,
    description: 'OUT 1 byte to port 0x80',
    actions: ['handled in user space: POST port'],
    weight: 'heavy',
    cycles: 10000,
    stages: [
      {
        name: 'host acquires control',
        cycles: 400,
        operations: [{ name: 'VM exit', count: 1, cycles: 400 }],
      },
      { name: 'exit handler runs', cycles: 400, operations: [{ name: 'VMREAD', count: 2, cycles: 60 }] },
    ],
    ...fields,
  };
}

export const describeInstruction = (bytes: Uint8Array): string =>
  bytes[0] === 0xe6 ? 'out 0x80,al' : '(bad)';
