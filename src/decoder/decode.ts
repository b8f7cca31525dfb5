/**
 * Bytes → Instruction (SDM Vol. 2A, Chapter 2 Instruction Format). Everything about opcodes comes from the
 * table of encodings; here are the rules of prefixes, ModRM, SIB, displacements and immediates.
 */

import { ENCODINGS, type Instruction, NO_REGISTER, PREFIX, RIP_BASE } from '../instruction-set/index.js';
import { DecodeStatus } from './decode-status.js';
import { buildOpcodeTree, CONTEXTS, NO_ROW, NODE, operandSizeOf } from './opcode-tree.js';
import {
  FACT,
  IMMEDIATE,
  IMMEDIATE_SHIFT,
  MEMORY_SHIFT,
  NO_MEMORY,
  OPERAND_SIZE_SHIFT,
  packRowFacts,
  SOURCE,
} from './row-facts.js';

const { entries: ENTRIES, nodes: NODES } = buildOpcodeTree(ENCODINGS);
const { flags: ROW_FLAGS, registers: ROW_REGISTERS } = packRowFacts(ENCODINGS);

/** Longest instruction; longer ones raise #GP (Vol. 2A, 2.3.11). */
export const MAXIMUM_LENGTH = 15;

const SEGMENT_SS = 2;
const SEGMENT_DS = 3;
const SEGMENT_FS = 4;

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

/** Effective operand size by context, plus 8 when it defaults to 64, plus 16 when it is always 64. */
const OPERAND_SIZES = Uint8Array.from({ length: CONTEXTS * 3 }, (_, index) =>
  operandSizeOf(index & 7, (index & 8) !== 0, (index & 16) !== 0),
);

/** Base and index of the 16-bit addressing forms, by ModRM.rm (Vol. 2A, Table 2-1). */
const BASES_16 = Int8Array.from([3, 3, 5, 5, 6, 7, 5, 3]);
const INDEXES_16 = Int8Array.from([6, 7, 6, 7, -1, -1, -1, -1]);

/** CR0, CR2, CR3, CR4 and CR8 exist. */
const CONTROL_REGISTERS = 0b1_0001_1101;
const INVALID_REGISTER = -2;
/** What the memory decoders return when the bytes end. */
const CUT_OFF = -1;

function readWord(bytes: Uint8Array, position: number): number {
  return bytes[position]! | (bytes[position + 1]! << 8);
}

function readDoubleword(bytes: Uint8Array, position: number): number {
  return (
    bytes[position]! |
    (bytes[position + 1]! << 8) |
    (bytes[position + 2]! << 16) |
    (bytes[position + 3]! << 24)
  );
}

/** The 16-bit forms of a memory operand: returns the position behind it, or `CUT_OFF`. */
function readMemory16(
  bytes: Uint8Array,
  position: number,
  limit: number,
  modrm: number,
  override: number,
  out: Instruction,
): number {
  const rm = modrm & 7;
  const mod = modrm >> 6;
  out.scale = 0;
  if (mod === 0 && rm === 6) {
    if (position + 2 > limit) return CUT_OFF;
    out.baseRegister = NO_REGISTER;
    out.indexRegister = NO_REGISTER;
    out.segment = override >= 0 ? override : SEGMENT_DS;
    out.displacement = (readWord(bytes, position) << 16) >> 16;
    out.displacementSize = 2;
    return position + 2;
  }
  const base = BASES_16[rm]!;
  out.baseRegister = base;
  out.indexRegister = INDEXES_16[rm]!;
  out.segment = override >= 0 ? override : base === 5 ? SEGMENT_SS : SEGMENT_DS;
  if (mod === 0) {
    out.displacement = 0;
    out.displacementSize = 0;
    return position;
  }
  if (position + mod > limit) return CUT_OFF;
  out.displacement = mod === 1 ? (bytes[position]! << 24) >> 24 : (readWord(bytes, position) << 16) >> 16;
  out.displacementSize = mod;
  return position + mod;
}

/** The 32- and 64-bit forms of a memory operand: returns the position behind it, or `CUT_OFF`. */
function readMemory(
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
  const mod = modrm >> 6;
  let base = rm | ((rex & 1) << 3);
  let index: number = NO_REGISTER;
  let scale = 0;
  let size = mod === 2 ? 4 : mod;
  if (rm === 4) {
    if (position >= limit) return CUT_OFF;
    const sib = bytes[position++]!;
    base = (sib & 7) | ((rex & 1) << 3);
    const number = ((sib >> 3) & 7) | ((rex & 2) << 2);
    if (number !== 4) {
      index = number;
      scale = sib >> 6;
    }
    if (mod === 0 && (sib & 7) === 5) {
      base = NO_REGISTER;
      size = 4;
    }
  } else if (mod === 0 && rm === 5) {
    base = isCode64 ? RIP_BASE : NO_REGISTER;
    size = 4;
  }
  out.baseRegister = base;
  out.indexRegister = index;
  out.scale = scale;
  out.segment = override >= 0 ? override : base === 4 || base === 5 ? SEGMENT_SS : SEGMENT_DS;
  out.displacementSize = size;
  if (size === 0) {
    out.displacement = 0;
    return position;
  }
  if (position + size > limit) return CUT_OFF;
  out.displacement = size === 1 ? (bytes[position]! << 24) >> 24 : readDoubleword(bytes, position);
  return position + size;
}

/** Register number of one operand, `NO_REGISTER`, or `INVALID_REGISTER` for one that does not exist. */
function registerNumber(
  source: number,
  opcode: number,
  modrm: number,
  isRegister: boolean,
  rex: number,
): number {
  switch (source & 15) {
    case SOURCE.NONE:
      return NO_REGISTER;
    case SOURCE.FIXED:
      return source >> 4;
    case SOURCE.REG:
      return ((modrm >> 3) & 7) | ((rex & 4) << 1);
    case SOURCE.REG_BYTE: {
      const number = (modrm >> 3) & 7;
      return rex !== 0 || number < 4 ? number | ((rex & 4) << 1) : number + 12;
    }
    case SOURCE.RM:
      return isRegister ? (modrm & 7) | ((rex & 1) << 3) : NO_REGISTER;
    case SOURCE.RM_BYTE: {
      if (!isRegister) return NO_REGISTER;
      const number = modrm & 7;
      return rex !== 0 || number < 4 ? number | ((rex & 1) << 3) : number + 12;
    }
    case SOURCE.OPCODE:
      return (opcode & 7) | ((rex & 1) << 3);
    case SOURCE.OPCODE_BYTE: {
      const number = opcode & 7;
      return rex !== 0 || number < 4 ? number | ((rex & 1) << 3) : number + 12;
    }
    case SOURCE.SEGMENT: {
      const number = (modrm >> 3) & 7;
      return number < 6 ? number : INVALID_REGISTER;
    }
    case SOURCE.SEGMENT_WRITTEN: {
      // CS cannot be loaded by MOV.
      const number = (modrm >> 3) & 7;
      return number < 6 && number !== 1 ? number : INVALID_REGISTER;
    }
    case SOURCE.CONTROL: {
      const number = ((modrm >> 3) & 7) | ((rex & 4) << 1);
      return ((CONTROL_REGISTERS >> number) & 1) !== 0 ? number : INVALID_REGISTER;
    }
    case SOURCE.DEBUG:
      return (rex & 4) === 0 ? (modrm >> 3) & 7 : INVALID_REGISTER;
    default:
      return modrm & 7;
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
  let rex = 0;
  let override: number = NO_REGISTER;
  let byte = 0;

  // Prefixes, in any order; the last one of a group is in force.
  for (;;) {
    if (position >= limit) return cutOff;
    byte = bytes[position++]!;
    const kind = PREFIX_KINDS[kindBase | byte]!;
    if (kind === 0) break;
    if (kind === KIND.REX) {
      rex = byte;
      continue;
    }
    // REX counts only right before the opcode (Vol. 2A, 2.2.1).
    rex = 0;
    switch (kind) {
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
  if (rex !== 0) prefixes |= PREFIX.REX;

  let key = isCode64 ? 4 | ((rex & 8) >> 2) : codeSize === 32 ? 2 : 0;
  if ((prefixes & PREFIX.OPERAND_SIZE) !== 0) key |= 1;
  const context = key;
  key <<= 10;
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

  let row = ENTRIES[key | byte]!;
  while (row < NO_ROW) {
    const node = -2 - row;
    let child: number;
    switch (NODES[node]) {
      case NODE.MODRM_GROUP: {
        if (position >= limit) return cutOff;
        const modrm = bytes[position]!;
        child = ((modrm >> 3) & 7) | (modrm >= 0xc0 ? 8 : 0);
        break;
      }
      case NODE.MODRM_BYTE:
        if (position >= limit) return cutOff;
        child = bytes[position]!;
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
  if (row === NO_ROW) return DecodeStatus.INVALID;

  const flags = ROW_FLAGS[row]!;
  const addressSize = (prefixes & PREFIX.ADDRESS_SIZE) === 0 ? codeSize : codeSize === 32 ? 16 : 32;
  let modrm = 0;
  let isRegister = true;
  let memoryOperand = -1;
  if ((flags & FACT.HAS_MODRM) !== 0) {
    if (position >= limit) return cutOff;
    modrm = bytes[position++]!;
    isRegister = modrm >= 0xc0 || (flags & FACT.MOD_IGNORED) !== 0;
    if (!isRegister) {
      memoryOperand = (flags >> MEMORY_SHIFT) & 7;
      position =
        addressSize === 16
          ? readMemory16(bytes, position, limit, modrm, override, out)
          : readMemory(bytes, position, limit, modrm, rex, override, isCode64, out);
      if (position === CUT_OFF) return cutOff;
    }
  }
  if (isRegister) {
    out.segment = (flags & FACT.IMPLIED_SOURCE) === 0 ? NO_REGISTER : override >= 0 ? override : SEGMENT_DS;
    out.baseRegister = NO_REGISTER;
    out.indexRegister = NO_REGISTER;
    out.scale = 0;
    out.displacement = 0;
    out.displacementSize = 0;
  }
  out.displacementHigh = 0;

  let low = 0;
  let high = 0;
  let second = 0;
  const immediate = (flags >> IMMEDIATE_SHIFT) & 15;
  if (immediate !== IMMEDIATE.NONE) {
    switch (immediate) {
      case IMMEDIATE.BYTE:
        if (position >= limit) return cutOff;
        low = bytes[position++]!;
        break;
      case IMMEDIATE.SIGNED_BYTE:
        if (position >= limit) return cutOff;
        low = (bytes[position++]! << 24) >> 24;
        high = low >> 31;
        break;
      case IMMEDIATE.WORD:
      case IMMEDIATE.SIGNED_WORD:
        if (position + 2 > limit) return cutOff;
        low = readWord(bytes, position);
        if (immediate === IMMEDIATE.SIGNED_WORD) {
          low = (low << 16) >> 16;
          high = low >> 31;
        }
        position += 2;
        break;
      case IMMEDIATE.DOUBLEWORD:
      case IMMEDIATE.SIGNED_DOUBLEWORD:
        if (position + 4 > limit) return cutOff;
        low = readDoubleword(bytes, position);
        if (immediate === IMMEDIATE.SIGNED_DOUBLEWORD) high = low >> 31;
        position += 4;
        break;
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

  const registers = ROW_REGISTERS[row]!;
  const register0 = registerNumber(registers & 255, byte, modrm, isRegister, rex);
  const register1 = registerNumber((registers >> 8) & 255, byte, modrm, isRegister, rex);
  if (register0 === INVALID_REGISTER || register1 === INVALID_REGISTER) return DecodeStatus.INVALID;
  out.register0 = register0;
  out.register1 = register1;
  if ((flags & FACT.TWO_OPERANDS) !== 0) {
    out.register2 = NO_REGISTER;
    out.register3 = NO_REGISTER;
  } else {
    out.register2 = registerNumber((registers >> 16) & 255, byte, modrm, isRegister, rex);
    out.register3 = registerNumber(registers >>> 24, byte, modrm, isRegister, rex);
  }

  const rowOperandSize = (flags >> OPERAND_SIZE_SHIFT) & 7;
  out.encoding = ENCODINGS[row]!;
  out.length = position - offset;
  out.codeSize = codeSize;
  out.prefixes = prefixes;
  out.rex = rex;
  out.operandSize =
    rowOperandSize !== 0
      ? rowOperandSize << 4
      : OPERAND_SIZES[
          context | ((flags & FACT.FORCED64) !== 0 ? 16 : (flags & FACT.DEFAULT64) !== 0 ? 8 : 0)
        ]!;
  out.addressSize = addressSize;
  out.segmentOverride = override;
  out.memoryOperand = memoryOperand === NO_MEMORY ? -1 : memoryOperand;
  out.immediateLow = low;
  out.immediateHigh = high;
  out.secondImmediate = second;
  return DecodeStatus.OK;
}
