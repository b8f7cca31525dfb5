/** The 8259A pair, by the headings of the 8259A data sheet. */

import { beforeEach, describe, expect, it } from 'vitest';
import { ProgrammableInterruptController } from '../../src/devices/programmable-interrupt-controller.js';

let output = false;
let pic: ProgrammableInterruptController;
const master = (offset: number, value: number) => pic.masterPorts.write(offset, 1, value);
const slave = (offset: number, value: number) => pic.slavePorts.write(offset, 1, value);
const pulse = (pin: number) => {
  pic.setPin(pin, true);
  pic.setPin(pin, false);
};
const raise = (pin: number) => pic.setPin(pin, true);

/** The usual set-up: vectors 0x20 and 0x28, cascade on 2, 8086 mode, nothing masked. */
function initialize(icw4 = 1): void {
  for (const [offset, value] of [
    [0, 0x11],
    [1, 0x20],
    [1, 4],
    [1, icw4],
  ] as const)
    master(offset, value);
  for (const [offset, value] of [
    [0, 0x11],
    [1, 0x28],
    [1, 2],
    [1, icw4],
  ] as const)
    slave(offset, value);
}

beforeEach(() => {
  output = false;
  pic = new ProgrammableInterruptController({
    set: (level) => {
      output = level;
    },
  });
  initialize();
});

describe('Interrupt Sequence', () => {
  it('moves a request to in-service and gives the vector', () => {
    raise(4);
    expect(output).toBe(true);
    expect(pic.masterPorts.peek(0, 1)).toBe(0x10);
    expect(pic.acknowledge()).toBe(0x24);
    expect(output).toBe(false);
    expect(pic.masterPorts.peek(0, 1)).toBe(0);
    master(0, 0x0b); // OCW3: read ISR
    expect(pic.masterPorts.read(0, 1)).toBe(0x10);
  });

  it('gives the slave vector through pin 2', () => {
    raise(12);
    expect(pic.acknowledge()).toBe(0x2c);
    master(0, 0x0b);
    slave(0, 0x0b);
    expect(pic.masterPorts.read(0, 1)).toBe(4);
    expect(pic.slavePorts.read(0, 1)).toBe(0x10);
  });

  it('gives IR7 of the chip when the request went away: spurious', () => {
    raise(3);
    pic.setPin(3, false);
    expect(pic.acknowledge()).toBe(0x27);
    master(0, 0x0b);
    expect(pic.masterPorts.read(0, 1)).toBe(0);
  });

  it('counts an edge once', () => {
    raise(3);
    pic.acknowledge();
    master(0, 0x20);
    expect(output).toBe(false);
    pic.setPin(3, false);
    raise(3);
    expect(output).toBe(true);
  });
});

describe('Fully Nested Mode', () => {
  it('lets only higher priorities interrupt', () => {
    raise(3);
    pic.acknowledge();
    raise(5);
    expect(output).toBe(false);
    raise(1);
    expect(output).toBe(true);
    expect(pic.acknowledge()).toBe(0x21);
    master(0, 0x20); // ends 1
    expect(output).toBe(false);
    master(0, 0x20); // ends 3
    expect(output).toBe(true);
    expect(pic.acknowledge()).toBe(0x25);
  });
});

describe('Operation Control Words', () => {
  it('OCW1 masks, and a masked request stays', () => {
    master(1, 0x10);
    expect(pic.masterPorts.read(1, 1)).toBe(0x10);
    raise(4);
    expect(output).toBe(false);
    master(1, 0);
    expect(output).toBe(true);
  });

  it('OCW2: specific EOI', () => {
    raise(3);
    pic.acknowledge();
    raise(1);
    pic.acknowledge();
    master(0, 0x63);
    master(0, 0x0b);
    expect(pic.masterPorts.read(0, 1)).toBe(2);
  });

  it('OCW2: rotate on non-specific EOI makes the served pin the lowest', () => {
    raise(0);
    pic.acknowledge();
    master(0, 0xa0);
    pic.setPin(0, false);
    raise(0);
    raise(6);
    expect(pic.acknowledge()).toBe(0x26);
  });

  it('OCW2: set priority', () => {
    master(0, 0xc0 | 5); // 5 lowest, 6 highest
    raise(0);
    raise(7);
    expect(pic.acknowledge()).toBe(0x27);
  });

  it('OCW3: poll command acknowledges by a read', () => {
    raise(6);
    master(0, 0x0c);
    expect(pic.masterPorts.peek(0, 1)).toBe(0x86);
    expect(pic.masterPorts.read(0, 1)).toBe(0x86);
    master(0, 0x0b);
    expect(pic.masterPorts.read(0, 1)).toBe(0x40);
  });

  it('OCW3: special mask mode lets lower priorities in where the served one is masked', () => {
    raise(1);
    pic.acknowledge();
    master(1, 0x02);
    raise(5);
    expect(output).toBe(false);
    master(0, 0x68);
    expect(output).toBe(true);
    expect(pic.acknowledge()).toBe(0x25);
  });
});

describe('Initialization Command Words', () => {
  it('clear mask, requests and service', () => {
    master(1, 0xff);
    raise(4);
    pulse(5);
    initialize();
    expect(pic.masterPorts.read(1, 1)).toBe(0);
    expect(output).toBe(false);
  });

  it('ICW4: automatic end of interrupt', () => {
    initialize(3);
    raise(4);
    pic.acknowledge();
    master(0, 0x0b);
    expect(pic.masterPorts.read(0, 1)).toBe(0);
  });
});

describe('Edge/level control register', () => {
  it('makes a pin level triggered: it asks again while asserted', () => {
    pic.slaveEdgeLevel.write(0, 1, 0x08); // IRQ11
    raise(11);
    pic.acknowledge();
    slave(0, 0x20);
    master(0, 0x20);
    expect(output).toBe(true);
    pic.setPin(11, false);
    expect(output).toBe(false);
  });

  it('keeps timer, keyboard, cascade, clock and FPU error at edge', () => {
    pic.masterEdgeLevel.write(0, 1, 0xff);
    pic.slaveEdgeLevel.write(0, 1, 0xff);
    expect(pic.masterEdgeLevel.read(0, 1)).toBe(0xf8);
    expect(pic.slaveEdgeLevel.read(0, 1)).toBe(0xde);
  });
});
