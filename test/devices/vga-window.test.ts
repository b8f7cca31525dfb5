/** Planes, chained memory, and when the window can be mapped. */

import { describe, expect, it } from 'vitest';
import { VGA_WINDOW, VgaWindow, type WindowRange } from '../../src/devices/vga-window.js';

const SEQUENCER = 0;
const GRAPHICS = 10;

function setup() {
  const bytes = new Uint8Array(VGA_WINDOW.LENGTH);
  const changes: (WindowRange | undefined)[] = [];
  const vga = new VgaWindow({
    memory: {
      length: bytes.length,
      read: (index) => bytes[index]!,
      write: (index, byte) => {
        bytes[index] = byte;
      },
    },
    mappingChanged: (range) => changes.push(range),
  });
  const set = (port: number, index: number, value: number): void => vga.write(port, 2, index | (value << 8));
  return { bytes, changes, vga, set };
}

describe('VGA window', () => {
  it('keeps its registers behind index and data ports', () => {
    const { vga } = setup();
    vga.write(SEQUENCER, 1, 2);
    vga.write(SEQUENCER + 1, 1, 5);
    vga.write(GRAPHICS, 2, 0x0304);
    expect(vga.read(SEQUENCER, 1)).toBe(2);
    expect(vga.read(SEQUENCER + 1, 1)).toBe(5);
    expect(vga.read(GRAPHICS, 1)).toBe(4);
    expect(vga.read(GRAPHICS + 1, 1)).toBe(3);
    expect(vga.read(5, 1)).toBe(0xff);
  });

  it('writes to the planes in the map mask and reads the one selected', () => {
    const { bytes, set, vga } = setup();
    set(SEQUENCER, 2, 0b0101);
    vga.writeMemory(0xa0007, 0x5a);
    expect([...bytes.subarray(28, 32)]).toEqual([0x5a, 0, 0x5a, 0]);
    set(GRAPHICS, 4, 2);
    expect(vga.readMemory(0xa0007)).toBe(0x5a);
    set(GRAPHICS, 4, 1);
    expect(vga.readMemory(0xa0007)).toBe(0);
  });

  it('shows only what the memory map selects', () => {
    const { set, vga } = setup();
    set(GRAPHICS, 6, 3 << 2);
    vga.writeMemory(0xa0000, 1);
    vga.writeMemory(0xb8000, 2);
    expect(vga.readMemory(0xa0000)).toBe(0xff);
    expect(vga.readMemory(0xb8000)).toBe(2);
  });

  it('can be mapped while its planes are chained, and says so once', () => {
    const { changes, set } = setup();
    set(SEQUENCER, 4, 8);
    set(SEQUENCER, 2, 1);
    set(GRAPHICS, 6, 1 << 2);
    set(SEQUENCER, 4, 0);
    set(GRAPHICS, 6, 0);
    expect(changes).toEqual([
      { first: 0xa0000, length: 0x20000 },
      { first: 0xa0000, length: 0x10000 },
      undefined,
    ]);
  });
});
