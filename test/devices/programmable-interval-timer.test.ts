/** The 8254, by the headings of its data sheet. The clock runs at 1000 ticks per counter tick. */

import { beforeEach, describe, expect, it } from 'vitest';
import {
  PIT_FREQUENCY,
  ProgrammableIntervalTimer,
  SystemControlPort,
} from '../../src/devices/programmable-interval-timer.js';
import { TestClock } from './alarm-clock.js';

const TICK = 1000;
let clock: TestClock;
let timer: ProgrammableIntervalTimer;
let edges: number[];
const write = (offset: number, value: number) => timer.write(offset, 1, value);
const read = (offset: number) => timer.read(offset, 1);
const readCount = (counter: number) => read(counter) | (read(counter) << 8);
const load = (counter: number, control: number, count: number) => {
  write(3, (counter << 6) | control);
  write(counter, count & 0xff);
  write(counter, count >> 8);
};

beforeEach(() => {
  clock = new TestClock(PIT_FREQUENCY * TICK);
  edges = [];
  let level = true;
  timer = new ProgrammableIntervalTimer({
    clock,
    interruptLine: {
      set: (next) => {
        if (next && !level) edges.push(clock.now() / TICK);
        level = next;
      },
    },
  });
});

describe('Mode 0: Interrupt on Terminal Count', () => {
  it('raises OUT once, when the count is reached', () => {
    load(0, 0x30, 100);
    clock.advance(99 * TICK);
    expect(edges).toEqual([]);
    clock.advance(1000 * TICK);
    expect(edges).toEqual([100]);
  });

  it('counts on through zero', () => {
    load(0, 0x30, 100);
    clock.advance(40 * TICK);
    expect(readCount(0)).toBe(60);
    clock.advance(70 * TICK);
    expect(readCount(0)).toBe(0xfff6);
  });
});

describe('Mode 2: Rate Generator', () => {
  it('interrupts at each period', () => {
    load(0, 0x34, 1000);
    clock.advance(3500 * TICK);
    expect(edges).toEqual([1000, 2000, 3000]);
    expect(readCount(0)).toBe(500);
  });

  it('takes 0 for 65536', () => {
    load(0, 0x34, 0);
    clock.advance(0x10001 * TICK);
    expect(edges).toEqual([0x10000]);
  });

  it('has OUT low in the last tick of the period', () => {
    load(2, 0x34, 10);
    timer.gate2 = true;
    clock.advance(8 * TICK);
    expect(timer.output2).toBe(true);
    clock.advance(TICK);
    expect(timer.output2).toBe(false);
    clock.advance(TICK);
    expect(timer.output2).toBe(true);
  });
});

describe('Mode 3: Square Wave', () => {
  it('interrupts once per period and counts down by two', () => {
    load(0, 0x36, 1000);
    clock.advance(2000 * TICK);
    expect(edges).toEqual([1000, 2000]);
    clock.advance(100 * TICK);
    expect(readCount(0)).toBe(800);
    clock.advance(500 * TICK);
    expect(readCount(0)).toBe(800);
  });

  it('is high for the longer half of an odd count', () => {
    load(2, 0x36, 5);
    const levels = Array.from({ length: 5 }, () => {
      const level = timer.output2;
      clock.advance(TICK);
      return level;
    });
    expect(levels).toEqual([true, true, true, false, false]);
  });
});

describe('Read operations', () => {
  it('Counter Latch Command holds the count until it is read', () => {
    load(0, 0x34, 1000);
    clock.advance(100 * TICK);
    write(3, 0x00);
    clock.advance(100 * TICK);
    write(3, 0x00); // a second latch before reading is ignored
    expect(readCount(0)).toBe(900);
    expect(readCount(0)).toBe(800);
  });

  it('Read-Back Command gives status first, then count', () => {
    load(0, 0x34, 1000);
    clock.advance(100 * TICK);
    write(3, 0xc2); // counter 0: count and status
    expect(read(0)).toBe(0x80 | 0x34);
    expect(readCount(0)).toBe(900);
  });

  it('Read-Back Command shows the null count before a count is loaded', () => {
    write(3, 0x34);
    write(3, 0xe2);
    expect(read(0) & 0x40).toBe(0x40);
  });

  it('reads and writes single bytes by the RW bits', () => {
    write(3, 0x24); // counter 0, high byte only, mode 2
    write(0, 0x10);
    expect(read(0)).toBe(0x10);
    clock.advance(0x800 * TICK);
    expect(read(0)).toBe(0x08);
    write(3, 0x14); // low byte only
    write(0, 0x20);
    clock.advance(0x10 * TICK);
    expect(read(0)).toBe(0x10);
  });

  it('counts in BCD', () => {
    load(0, 0x35, 0x1000);
    clock.advance(TICK);
    expect(readCount(0)).toBe(0x0999);
  });
});

describe('port 0x61', () => {
  it('gates counter 2 and shows its output', () => {
    const port = new SystemControlPort(timer);
    port.write(0, 1, 0);
    load(2, 0xb0 & 0x3f, 100);
    clock.advance(500 * TICK);
    expect(port.peek() & 0x21).toBe(0);
    port.write(0, 1, 1);
    clock.advance(99 * TICK);
    expect(port.peek() & 0x21).toBe(1);
    clock.advance(TICK);
    expect(port.peek() & 0x21).toBe(0x21);
    expect(port.read() ^ port.read()).toBe(0x10);
  });
});
