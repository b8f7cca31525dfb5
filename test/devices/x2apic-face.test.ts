/** The x2APIC face (SDM Vol. 3A, 11.12 Extended XAPIC (x2APIC)). */

import { beforeEach, describe, expect, it } from 'vitest';
import type { InterruptMessage } from '../../src/devices/interrupt-message.js';
import { LocalApic } from '../../src/devices/local-apic.js';
import { readX2apic, writeX2apic } from '../../src/devices/x2apic-face.js';
import { TestClock } from './alarm-clock.js';

const ID = 0x12345;
let sent: InterruptMessage[];
let apic: LocalApic;
const read = (msr: number) => readX2apic(apic, msr);
const write = (msr: number, value: bigint) =>
  writeX2apic(apic, msr, Number(value & 0xffffffffn), Number(value >> 32n));

beforeEach(() => {
  sent = [];
  apic = new LocalApic({
    id: ID,
    clock: new TestClock(1000),
    timerFrequency: 1000,
    connections: {
      send: (message) => {
        sent.push(message);
        if (message.shorthand === 1) apic.receive(message);
      },
      broadcastEndOfInterrupt: () => {},
      interruptArrived: () => {},
      nonMaskableInterrupt: () => {},
      init: () => {},
      startup: () => {},
    },
  });
  apic.mode = 'x2APIC';
  write(0x80f, 0x1ffn);
});

describe('Table 11-6 Local APIC Register Address Map Supported by x2APIC', () => {
  /** MSR → what software may do with it; all others below 0x840 are reserved. */
  const access = new Map<number, 'r' | 'w' | 'rw'>([
    [0x802, 'r'],
    [0x803, 'r'],
    [0x808, 'rw'],
    [0x80a, 'r'],
    [0x80b, 'w'],
    [0x80d, 'r'],
    [0x80f, 'rw'],
    ...Array.from({ length: 24 }, (_, index): [number, 'r'] => [0x810 + index, 'r']),
    [0x828, 'rw'],
    [0x830, 'rw'],
    [0x832, 'rw'],
    [0x833, 'rw'],
    [0x834, 'rw'],
    [0x835, 'rw'],
    [0x836, 'rw'],
    [0x837, 'rw'],
    [0x838, 'rw'],
    [0x839, 'r'],
    [0x83e, 'rw'],
    [0x83f, 'w'],
  ]);

  it.each(Array.from({ length: 256 }, (_, index) => 0x800 + index))('MSR 0x%s', (msr) => {
    const allowed = access.get(msr) ?? '';
    // Vector 0x20 is a value that every writable register but EOI and ESR accepts.
    const value = msr === 0x80b || msr === 0x828 || msr === 0x83e ? 0n : 0x20n;
    expect(read(msr) !== undefined).toBe(allowed.includes('r'));
    expect(write(msr, value)).toBe(allowed.includes('w'));
  });
});

describe('11.12.1.3 Reserved Bit Checking', () => {
  it.each([
    [0x808, 0x100n],
    [0x80b, 1n],
    [0x80f, 0x400n],
    [0x828, 1n],
    [0x830, 0x1000n],
    [0x832, 0x8000n],
    [0x835, 0x20000n],
    [0x838, 1n << 32n],
    [0x83e, 4n],
    [0x83f, 0x100n],
  ])('MSR %i refuses %i', (msr, value) => {
    expect(write(msr, value)).toBe(false);
  });
});

describe('11.12.9 ICR Operation in x2APIC Mode', () => {
  it('is one 64-bit register with a 32-bit destination', () => {
    expect(write(0x830, 0x00012340_00004031n)).toBe(true);
    expect(sent[0]).toMatchObject({ vector: 0x31, destination: 0x12340 });
    expect(read(0x830)).toBe(0x00012340_00004031n);
  });

  it('self IPI register sends to itself', () => {
    expect(write(0x83f, 0x55n)).toBe(true);
    expect(apic.pendingVector).toBe(0x55);
    expect(write(0x80b, 0n)).toBe(true);
  });
});

describe('11.12.10 Determining IPI Destination in x2APIC Mode', () => {
  it('derives the logical ID from the x2APIC ID', () => {
    expect(read(0x802)).toBe(BigInt(ID));
    expect(read(0x80d)).toBe(0x12340020n);
  });

  it('matches cluster and member, the full ID, and the broadcast', () => {
    expect(apic.matches(ID, false)).toBe(true);
    expect(apic.matches(0x45, false)).toBe(false);
    expect(apic.matches(0x12340030, true)).toBe(true);
    expect(apic.matches(0x12350020, true)).toBe(false);
    expect(apic.matches(0x1234ffdf, true)).toBe(false);
    expect(apic.matches(0xffffffff, true)).toBe(true);
  });
});

it('is not there in xAPIC mode', () => {
  apic.mode = 'xAPIC';
  expect(read(0x802)).toBeUndefined();
  expect(write(0x808, 0n)).toBe(false);
});
