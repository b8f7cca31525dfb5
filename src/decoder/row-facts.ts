/** What decoding needs to know of each row, packed into integers so that it is read from flat arrays. */

import { type Encoding, NO_REGISTER, type OperandForm } from '../instruction-set/index.js';

/** Bits of `RowFacts.flags`. */
export const FACT = {
  HAS_MODRM: 1 << 0,
  MOD_IGNORED: 1 << 1,
  LOCKABLE: 1 << 2,
  /** An implied DS:[rSI] or DS:[rBX+AL], whose segment can be overridden. */
  IMPLIED_SOURCE: 1 << 3,
  /** Operands 2 and 3 hold no register, so they need no look. */
  TWO_OPERANDS: 1 << 4,
  DEFAULT64: 1 << 5,
  FORCED64: 1 << 6,
} as const;

/** Position of the kind of immediate in `RowFacts.flags`, four bits. */
export const IMMEDIATE_SHIFT = 8;
/** Position of the memory operand's number, three bits; 7 when there is none. */
export const MEMORY_SHIFT = 12;
export const NO_MEMORY = 7;
/** Position of the row's own operand size divided by 16, three bits; 0 when it has none. */
export const OPERAND_SIZE_SHIFT = 16;

/** What follows ModRM and displacement. */
export const IMMEDIATE = {
  NONE: 0,
  BYTE: 1,
  SIGNED_BYTE: 2,
  WORD: 3,
  SIGNED_WORD: 4,
  DOUBLEWORD: 5,
  SIGNED_DOUBLEWORD: 6,
  QUADWORD: 7,
  /** ENTER: a word, then a byte. */
  WORD_BYTE: 8,
  FAR_WORD: 9,
  FAR_DOUBLEWORD: 10,
  MEMORY_OFFSET: 11,
} as const;

/** Where an operand's register number comes from; four bits, a fixed number above them. */
export const SOURCE = {
  NONE: 0,
  FIXED: 1,
  REG: 2,
  REG_BYTE: 3,
  RM: 4,
  RM_BYTE: 5,
  OPCODE: 6,
  OPCODE_BYTE: 7,
  SEGMENT: 8,
  SEGMENT_WRITTEN: 9,
  CONTROL: 10,
  DEBUG: 11,
  /** ModRM.rm or ModRM.reg without REX: ST(i). */
  RM_STACK: 12,
} as const;

export interface RowFacts {
  readonly flags: Int32Array;
  /** Eight bits per operand: `SOURCE`, and a fixed register number above it. */
  readonly registers: Int32Array;
}

function immediateKind(operands: readonly OperandForm[]): number {
  const trailing = operands.filter((o) => ['immediate', 'relative', 'far', 'offset'].includes(o.slot));
  const first = trailing[0];
  if (first === undefined) return IMMEDIATE.NONE;
  if (trailing.length === 2) return IMMEDIATE.WORD_BYTE;
  if (first.slot === 'offset') return IMMEDIATE.MEMORY_OFFSET;
  if (first.slot === 'far') return first.encodedWidth === 32 ? IMMEDIATE.FAR_WORD : IMMEDIATE.FAR_DOUBLEWORD;
  switch (first.encodedWidth) {
    case 8:
      return first.signExtended ? IMMEDIATE.SIGNED_BYTE : IMMEDIATE.BYTE;
    case 16:
      return first.signExtended ? IMMEDIATE.SIGNED_WORD : IMMEDIATE.WORD;
    case 32:
      return first.signExtended ? IMMEDIATE.SIGNED_DOUBLEWORD : IMMEDIATE.DOUBLEWORD;
    default:
      return IMMEDIATE.QUADWORD;
  }
}

function registerSource(operand: OperandForm): number {
  const { registerClass, slot } = operand;
  if (registerClass === undefined) return SOURCE.NONE;
  if (slot === 'implicit') return SOURCE.FIXED | (operand.fixedRegister << 4);
  switch (registerClass) {
    case 'segment':
      return operand.access === 'r' ? SOURCE.SEGMENT : SOURCE.SEGMENT_WRITTEN;
    case 'control':
      return SOURCE.CONTROL;
    case 'debug':
      return SOURCE.DEBUG;
    case 'st':
      return SOURCE.RM_STACK;
    case 'gpr8':
      return slot === 'reg' ? SOURCE.REG_BYTE : slot === 'rm' ? SOURCE.RM_BYTE : SOURCE.OPCODE_BYTE;
    default:
      return slot === 'reg' ? SOURCE.REG : slot === 'rm' ? SOURCE.RM : SOURCE.OPCODE;
  }
}

function flagsOf(encoding: Encoding): number {
  const { operands } = encoding;
  const memory = operands.findIndex((o) => o.memory && o.slot !== 'implicit');
  let flags = immediateKind(operands) << IMMEDIATE_SHIFT;
  flags |= (memory === NO_REGISTER ? NO_MEMORY : memory) << MEMORY_SHIFT;
  flags |= (encoding.operandSize >> 4) << OPERAND_SIZE_SHIFT;
  if (encoding.hasModrm) flags |= FACT.HAS_MODRM;
  if (encoding.modIgnored) flags |= FACT.MOD_IGNORED;
  if (encoding.lockable) flags |= FACT.LOCKABLE;
  if (encoding.default64) flags |= FACT.DEFAULT64;
  if (encoding.forced64) flags |= FACT.FORCED64;
  if (operands.some((o) => o.slot === 'implicit' && o.memory && o.text.startsWith('DS:')))
    flags |= FACT.IMPLIED_SOURCE;
  if (operands.slice(2).every((o) => o.registerClass === undefined)) flags |= FACT.TWO_OPERANDS;
  return flags;
}

/** The packed facts of these encodings, indexed by `Encoding.index`. */
export function packRowFacts(encodings: readonly Encoding[]): RowFacts {
  const flags = new Int32Array(encodings.length);
  const registers = new Int32Array(encodings.length);
  for (const encoding of encodings) {
    flags[encoding.index] = flagsOf(encoding);
    registers[encoding.index] = encoding.operands.reduce(
      (packed, operand, position) => packed | (registerSource(operand) << (8 * position)),
      0,
    );
  }
  return { flags, registers };
}
