/**
 * The part of a VGA that decides what is behind the addresses 0xa0000 to 0xbffff: chained to linear memory, the window
 * can be mapped for the guest; with separate planes each access has to be made by the device. Firmware that draws text in
 * a graphics mode switches between the two for every character. IBM PS/2 Hardware Interface Technical Reference, Video
 * Subsystem: Sequencer and Graphics Controller registers.
 */

import type { Device } from './device.js';

/** Guest-physical addresses of the window, and the bytes of video memory that it shows. */
export const VGA_WINDOW = { FIRST: 0xa0000, LENGTH: 0x20000 } as const;

/** Offsets from 0x3c4, the first port. */
export const VGA_PORTS = { FIRST: 0x3c4, LENGTH: 12 } as const;
const OFFSET = { SEQUENCER_INDEX: 0, SEQUENCER_DATA: 1, GRAPHICS_INDEX: 10, GRAPHICS_DATA: 11 } as const;

const SEQUENCER = { MAP_MASK: 2, MEMORY_MODE: 4 } as const;
const CHAIN_4 = 1 << 3;
const GRAPHICS = { READ_MAP_SELECT: 4, MISCELLANEOUS: 6 } as const;
const PLANES = 4;

/** Memory Map field of the graphics controller's miscellaneous register. */
const MEMORY_MAPS: readonly WindowRange[] = [
  { first: 0xa0000, length: 0x20000 },
  { first: 0xa0000, length: 0x10000 },
  { first: 0xb0000, length: 0x8000 },
  { first: 0xb8000, length: 0x8000 },
];

/** Guest-physical addresses that show the start of video memory. */
export interface WindowRange {
  readonly first: number;
  readonly length: number;
}

/** Video memory: byte `4 n + p` is byte n of plane p. */
export interface VideoMemory {
  readonly length: number;
  read(index: number): number;
  write(index: number, byte: number): void;
}

export interface VgaWindowOptions {
  readonly memory: VideoMemory;
  /** The guest changed what it can reach as plain memory; undefined: nothing. */
  readonly mappingChanged: (range: WindowRange | undefined) => void;
}

export class VgaWindow implements Device {
  private readonly memory: VideoMemory;
  private readonly mappingChanged: VgaWindowOptions['mappingChanged'];
  private readonly sequencer = new Uint8Array(8);
  private readonly graphics = new Uint8Array(16);
  private sequencerIndex = 0;
  private graphicsIndex = 0;
  private mapped: WindowRange | undefined;

  constructor({ memory, mappingChanged }: VgaWindowOptions) {
    this.memory = memory;
    this.mappingChanged = mappingChanged;
    this.sequencer[SEQUENCER.MAP_MASK] = 0xf;
  }

  read(offset: number, _size: number): number {
    return this.peek(offset, _size);
  }

  peek(offset: number, _size: number): number {
    switch (offset) {
      case OFFSET.SEQUENCER_INDEX:
        return this.sequencerIndex;
      case OFFSET.SEQUENCER_DATA:
        return this.sequencer[this.sequencerIndex]!;
      case OFFSET.GRAPHICS_INDEX:
        return this.graphicsIndex;
      case OFFSET.GRAPHICS_DATA:
        return this.graphics[this.graphicsIndex]!;
      default:
        return 0xff;
    }
  }

  /** A 16-bit write to an index port writes index and data. */
  write(offset: number, size: number, value: number): void {
    for (let byte = 0; byte < size; byte++) this.writeByte(offset + byte, (value >>> (8 * byte)) & 0xff);
  }

  /** What the window shows at a guest-physical address while it is not mapped: the plane chosen by Read Map Select. */
  readMemory(address: number): number {
    const plane = this.graphics[GRAPHICS.READ_MAP_SELECT]! & (PLANES - 1);
    const index = this.planeIndex(address, plane);
    return index < 0 ? 0xff : this.memory.read(index);
  }

  /** A write there: to every plane in Map Mask. */
  writeMemory(address: number, byte: number): void {
    const mask = this.sequencer[SEQUENCER.MAP_MASK]!;
    for (let plane = 0; plane < PLANES; plane++) {
      const index = (mask >> plane) & 1 ? this.planeIndex(address, plane) : -1;
      if (index >= 0) this.memory.write(index, byte);
    }
  }

  /** Index in video memory, -1 for addresses that the memory map leaves out. */
  private planeIndex(address: number, plane: number): number {
    const { first, length } = this.range;
    const offset = address - first;
    const index = offset * PLANES + plane;
    return offset < 0 || offset >= length || index >= this.memory.length ? -1 : index;
  }

  private get range(): WindowRange {
    return MEMORY_MAPS[(this.graphics[GRAPHICS.MISCELLANEOUS]! >> 2) & 3]!;
  }

  private writeByte(offset: number, byte: number): void {
    switch (offset) {
      case OFFSET.SEQUENCER_INDEX:
        this.sequencerIndex = byte & 7;
        return;
      case OFFSET.SEQUENCER_DATA:
        this.sequencer[this.sequencerIndex] = byte;
        break;
      case OFFSET.GRAPHICS_INDEX:
        this.graphicsIndex = byte & 15;
        return;
      case OFFSET.GRAPHICS_DATA:
        this.graphics[this.graphicsIndex] = byte;
        break;
      default:
        return;
    }
    const chained = (this.sequencer[SEQUENCER.MEMORY_MODE]! & CHAIN_4) !== 0;
    const mapped = chained ? this.range : undefined;
    if (mapped === this.mapped) return;
    this.mapped = mapped;
    this.mappingChanged(mapped);
  }
}
