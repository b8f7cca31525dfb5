/** The serial port, by the sections of the PC16550D data sheet (8.1 to 8.11). */

import { describe, expect, it } from 'vitest';
import { Serial16550 } from '../../src/devices/serial-16550.js';

function setup() {
  const sent: number[] = [];
  const line = { level: false };
  const port = new Serial16550({
    output: (byte) => sent.push(byte),
    interruptLine: {
      set: (level) => {
        line.level = level;
      },
    },
  });
  return {
    port,
    sent,
    line,
    read: (offset: number) => port.read(offset, 1),
    write: (offset: number, value: number) => port.write(offset, 1, value),
  };
}

describe('transmitter and receiver', () => {
  it('sends byte by byte and is always ready for the next', () => {
    const { sent, read, write } = setup();
    expect(read(5)).toBe(0x60);
    for (const byte of Buffer.from('hi')) write(0, byte);
    expect(Buffer.from(sent).toString()).toBe('hi');
    expect(read(5)).toBe(0x60);
  });

  it('shows received bytes one after the other, data ready in between', () => {
    const { port, read } = setup();
    port.receive([0x41, 0x42]);
    expect(port.peek(0, 1)).toBe(0x41);
    expect(port.peek(5, 1)).toBe(0x61);
    expect(read(0)).toBe(0x41);
    expect(read(0)).toBe(0x42);
    expect(read(5)).toBe(0x60);
  });
});

describe('8.2 Programmable baud generator, 8.1 line control register', () => {
  it('has the divisor behind the divisor latch access bit', () => {
    const { read, write, sent } = setup();
    write(3, 0x83);
    write(0, 0x34);
    write(1, 0x12);
    expect([read(0), read(1)]).toEqual([0x34, 0x12]);
    write(3, 0x03);
    expect(read(3)).toBe(0x03);
    expect(read(1)).toBe(0);
    expect(sent).toEqual([]);
  });

  it('keeps the scratch register', () => {
    const { read, write } = setup();
    write(7, 0xa5);
    expect(read(7)).toBe(0xa5);
  });
});

describe('8.5 interrupt identification, 8.6 interrupt enable', () => {
  const MCR_OUT2 = 8;

  it('raises the transmitter interrupt when enabled, and clears it when identified', () => {
    const { read, write, line } = setup();
    write(4, MCR_OUT2);
    expect(read(2)).toBe(1);
    write(1, 2);
    expect(line.level).toBe(true);
    expect(read(2)).toBe(2);
    expect(line.level).toBe(false);
    expect(read(2)).toBe(1);
    write(0, 0x20);
    expect(line.level).toBe(true);
  });

  it('puts received data before the transmitter', () => {
    const { port, read, write } = setup();
    write(1, 3);
    port.receive([1]);
    expect(read(2)).toBe(4);
    read(0);
    expect(read(2)).toBe(2);
  });

  it('needs OUT2 to reach the interrupt line', () => {
    const { port, write, line } = setup();
    write(1, 1);
    port.receive([1]);
    expect(line.level).toBe(false);
    write(4, MCR_OUT2);
    expect(line.level).toBe(true);
  });

  it('uses the trigger level with FIFOs and the timeout below it', () => {
    const { port, read, write } = setup();
    write(2, 0x81); // FIFOs on, trigger at 8
    write(1, 1);
    port.receive([1, 2, 3]);
    expect(read(2)).toBe(0xcc);
    port.receive([4, 5, 6, 7, 8]);
    expect(read(2)).toBe(0xc4);
    write(2, 0x83); // clear the receiver
    expect(read(2)).toBe(0xc1);
    expect(read(5)).toBe(0x60);
  });
});

describe('8.7 modem control, loopback; 8.8 modem status', () => {
  const LOOPBACK = 0x10;

  it('routes the transmitter to the receiver and sends nothing', () => {
    const { read, write, sent } = setup();
    write(4, LOOPBACK);
    write(0, 0x5a);
    expect(read(5)).toBe(0x61);
    expect(read(0)).toBe(0x5a);
    expect(sent).toEqual([]);
  });

  it('reports an overrun once', () => {
    const { read, write } = setup();
    write(4, LOOPBACK);
    write(0, 1);
    write(0, 2);
    expect(read(5)).toBe(0x63);
    expect(read(5)).toBe(0x61);
    expect(read(0)).toBe(2);
  });

  it('routes RTS, DTR, OUT1, OUT2 to CTS, DSR, RI, DCD, with deltas', () => {
    const { port, read, write } = setup();
    expect(read(6)).toBe(0xb0);
    write(4, LOOPBACK | 0x0f);
    expect(port.peek(6, 1) & 0xf0).toBe(0xf0);
    read(6);
    write(4, LOOPBACK | 0x02);
    // DSR and DCD changed, RI ended.
    expect(read(6)).toBe(0x1e);
    expect(read(6)).toBe(0x10);
  });
});

it('peek changes nothing', () => {
  const { port, read, write } = setup();
  write(1, 3);
  port.receive([1, 2]);
  const all = () => Array.from({ length: 8 }, (_, offset) => port.peek(offset, 1));
  const before = all();
  expect(all()).toEqual(before);
  expect(read(0)).toBe(1);
});
