/**
 * Bytes → Instruction (SDM Vol. 2A, Chapter 2 Instruction Format). Everything about opcodes comes from the
 * table of encodings; here are the rules of prefixes, ModRM, SIB, displacements and immediates.
 */

import { SEGMENT } from '../architecture/registers.js';
import { ENCODINGS, type Instruction, NO_REGISTER, PREFIX } from '../instruction-set/index.js';
import { CUT_OFF, readMemory, readMemory16 } from './addressing.js';
import { peekDoubleword, readDoubleword, readWord } from './byte-reader.js';
import { DecodeStatus } from './decode-status.js';
import { buildOpcodeTree, EMPTY_BLOCK, NO_ROW, NODE } from './opcode-tree.js';
import {
  FACT,
  IMMEDIATE,
  IMMEDIATE_SHIFT,
  LAST_SIMPLE_IMMEDIATE,
  MEMORY_SHIFT,
  NO_MEMORY,
  packRowFacts,
  REGISTER_FIELD,
  SPECIAL,
} from './row-facts.js';

const { entries: ENTRIES, blocks: BLOCKS, nodes: NODES } = buildOpcodeTree(ENCODINGS);
const {
  flags: ROW_FLAGS,
  registerFields: ROW_REGISTER_FIELDS,
  fixedRegisters: ROW_FIXED_REGISTERS,
  specials: ROW_SPECIALS,
  operandSizes: ROW_OPERAND_SIZES,
} = packRowFacts(ENCODINGS);

/** Longest instruction; longer ones raise #GP (Vol. 2A, 2.3.11). */
export const MAXIMUM_LENGTH = 15;

const { DS: SEGMENT_DS, FS: SEGMENT_FS } = SEGMENT;

/** Kinds of prefix byte; 0 for all other bytes. */
const KIND = { SEGMENT: 1, OPERAND_SIZE: 2, ADDRESS_SIZE: 3, LOCK: 4, REPNE: 5, REP: 6, REX: 7 } as const;

/** By byte; REX counts from 256 up, for 64-bit code. */
const PREFIX_KINDS = new Uint8Array(512);
/** Segment register chosen by a segment prefix. */
const PREFIX_SEGMENTS = new Int8Array(256);
for (const base of [0, 256]) {
  for (const [segment, byte] of [0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65].entries()) {
    PREFIX_KINDS[base + byte] = KIND.SEGMENT;
    PREFIX_SEGMENTS[byte] = segment;
  }
  PREFIX_KINDS[base + 0x66] = KIND.OPERAND_SIZE;
  PREFIX_KINDS[base + 0x67] = KIND.ADDRESS_SIZE;
  PREFIX_KINDS[base + 0xf0] = KIND.LOCK;
  PREFIX_KINDS[base + 0xf2] = KIND.REPNE;
  PREFIX_KINDS[base + 0xf3] = KIND.REP;
}
PREFIX_KINDS.fill(KIND.REX, 256 + 0x40, 256 + 0x50);

/** 1 for a REX prefix of 64-bit code, indexed like `PREFIX_KINDS`. */
const IS_REX = PREFIX_KINDS.map((kind) => (kind === KIND.REX ? 1 : 0));

/** Index inside a block, by ModRM. */
const BLOCK_INDEXES = Uint8Array.from(
  { length: 256 },
  (_, modrm) => ((modrm >> 3) & 7) | (modrm >= 0xc0 ? 8 : 0),
);

/** Simple immediates by kind: bytes, distance that sign extension shifts, bits kept, bits kept of the sign. */
const IMMEDIATE_SIZES = Uint8Array.from([0, 1, 1, 2, 2, 4, 4]);
const IMMEDIATE_SHIFTS = Uint8Array.from([0, 24, 24, 16, 16, 0, 0]);
const IMMEDIATE_MASKS = Int32Array.from([0, 0xff, -1, 0xffff, -1, -1, -1]);
const IMMEDIATE_SIGN_MASKS = Int32Array.from([0, 0, -1, 0, -1, 0, -1]);

/** CR0, CR2, CR3, CR4 and CR8 exist. */
const CONTROL_REGISTERS = 0b1_0001_1101;
/** Number of a segment, control or debug register named by ModRM.reg and REX.R; -1 when there is none. */
function specialRegister(kind: number, modrm: number, rex: number): number {
  const number = (modrm >> 3) & 7;
  switch (kind) {
    case SPECIAL.SEGMENT:
      return number < 6 ? number : -1;
    case SPECIAL.SEGMENT_WRITTEN:
      // CS cannot be loaded by MOV.
      return number < 6 && number !== 1 ? number : -1;
    case SPECIAL.CONTROL: {
      const extended = number | ((rex & 4) << 1);
      return ((CONTROL_REGISTERS >> extended) & 1) !== 0 ? extended : -1;
    }
    default:
      return (rex & 4) === 0 ? number : -1;
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
  let limit = offset + MAXIMUM_LENGTH;
  let cutOff: DecodeStatus = DecodeStatus.INVALID;
  if (limit > end) {
    limit = end;
    cutOff = DecodeStatus.NEEDS_MORE;
  }
  const isCode64 = codeSize === 64;
  const kindBase = isCode64 ? 256 : 0;
  let position = offset;
  let prefixes = 0;
  let override: number = NO_REGISTER;

  // No prefix or just REX, without a branch that could be mispredicted.
  if (position >= limit) return cutOff;
  let byte = bytes[position++]!;
  const isRex = IS_REX[kindBase | byte]!;
  let rex = byte & -isRex;
  position += isRex;
  if (position > limit) return cutOff;
  byte = bytes[position - 1]!;

  if (PREFIX_KINDS[kindBase | byte] !== 0) {
    // Prefixes in any order; the last one of a group is in force.
    position = offset;
    rex = 0;
    for (;;) {
      if (position >= limit) return cutOff;
      byte = bytes[position++]!;
      const kind = PREFIX_KINDS[kindBase | byte]!;
      if (kind === 0) break;
      // REX counts only right before the opcode (Vol. 2A, 2.2.1).
      rex = 0;
      switch (kind) {
        case KIND.REX:
          rex = byte;
          break;
        case KIND.OPERAND_SIZE:
          prefixes |= PREFIX.OPERAND_SIZE;
          break;
        case KIND.ADDRESS_SIZE:
          prefixes |= PREFIX.ADDRESS_SIZE;
          break;
        case KIND.LOCK:
          prefixes |= PREFIX.LOCK;
          break;
        case KIND.REPNE:
          prefixes = (prefixes & ~PREFIX.REP) | PREFIX.REPNE;
          break;
        case KIND.REP:
          prefixes = (prefixes & ~PREFIX.REPNE) | PREFIX.REP;
          break;
        default: {
          // In 64-bit mode CS, DS, ES and SS prefixes are ignored (Vol. 1, 3.4.2.1).
          const segment = PREFIX_SEGMENTS[byte]!;
          if (!isCode64 || segment >= SEGMENT_FS) override = segment;
        }
      }
    }
  }

  let context = isCode64 ? 4 | ((rex & 8) >> 2) : codeSize === 32 ? 2 : 0;
  if ((prefixes & PREFIX.OPERAND_SIZE) !== 0) context |= 1;
  let key = context << 10;
  if (byte === 0x0f) {
    if (position >= limit) return cutOff;
    byte = bytes[position++]!;
    key |= 0x100;
    if (byte === 0x38 || byte === 0x3a) {
      key += byte === 0x38 ? 0x100 : 0x200;
      if (position >= limit) return cutOff;
      byte = bytes[position++]!;
    }
  }

  // The byte behind the opcode is looked at even where it is no ModRM: the block is then the same throughout.
  const next = position < limit ? bytes[position]! : 0;
  const entry = ENTRIES[key | byte]!;
  let row: number;
  if (entry >= 0) row = BLOCKS[entry + BLOCK_INDEXES[next]!]!;
  else {
    row = entry - 1;
    while (row < NO_ROW) {
      const node = -2 - row;
      let child: number;
      switch (NODES[node]) {
        case NODE.MODRM_GROUP:
          if (position >= limit) return cutOff;
          child = BLOCK_INDEXES[next]!;
          break;
        case NODE.MODRM_BYTE:
          if (position >= limit) return cutOff;
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
      row = NODES[node + 1 + child]!;
    }
  }
  if (row === NO_ROW) return entry <= EMPTY_BLOCK || position < limit ? DecodeStatus.INVALID : cutOff;

  const flags = ROW_FLAGS[row]!;
  const addressSize = (prefixes & PREFIX.ADDRESS_SIZE) === 0 ? codeSize : codeSize === 32 ? 16 : 32;
  const hasModrm = (flags & FACT.HAS_MODRM) !== 0;
  let isRegister = true;
  let memoryOperand = -1;
  if (hasModrm) {
    if (position >= limit) return cutOff;
    position++;
    isRegister = next >= 0xc0 || (flags & FACT.MOD_IGNORED) !== 0;
  }
  if (isRegister) {
    out.segment = (flags & FACT.IMPLIED_SOURCE) === 0 ? NO_REGISTER : override >= 0 ? override : SEGMENT_DS;
    out.baseRegister = NO_REGISTER;
    out.indexRegister = NO_REGISTER;
    out.scale = 0;
    out.displacement = 0;
    out.displacementSize = 0;
  } else {
    memoryOperand = (flags >> MEMORY_SHIFT) & 7;
    position =
      addressSize === 16
        ? readMemory16(bytes, position, limit, next, override, out)
        : readMemory(bytes, position, limit, next, rex, override, isCode64, out);
    if (position === CUT_OFF) return cutOff;
  }
  out.displacementHigh = 0;

  let low = 0;
  let high = 0;
  let second = 0;
  const immediate = (flags >> IMMEDIATE_SHIFT) & 15;
  if (immediate <= LAST_SIMPLE_IMMEDIATE) {
    const shift = IMMEDIATE_SHIFTS[immediate]!;
    low = ((peekDoubleword(bytes, position, limit) << shift) >> shift) & IMMEDIATE_MASKS[immediate]!;
    high = (low >> 31) & IMMEDIATE_SIGN_MASKS[immediate]!;
    position += IMMEDIATE_SIZES[immediate]!;
    if (position > limit) return cutOff;
  } else {
    switch (immediate) {
      case IMMEDIATE.QUADWORD:
        if (position + 8 > limit) return cutOff;
        low = readDoubleword(bytes, position);
        high = readDoubleword(bytes, position + 4);
        position += 8;
        break;
      case IMMEDIATE.WORD_BYTE:
        if (position + 3 > limit) return cutOff;
        low = readWord(bytes, position);
        second = bytes[position + 2]!;
        position += 3;
        break;
      case IMMEDIATE.FAR_WORD:
        if (position + 4 > limit) return cutOff;
        low = readWord(bytes, position);
        second = readWord(bytes, position + 2);
        position += 4;
        break;
      case IMMEDIATE.FAR_DOUBLEWORD:
        if (position + 6 > limit) return cutOff;
        low = readDoubleword(bytes, position);
        second = readWord(bytes, position + 4);
        position += 6;
        break;
      default: {
        const size = addressSize >> 3;
        if (position + size > limit) return cutOff;
        memoryOperand = (flags >> MEMORY_SHIFT) & 7;
        out.segment = override >= 0 ? override : SEGMENT_DS;
        out.displacement = size === 2 ? readWord(bytes, position) : readDoubleword(bytes, position);
        if (size === 8) out.displacementHigh = readDoubleword(bytes, position + 4);
        out.displacementSize = size;
        position += size;
      }
    }
  }

  // LOCK: only on the rows that allow it, and only with a memory destination (Vol. 2A, LOCK).
  if ((prefixes & PREFIX.LOCK) !== 0 && ((flags & FACT.LOCKABLE) === 0 || isRegister))
    return DecodeStatus.INVALID;

  let reg = ((next >> 3) & 7) | ((rex & 4) << 1);
  let rm = ((hasModrm ? next : byte) & 7) | ((rex & 1) << 3);
  if ((flags & (FACT.REG_IS_BYTE | FACT.RM_IS_BYTE)) !== 0) {
    // Without REX, 4 … 7 are AH … BH; they are numbered from 16 up.
    if (rex === 0) {
      if ((flags & FACT.REG_IS_BYTE) !== 0 && reg >= 4) reg += 12;
      if ((flags & FACT.RM_IS_BYTE) !== 0 && rm >= 4) rm += 12;
    }
  } else if ((flags & (FACT.REG_IS_SPECIAL | FACT.RM_WITHOUT_REX)) !== 0) {
    if ((flags & FACT.RM_WITHOUT_REX) !== 0) rm &= 7;
    else {
      reg = specialRegister(ROW_SPECIALS[row]!, next, rex);
      if (reg < 0) return DecodeStatus.INVALID;
    }
  }
  const numbers =
    ROW_FIXED_REGISTERS[row]! |
    ((reg + 1) << REGISTER_FIELD.REG) |
    (isRegister ? (rm + 1) << REGISTER_FIELD.RM : 0);
  const fields = ROW_REGISTER_FIELDS[row]!;
  out.register0 = ((numbers >> (fields & 31)) & 31) - 1;
  out.register1 = ((numbers >> ((fields >> 8) & 31)) & 31) - 1;
  out.register2 = ((numbers >> ((fields >> 16) & 31)) & 31) - 1;
  out.register3 = ((numbers >> ((fields >> 24) & 31)) & 31) - 1;

  out.encoding = ENCODINGS[row]!;
  out.length = position - offset;
  out.codeSize = codeSize;
  out.prefixes = rex === 0 ? prefixes : prefixes | PREFIX.REX;
  out.rex = rex;
  out.operandSize = ROW_OPERAND_SIZES[(row << 3) | context]!;
  out.addressSize = addressSize;
  out.segmentOverride = override;
  out.memoryOperand = memoryOperand === NO_MEMORY ? -1 : memoryOperand;
  out.immediateLow = low;
  out.immediateHigh = high;
  out.secondImmediate = second;
  return DecodeStatus.OK;
}
