/** Memory operands from ModRM, SIB and displacement (SDM Vol. 2A, 2.1.5 Addressing-Mode Encoding of ModR/M). */

import { GPR, SEGMENT } from '../architecture/registers.js';
import { type Instruction, NO_REGISTER, RIP_BASE } from '../instruction-set/index.js';
import { peekDoubleword, readWord } from './byte-reader.js';

/** What the functions here return when the bytes end before the operand does. */
export const CUT_OFF = -1;

/** Base and index of the 16-bit addressing forms, by ModRM.rm (Vol. 2A, Table 2-1). */
const BASES_16 = Int8Array.from([3, 3, 5, 5, 6, 7, 5, 3]);
const INDEXES_16 = Int8Array.from([6, 7, 6, 7, -1, -1, -1, -1]);

/** Segment that a base register stands for, by its number plus one: SS for rSP and rBP (Vol. 1, Table 3-5). */
const DEFAULT_SEGMENTS = new Uint8Array(RIP_BASE + 2).fill(SEGMENT.DS);
DEFAULT_SEGMENTS[GPR.RSP + 1] = SEGMENT.SS;
DEFAULT_SEGMENTS[GPR.RBP + 1] = SEGMENT.SS;

/** Displacements by size in bytes: distance that sign extension shifts, and bits kept. */
const DISPLACEMENT_SHIFTS = Uint8Array.from([0, 24, 16, 0, 0]);
const DISPLACEMENT_MASKS = Int32Array.from([0, -1, -1, 0, -1]);
/** Size in bytes by ModRM.mod, with 32- and 64-bit addresses. */
const DISPLACEMENT_SIZES = Uint8Array.from([0, 1, 4, 0]);

/** The 16-bit forms of a memory operand: returns the position behind it, or `CUT_OFF`. */
export function readMemory16(
  bytes: Uint8Array,
  position: number,
  limit: number,
  modrm: number,
  override: number,
  out: Instruction,
): number {
  const rm = modrm & 7;
  const mod = modrm >> 6;
  let base = BASES_16[rm]!;
  let size = mod;
  if (mod === 0 && rm === 6) {
    base = NO_REGISTER;
    size = 2;
  }
  if (position + size > limit) return CUT_OFF;
  out.baseRegister = base;
  out.indexRegister = INDEXES_16[rm]!;
  out.scale = 0;
  out.segment = override >= 0 ? override : DEFAULT_SEGMENTS[base + 1]!;
  out.displacement =
    size === 0 ? 0 : size === 1 ? (bytes[position]! << 24) >> 24 : (readWord(bytes, position) << 16) >> 16;
  out.displacementSize = size;
  return position + size;
}

/** The 32- and 64-bit forms of a memory operand: returns the position behind it, or `CUT_OFF`. */
export function readMemory(
  bytes: Uint8Array,
  start: number,
  limit: number,
  modrm: number,
  rex: number,
  override: number,
  isCode64: boolean,
  out: Instruction,
): number {
  let position = start;
  const rm = modrm & 7;
  let base = rm | ((rex & 1) << 3);
  let index: number = NO_REGISTER;
  let scale = 0;
  let size = DISPLACEMENT_SIZES[modrm >> 6]!;
  if (rm === 4) {
    if (position >= limit) return CUT_OFF;
    const sib = bytes[position++]!;
    base = (sib & 7) | ((rex & 1) << 3);
    const number = ((sib >> 3) & 7) | ((rex & 2) << 2);
    if (number !== 4) {
      index = number;
      scale = sib >> 6;
    }
    if (modrm < 0x40 && (sib & 7) === 5) {
      base = NO_REGISTER;
      size = 4;
    }
  } else if ((modrm & 0xc7) === 5) {
    base = isCode64 ? RIP_BASE : NO_REGISTER;
    size = 4;
  }
  out.baseRegister = base;
  out.indexRegister = index;
  out.scale = scale;
  out.segment = override >= 0 ? override : DEFAULT_SEGMENTS[base + 1]!;
  out.displacementSize = size;
  const shift = DISPLACEMENT_SHIFTS[size]!;
  out.displacement = ((peekDoubleword(bytes, position, limit) << shift) >> shift) & DISPLACEMENT_MASKS[size]!;
  position += size;
  return position > limit ? CUT_OFF : position;
}
