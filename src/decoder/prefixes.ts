/** Instruction prefixes (SDM Vol. 2A, 2.1.1 Instruction Prefixes and 2.2.1 REX Prefixes). */

import { SEGMENT } from '../architecture/registers.js';
import { NO_REGISTER, PREFIX } from '../instruction-set/index.js';
import { DECODER_TABLE, PREFIX_KIND, SEGMENT_PREFIXES } from './table.js';

/** The prefix bytes of an instruction: its `PREFIX` bits, the segment override, REX and where they end. */
export class PrefixReader {
  prefixes = 0;
  override: number = NO_REGISTER;
  rex = 0;
  /** Position of the first byte that is no prefix, or `limit` when there is none. */
  position = 0;

  /** Prefixes in any order; the last one of a group is in force. */
  read(bytes: Uint8Array, offset: number, limit: number, isCode64: boolean): void {
    const kindBase = isCode64 ? 256 : 0;
    this.prefixes = 0;
    this.override = NO_REGISTER;
    this.rex = 0;
    let position = offset;
    for (; position < limit; position++) {
      const byte = bytes[position]!;
      const kind = DECODER_TABLE.numbers[kindBase | byte]!;
      if (kind === 0) break;
      // REX counts only right before the opcode (Vol. 2A, 2.2.1).
      this.rex = kind === PREFIX_KIND.REX ? byte : 0;
      this.#add(kind, byte, isCode64);
    }
    this.position = position;
  }

  #add(kind: number, byte: number, isCode64: boolean): void {
    switch (kind) {
      case PREFIX_KIND.SEGMENT: {
        // In 64-bit mode CS, DS, ES and SS prefixes are ignored (Vol. 1, 3.4.2.1).
        const segment = SEGMENT_PREFIXES.indexOf(byte);
        if (!isCode64 || segment >= SEGMENT.FS) this.override = segment;
        break;
      }
      case PREFIX_KIND.OPERAND_SIZE:
        this.prefixes |= PREFIX.OPERAND_SIZE;
        break;
      case PREFIX_KIND.ADDRESS_SIZE:
        this.prefixes |= PREFIX.ADDRESS_SIZE;
        break;
      case PREFIX_KIND.LOCK:
        this.prefixes |= PREFIX.LOCK;
        break;
      case PREFIX_KIND.REPNE:
        this.prefixes = (this.prefixes & ~PREFIX.REP) | PREFIX.REPNE;
        break;
      case PREFIX_KIND.REP:
        this.prefixes = (this.prefixes & ~PREFIX.REPNE) | PREFIX.REP;
        break;
      default:
    }
  }
}
