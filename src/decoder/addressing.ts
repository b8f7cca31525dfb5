/** Memory operands from ModRM, SIB and displacement (SDM Vol. 2A, 2.1.5 Addressing-Mode Encoding of ModR/M). */

import { GPR, SEGMENT } from '../architecture/registers.js';
import { type Instruction, NO_REGISTER } from '../instruction-set/index.js';
import { extend, peekDoubleword } from './byte-reader.js';

/** Base and index of the 16-bit addressing forms, by ModRM.rm (Vol. 2A, Table 2-1). */
const BASES_16 = Int8Array.from([3, 3, 5, 5, 6, 7, 5, 3]);
const INDEXES_16 = Int8Array.from([6, 7, 6, 7, -1, -1, -1, -1]);

/** The 16-bit forms of a memory operand: returns the position behind it, which may lie behind the end. */
export function readMemory16(
  bytes: Uint8Array,
  position: number,
  limit: number,
  modrm: number,
  override: number,
  out: Instruction,
): number {
  const rm = modrm & 7;
  let base = BASES_16[rm]!;
  let size = modrm >> 6;
  if (size === 0 && rm === 6) {
    base = NO_REGISTER;
    size = 2;
  }
  out.baseRegister = base;
  out.indexRegister = INDEXES_16[rm]!;
  out.scale = 0;
  out.segment = override >= 0 ? override : base === GPR.RBP ? SEGMENT.SS : SEGMENT.DS;
  out.displacement = extend(peekDoubleword(bytes, position, limit), size);
  out.displacementSize = size;
  return position + size;
}

/** The 32- and 64-bit forms of a memory operand: returns the position behind it, which may lie behind the end. */
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
  let base = (modrm & 7) | ((rex & 1) << 3);
  let index = -1;
  let scale = 0;
  // 0, 1 or 4 bytes by ModRM.mod.
  let size = (0x410 >> ((modrm >> 6) << 2)) & 7;
  if ((modrm & 7) === 4) {
    const sib = position < limit ? bytes[position]! : 0;
    position++;
    base = (sib & 7) | ((rex & 1) << 3);
    const number = ((sib >> 3) & 7) | ((rex & 2) << 2);
    if (number !== 4) {
      index = number;
      scale = sib >> 6;
    }
    if (modrm < 0x40 && (sib & 7) === 5) {
      base = -1;
      size = 4;
    }
  } else if ((modrm & 0xc7) === 5) {
    // RIP_BASE, or no base outside 64-bit code.
    base = isCode64 ? 16 : -1;
    size = 4;
  }
  out.baseRegister = base;
  out.indexRegister = index;
  out.scale = scale;
  // SS for rSP and rBP, 4 and 5 (Vol. 1, Table 3-5); R12 and R13 are none of them.
  out.segment = override >= 0 ? override : (base & ~1) === 4 ? 2 : 3;
  out.displacementSize = size;
  out.displacement = extend(peekDoubleword(bytes, position, limit), size);
  return position + size;
}
