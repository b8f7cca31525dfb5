/** Immediates of more than one number or more than 32 bits, and memory offsets without ModRM. */

import { SEGMENT } from '../architecture/registers.js';
import type { Instruction } from '../instruction-set/index.js';
import { readDoubleword, readWord } from './byte-reader.js';
import { RARE_IMMEDIATE } from './row-facts.js';

function sizeInBytes(kind: number, addressSize: number): number {
  switch (kind) {
    case RARE_IMMEDIATE.QUADWORD:
      return 8;
    case RARE_IMMEDIATE.WORD_BYTE:
      return 3;
    case RARE_IMMEDIATE.FAR_WORD:
      return 4;
    case RARE_IMMEDIATE.FAR_DOUBLEWORD:
      return 6;
    default:
      return addressSize >> 3;
  }
}

/** Reads the immediate of `kind`, a `RARE_IMMEDIATE`: returns the position behind it, which may lie behind the end. */
export function readRareImmediate(
  bytes: Uint8Array,
  position: number,
  limit: number,
  kind: number,
  override: number,
  out: Instruction,
): number {
  const size = sizeInBytes(kind, out.addressSize);
  if (position + size > limit) return position + size;
  switch (kind) {
    case RARE_IMMEDIATE.QUADWORD:
      out.immediateLow = readDoubleword(bytes, position);
      out.immediateHigh = readDoubleword(bytes, position + 4);
      break;
    case RARE_IMMEDIATE.WORD_BYTE:
      out.immediateLow = readWord(bytes, position);
      out.secondImmediate = bytes[position + 2]!;
      break;
    case RARE_IMMEDIATE.FAR_WORD:
      out.immediateLow = readWord(bytes, position);
      out.secondImmediate = readWord(bytes, position + 2);
      break;
    case RARE_IMMEDIATE.FAR_DOUBLEWORD:
      out.immediateLow = readDoubleword(bytes, position);
      out.secondImmediate = readWord(bytes, position + 4);
      break;
    default:
      out.segment = override >= 0 ? override : SEGMENT.DS;
      out.displacement = size === 2 ? readWord(bytes, position) : readDoubleword(bytes, position);
      if (size === 8) out.displacementHigh = readDoubleword(bytes, position + 4);
      out.displacementSize = size;
  }
  return position + size;
}
