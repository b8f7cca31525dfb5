/** The I/O APIC, by the sections of the 82093AA data sheet. */

import { beforeEach, describe, expect, it } from 'vitest';
import type { InterruptMessage } from '../../src/devices/interrupt-message.js';
import { IoApic } from '../../src/devices/io-apic.js';

let sent: InterruptMessage[];
let accepts: boolean;
let chip: IoApic;
const LEVEL = 0x8000;
const MASK = 0x10000;
const put = (index: number, value: number) => {
  chip.write(0, 4, index);
  chip.write(0x10, 4, value);
};
const get = (index: number) => {
  chip.write(0, 4, index);
  return chip.read(0x10, 4);
};
const entry = (pin: number, low: number, destination = 0) => {
  put(0x11 + 2 * pin, destination << 24);
  put(0x10 + 2 * pin, low);
};

beforeEach(() => {
  sent = [];
  accepts = true;
  chip = new IoApic((message) => {
    sent.push(message);
    return accepts;
  });
});

describe('3.2 indexed registers', () => {
  it('shows 24 entries, all masked, and keeps the ID in bits 27:24', () => {
    expect(get(1)).toBe(0x00170011);
    expect(get(0x10)).toBe(MASK);
    put(0, 0xff000000);
    expect(get(0)).toBe(0x0f000000);
  });

  it('keeps only the bits of an entry that can be written', () => {
    put(0x10, 0xffffffff);
    put(0x11, 0xffffffff);
    expect(get(0x10)).toBe(0x1afff);
    expect(get(0x11)).toBe(0xff000000);
    expect(get(0x40)).toBe(0);
  });
});

describe('3.2.4 redirection entries', () => {
  it('send vector, mode and destination on a rising edge', () => {
    entry(4, 0x0831 | 0x100, 0x03); // vector 0x31, lowest priority, logical
    expect(chip.setPin(4, true)).toBe(true);
    expect(chip.setPin(4, true)).toBe(false);
    expect(sent).toEqual([
      {
        vector: 0x31,
        deliveryMode: 1,
        destination: 3,
        logicalDestination: true,
        shorthand: 0,
        levelTriggered: false,
        assert: true,
      },
    ]);
    chip.setPin(4, false);
    expect(chip.setPin(4, true)).toBe(true);
  });

  it('lose an edge while masked, but not a level', () => {
    entry(4, 0x31 | MASK);
    entry(5, 0x35 | LEVEL | MASK);
    chip.setPin(4, true);
    chip.setPin(5, true);
    expect(sent).toEqual([]);
    entry(4, 0x31);
    entry(5, 0x35 | LEVEL);
    expect(sent.map(({ vector }) => vector)).toEqual([0x35]);
  });

  it('set remote IRR when a level interrupt is accepted, and send again after EOI while asserted', () => {
    entry(9, 0x39 | LEVEL);
    chip.setPin(9, true);
    chip.setPin(9, true);
    expect(sent.length).toBe(1);
    expect(get(0x10 + 18) & 0x4000).toBe(0x4000);
    chip.endOfInterrupt(0x39);
    expect(sent.length).toBe(2);
    chip.setPin(9, false);
    chip.endOfInterrupt(0x39);
    expect(sent.length).toBe(2);
    expect(get(0x10 + 18) & 0x4000).toBe(0);
  });

  it('leave remote IRR clear when nobody accepts', () => {
    accepts = false;
    entry(9, 0x39 | LEVEL);
    expect(chip.setPin(9, true)).toBe(false);
    expect(get(0x10 + 18) & 0x4000).toBe(0);
  });

  it('do not let software write remote IRR', () => {
    entry(9, 0x39 | LEVEL);
    chip.setPin(9, true);
    entry(9, 0x39 | LEVEL);
    expect(get(0x10 + 18) & 0x4000).toBe(0x4000);
  });
});
