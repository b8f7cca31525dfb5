/**
 * Bytes → Instruction (SDM Vol. 2A, Chapter 2 Instruction Format). Everything about opcodes comes from the
 * table of encodings; here are the rules of prefixes, ModRM and immediates.
 */

import { ENCODINGS, type Instruction, PREFIX } from '../instruction-set/index.js';
import { readMemory, readMemory16 } from './addressing.js';
import { extend, peekDoubleword } from './byte-reader.js';
import type { DecodeStatus } from './decode-status.js';
import { oddRegisters } from './odd-registers.js';
import { NODE } from './opcode-tree.js';
import { PrefixReader } from './prefixes.js';
import { readRareImmediate } from './rare-immediate.js';
import { DECODER_TABLE } from './table.js';

const { numbers: TABLE, emptyBlock: EMPTY_BLOCK } = DECODER_TABLE;

/** Longest instruction; longer ones raise #GP (Vol. 2A, 2.3.11). */
export const MAXIMUM_LENGTH = 15;

/** Reused by every call; its contents do not outlive one. */
const prefixReader = new PrefixReader();

const NEEDS_MODRM = -1;

/** Walks nodes from `start` to the position of a record; 0 for no row, `NEEDS_MODRM` when that byte is missing. */
function walkNodes(start: number, prefixes: number, rex: number, next: number, hasNext: boolean): number {
  let node = start;
  for (;;) {
    let child: number;
    switch (TABLE[node]) {
      case NODE.MODRM_GROUP:
        if (!hasNext) return NEEDS_MODRM;
        child = ((next >> 3) & 7) | (next >= 0xc0 ? 8 : 0);
        break;
      case NODE.MODRM_BYTE:
        if (!hasNext) return NEEDS_MODRM;
        child = next;
        break;
      case NODE.REPEAT_PREFIX:
        child = (prefixes & PREFIX.REP) !== 0 ? 2 : (prefixes & PREFIX.REPNE) !== 0 ? 1 : 0;
        break;
      case NODE.ADDRESS_SIZE_PREFIX:
        child = (prefixes & PREFIX.ADDRESS_SIZE) !== 0 ? 1 : 0;
        break;
      default:
        child = rex & 1;
    }
    const link = TABLE[node + 1 + child]!;
    if (link >= 0) return link;
    node = -link;
  }
}

/**
 * Decodes the instruction at `bytes[offset]`.
 * @param end position behind the last byte that may be read.
 * @param codeSize 16, 32 or 64: CS.D and CS.L.
 * @param out filled in place; its contents are meaningful only when the result is `DecodeStatus.OK`.
 */
export function decode(
  bytes: Uint8Array,
  offset: number,
  end: number,
  codeSize: 16 | 32 | 64,
  out: Instruction,
): DecodeStatus {
  // FACT, RECORD, REGISTER_FIELD and others again as numbers of this function: V8 folds these into the code,
  // but loads what other modules export each time (a fifth of the decoder's speed).
  const OK = 0;
  const INVALID = 1;
  const NEEDS_MORE = 2;
  const NONE = -1;
  const ENTRIES = 512;
  const REX_KIND_SHIFT = 3;
  const PREFIX_LOCK = 1;
  const PREFIX_OPERAND_SIZE = 8;
  const PREFIX_ADDRESS_SIZE = 16;
  const PREFIX_REX = 32;
  const HAS_MODRM = 1;
  const MOD_IGNORED = 2;
  const LOCKABLE = 4;
  const IMPLIED_SOURCE = 8;
  const ODD_REGISTERS = 0x770;
  const RARE = 0x80;
  const SEGMENT_DS = 3;
  const MEMORY_SHIFT = 12;
  const IMMEDIATE_SIZE_SHIFT = 16;
  const IMMEDIATE_IS_SIGNED_SHIFT = 19;
  const RARE_KIND_SHIFT = 20;
  const REGISTER_FIELDS = 1;
  const FIXED_REGISTERS = 2;
  const OPERAND_SIZES = 3;
  const ROW = 4;
  const REG_FIELD = 5;
  const RM_FIELD = 10;

  let limit = offset + MAXIMUM_LENGTH;
  let cutOff: DecodeStatus = INVALID;
  if (limit > end) {
    limit = end;
    cutOff = NEEDS_MORE;
  }
  const isCode64 = codeSize === 64;
  const kindBase = isCode64 ? 256 : 0;
  let position = offset;
  let prefixes = 0;
  let override = NONE;
  let addressSize: number = codeSize;

  // No prefix or just REX, without a branch that could be mispredicted.
  if (position >= limit) return cutOff;
  let byte = bytes[position++]!;
  const isRex = TABLE[kindBase | byte]! >> REX_KIND_SHIFT;
  let rex = byte & -isRex;
  position += isRex;
  if (position > limit) return cutOff;
  byte = bytes[position - 1]!;
  let context = isCode64 ? 4 | ((rex & 8) >> 2) : codeSize === 32 ? 2 : 0;

  if (TABLE[kindBase | byte] !== 0) {
    prefixReader.read(bytes, offset, limit, isCode64);
    ({ prefixes, override, rex, position } = prefixReader);
    if (position >= limit) return cutOff;
    byte = bytes[position++]!;
    context = isCode64 ? 4 | ((rex & 8) >> 2) : context;
    if ((prefixes & PREFIX_OPERAND_SIZE) !== 0) context |= 1;
    if ((prefixes & PREFIX_ADDRESS_SIZE) !== 0) addressSize = codeSize === 32 ? 16 : 32;
  }

  let key = ENTRIES | (context << 10);
  if (byte === 0x0f) {
    if (position >= limit) return cutOff;
    byte = bytes[position++]!;
    key += 0x100;
    if (byte === 0x38 || byte === 0x3a) {
      key += byte === 0x38 ? 0x100 : 0x200;
      if (position >= limit) return cutOff;
      byte = bytes[position++]!;
    }
  }

  // The byte behind the opcode is looked at even where it is no ModRM: the block is then the same throughout.
  const next = position < limit ? bytes[position]! : 0;
  const entry = TABLE[key + byte]!;
  let record: number;
  if (entry > 0) {
    record = TABLE[entry + (((next + 0x40) >> 8) << 3) + ((next >> 3) & 7)]!;
    if (record === 0) return position < limit || entry === EMPTY_BLOCK ? INVALID : cutOff;
  } else {
    record = walkNodes(-entry, prefixes, rex, next, position < limit);
    if (record <= 0) return record === 0 ? INVALID : cutOff;
  }

  const flags = TABLE[record]!;
  let isRegister = true;
  let memoryOperand = NONE;
  let opcodeOrModrm = byte;
  if ((flags & HAS_MODRM) !== 0) {
    if (position >= limit) return cutOff;
    position++;
    opcodeOrModrm = next;
    isRegister = next >= 0xc0 || (flags & MOD_IGNORED) !== 0;
  }
  if (isRegister) {
    out.segment = (flags & IMPLIED_SOURCE) === 0 ? NONE : override >= 0 ? override : SEGMENT_DS;
    out.baseRegister = NONE;
    out.indexRegister = NONE;
    out.scale = 0;
    out.displacement = 0;
    out.displacementSize = 0;
  } else {
    memoryOperand = ((flags >> MEMORY_SHIFT) & 7) - 1;
    position =
      addressSize === 16
        ? readMemory16(bytes, position, limit, next, override, out)
        : readMemory(bytes, position, limit, next, rex, override, isCode64, out);
  }
  out.displacementHigh = 0;
  out.addressSize = addressSize;
  out.secondImmediate = 0;

  if ((flags & RARE) === 0) {
    const size = (flags >> IMMEDIATE_SIZE_SHIFT) & 7;
    const isSigned = (flags >> IMMEDIATE_IS_SIGNED_SHIFT) & 1;
    const value = extend(peekDoubleword(bytes, position, limit), size);
    // Unsigned: the extension is taken off again. 32 bits stay as they are, with a zero upper half.
    out.immediateLow = value & ((-1 >>> (32 - 8 * size)) | -isSigned);
    out.immediateHigh = (value >> 31) & -isSigned;
    position += size;
  } else {
    out.immediateLow = 0;
    out.immediateHigh = 0;
    const kind = (flags >> RARE_KIND_SHIFT) & 7;
    position = readRareImmediate(bytes, position, limit, kind, override, out);
    memoryOperand = ((flags >> MEMORY_SHIFT) & 7) - 1;
  }
  if (position > limit) return cutOff;

  // LOCK: only on the rows that allow it, and only with a memory destination (Vol. 2A, LOCK).
  if ((prefixes & PREFIX_LOCK) !== 0 && ((flags & LOCKABLE) === 0 || isRegister)) return INVALID;

  let reg = ((next >> 3) & 7) | ((rex & 4) << 1);
  let rm = (opcodeOrModrm & 7) | ((rex & 1) << 3);
  if ((flags & ODD_REGISTERS) !== 0) {
    const pair = oddRegisters(flags, reg, rm, rex);
    if (pair < 0) return INVALID;
    reg = pair & 255;
    rm = pair >> 8;
  }
  const numbers =
    TABLE[record + FIXED_REGISTERS]! | ((reg + 1) << REG_FIELD) | (isRegister ? (rm + 1) << RM_FIELD : 0);
  const fields = TABLE[record + REGISTER_FIELDS]!;
  out.register0 = ((numbers >> (fields & 31)) & 31) - 1;
  out.register1 = ((numbers >> ((fields >> 8) & 31)) & 31) - 1;
  out.register2 = ((numbers >> ((fields >> 16) & 31)) & 31) - 1;
  out.register3 = ((numbers >> ((fields >> 24) & 31)) & 31) - 1;

  out.encoding = ENCODINGS[TABLE[record + ROW]!]!;
  out.length = position - offset;
  out.codeSize = codeSize;
  out.prefixes = rex === 0 ? prefixes : prefixes | PREFIX_REX;
  out.rex = rex;
  out.operandSize = ((TABLE[record + OPERAND_SIZES]! >> (3 * context)) & 7) << 4;
  out.segmentOverride = override;
  out.memoryOperand = memoryOperand;
  return OK;
}
