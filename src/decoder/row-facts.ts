/** What decoding needs to know of each row, packed into integers so that it is read from flat arrays. */

import { type Encoding, NO_REGISTER, type OperandForm } from '../instruction-set/index.js';
import { CONTEXTS, operandSizeOf } from './opcode-tree.js';

/** Bits of `RowFacts.flags`. */
export const FACT = {
  HAS_MODRM: 1 << 0,
  MOD_IGNORED: 1 << 1,
  LOCKABLE: 1 << 2,
  /** An implied DS:[rSI] or DS:[rBX+AL], whose segment can be overridden. */
  IMPLIED_SOURCE: 1 << 3,
  /** ModRM.reg, or ModRM.rm and the opcode's low bits, name a byte register. */
  REG_IS_BYTE: 1 << 4,
  RM_IS_BYTE: 1 << 5,
  /** ModRM.reg names a segment, control or debug register, not all of which exist. */
  REG_IS_SPECIAL: 1 << 20,
  /** ModRM.rm names a register that REX.B does not extend: ST(i). */
  RM_WITHOUT_REX: 1 << 21,
} as const;

/** Position of the kind of immediate in `RowFacts.flags`, four bits. */
export const IMMEDIATE_SHIFT = 8;
/** Position of the memory operand's number, three bits; 7 when there is none. */
export const MEMORY_SHIFT = 12;
export const NO_MEMORY = 7;

/** What follows ModRM and displacement; the kinds up to `LAST_SIMPLE_IMMEDIATE` are one number of up to 32 bits. */
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

export const LAST_SIMPLE_IMMEDIATE = IMMEDIATE.SIGNED_DOUBLEWORD;

/** Registers named by ModRM.reg that need a look at whether they exist. */
export const SPECIAL = { NONE: 0, SEGMENT: 1, SEGMENT_WRITTEN: 2, CONTROL: 3, DEBUG: 4 } as const;

/**
 * Register numbers travel in one word, five bits each and one too high, so that zero is "no register". These
 * are the positions in it; fixed registers come from `RowFacts.fixedRegisters`, the other two from the bytes.
 */
export const REGISTER_FIELD = { NONE: 0, REG: 5, RM: 10, FIXED_FIRST: 15, FIXED_OTHER: 20 } as const;

export interface RowFacts {
  readonly flags: Int32Array;
  /** Eight bits per operand: where in the word its register number is, a `REGISTER_FIELD`. */
  readonly registerFields: Int32Array;
  /** The fixed registers of the row, in place. */
  readonly fixedRegisters: Int32Array;
  /** What kind of special register ModRM.reg names, a `SPECIAL`. */
  readonly specials: Uint8Array;
  /** Effective operand size in bits, indexed by row << 3 | context. */
  readonly operandSizes: Uint8Array;
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

function registerField(operand: OperandForm, position: number): number {
  if (operand.registerClass === undefined) return REGISTER_FIELD.NONE;
  switch (operand.slot) {
    case 'reg':
      return REGISTER_FIELD.REG;
    case 'rm':
    case 'opcode':
      return REGISTER_FIELD.RM;
    default:
      return position === 0 ? REGISTER_FIELD.FIXED_FIRST : REGISTER_FIELD.FIXED_OTHER;
  }
}

function fixedRegistersOf(operands: readonly OperandForm[]): number {
  return operands.reduce((packed, operand, position) => {
    if (operand.slot !== 'implicit' || operand.registerClass === undefined) return packed;
    return packed | ((operand.fixedRegister + 1) << registerField(operand, position));
  }, 0);
}

function specialOf(operands: readonly OperandForm[]): number {
  const operand = operands.find((candidate) => candidate.slot === 'reg');
  switch (operand?.registerClass) {
    case 'segment':
      return operand.access === 'r' ? SPECIAL.SEGMENT : SPECIAL.SEGMENT_WRITTEN;
    case 'control':
      return SPECIAL.CONTROL;
    case 'debug':
      return SPECIAL.DEBUG;
    default:
      return SPECIAL.NONE;
  }
}

function flagsOf(encoding: Encoding): number {
  const { operands } = encoding;
  const memory = operands.findIndex((o) => o.memory && o.slot !== 'implicit');
  let flags = immediateKind(operands) << IMMEDIATE_SHIFT;
  flags |= (memory === NO_REGISTER ? NO_MEMORY : memory) << MEMORY_SHIFT;
  if (encoding.hasModrm) flags |= FACT.HAS_MODRM;
  if (encoding.modIgnored) flags |= FACT.MOD_IGNORED;
  if (encoding.lockable) flags |= FACT.LOCKABLE;
  if (operands.some((o) => o.slot === 'implicit' && o.memory && o.text.startsWith('DS:')))
    flags |= FACT.IMPLIED_SOURCE;
  if (operands.some((o) => o.slot === 'reg' && o.registerClass === 'gpr8')) flags |= FACT.REG_IS_BYTE;
  if (operands.some((o) => /^(rm|opcode)$/.test(o.slot) && o.registerClass === 'gpr8'))
    flags |= FACT.RM_IS_BYTE;
  if (specialOf(operands) !== SPECIAL.NONE) flags |= FACT.REG_IS_SPECIAL;
  if (operands.some((o) => o.registerClass === 'st' && o.slot === 'rm')) flags |= FACT.RM_WITHOUT_REX;
  return flags;
}

/** The packed facts of these encodings, indexed by `Encoding.index`. */
export function packRowFacts(encodings: readonly Encoding[]): RowFacts {
  const flags = new Int32Array(encodings.length);
  const registerFields = new Int32Array(encodings.length);
  const fixedRegisters = new Int32Array(encodings.length);
  const specials = new Uint8Array(encodings.length);
  const operandSizes = new Uint8Array(encodings.length * CONTEXTS);
  for (const encoding of encodings) {
    const { index, operands } = encoding;
    flags[index] = flagsOf(encoding);
    registerFields[index] = operands.reduce(
      (packed, operand, position) => packed | (registerField(operand, position) << (8 * position)),
      0,
    );
    fixedRegisters[index] = fixedRegistersOf(operands);
    specials[index] = specialOf(operands);
    for (let context = 0; context < CONTEXTS; context++)
      operandSizes[index * CONTEXTS + context] =
        encoding.operandSize || operandSizeOf(context, encoding.default64, encoding.forced64);
  }
  return { flags, registerFields, fixedRegisters, specials, operandSizes };
}
