/** Linear sweep: one instruction after the other, undecodable bytes one at a time. */

import { Instruction } from '../instruction-set/index.js';
import { decode } from './decode.js';
import { DecodeStatus } from './decode-status.js';

export interface Piece {
  /** Position of the first byte. */
  readonly offset: number;
  /** Length in bytes, at least 1. */
  readonly length: number;
  /** The instruction, or undefined for a byte that begins none. Each piece has an object of its own. */
  readonly instruction: Instruction | undefined;
}

/**
 * Cuts `bytes` into instructions, front to back. A byte that begins no instruction, or one that the end cuts
 * off, is a piece of one byte.
 */
export function* sweep(bytes: Uint8Array, codeSize: 16 | 32 | 64): Generator<Piece> {
  let offset = 0;
  while (offset < bytes.length) {
    const instruction = new Instruction();
    const isDecoded = decode(bytes, offset, bytes.length, codeSize, instruction) === DecodeStatus.OK;
    const length = isDecoded ? instruction.length : 1;
    yield { offset, length, instruction: isDecoded ? instruction : undefined };
    offset += length;
  }
}
