/** Exit port, debug console, POST port and the ways to reset. */

import { describe, expect, it } from 'vitest';
import { DebugConsole } from '../../src/devices/debug-console.js';
import { DebugExit } from '../../src/devices/debug-exit.js';
import { PostPort } from '../../src/devices/post-port.js';
import { KeyboardControllerCommand, ResetControl } from '../../src/devices/system-reset.js';

describe('debug exit', () => {
  it.each([
    [0, 1],
    [0x10, 0x21],
    [0x7f, 0xff],
  ])('value %i gives exit code %i', (value, code) => {
    const codes: number[] = [];
    new DebugExit((exit) => codes.push(exit)).write(0, 1, value);
    expect(codes).toEqual([code]);
  });
});

describe('debug console', () => {
  it('prints each byte of a write, low byte first, and reads back 0xE9', () => {
    const bytes: number[] = [];
    const console = new DebugConsole((byte) => bytes.push(byte));
    console.write(0, 1, 0x41);
    console.write(0, 4, 0x44434241);
    expect(bytes).toEqual([0x41, 0x41, 0x42, 0x43, 0x44]);
    expect(console.read()).toBe(0xe9);
  });
});

it('the POST port keeps the last code', () => {
  const port = new PostPort();
  port.write(0, 1, 0x1aa);
  expect([port.read(), port.code]).toEqual([0xaa, 0xaa]);
});

describe('reset', () => {
  it('comes with a rising bit 2 of the reset control register', () => {
    let resets = 0;
    const control = new ResetControl(() => resets++);
    control.write(0, 1, 0x02);
    expect(resets).toBe(0);
    control.write(0, 1, 0x06);
    control.write(0, 1, 0x06);
    expect(resets).toBe(1);
    expect(control.read()).toBe(6);
  });

  it('comes with keyboard controller commands F0 … FE that pulse bit 0', () => {
    let resets = 0;
    const controller = new KeyboardControllerCommand(() => resets++);
    for (const command of [0xd1, 0xff, 0xf1, 0xaa]) controller.write(0, 1, command);
    expect(resets).toBe(0);
    controller.write(0, 1, 0xfe);
    expect(resets).toBe(1);
    expect(controller.read()).toBe(0);
  });
});
