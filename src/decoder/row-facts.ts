/** What decoding needs to know of a row, packed into five integers: its record in the decoder's table. */

import type { Encoding, OperandForm } from '../instruction-set/index.js';
import { CONTEXTS, operandSizeOf } from './opcode-tree.js';

/** Integers of a record, and the position of each. */
export const RECORD_SIZE = 5;
export const RECORD = {
  FLAGS: 0,
  /** Eight bits per operand: where its register number is in the word of `REGISTER_FIELD`s. */
  REGISTER_FIELDS: 1,
  /** The fixed registers of the row, in that word. */
  FIXED_REGISTERS: 2,
  /** Effective operand size by context, three bits each, divided by 16. */
  OPERAND_SIZES: 3,
  /** `Encoding.index`. */
  ROW: 4,
} as const;

/** Bits and bit fields of a record's flags. */
export const FACT = {
  HAS_MODRM: 1 << 0,
  MOD_IGNORED: 1 << 1,
  LOCKABLE: 1 << 2,
  /** An implied DS:[rSI] or DS:[rBX+AL], whose segment can be overridden. */
  IMPLIED_SOURCE: 1 << 3,
  /** ModRM.reg, or ModRM.rm and the opcode's low bits, name a byte register. */
  REG_IS_BYTE: 1 << 4,
  RM_IS_BYTE: 1 << 5,
  /** ModRM.rm names a register that REX.B does not extend: ST(i). */
  RM_WITHOUT_REX: 1 << 6,
  /** The immediate is not one number of up to 32 bits, but of the kind at `RARE_IMMEDIATE_SHIFT`. */
  RARE_IMMEDIATE: 1 << 7,
  /** Three bits, a `SPECIAL`. */
  SPECIAL_SHIFT: 8,
  /** Three bits: number of the ModRM or moffs memory operand plus one, 0 when there is none. */
  MEMORY_SHIFT: 12,
  /** Three bits: size in bytes of the immediate: 0, 1, 2 or 4. */
  IMMEDIATE_SIZE_SHIFT: 16,
  IMMEDIATE_IS_SIGNED_SHIFT: 19,
  /** Three bits, a `RARE_IMMEDIATE`. */
  RARE_IMMEDIATE_SHIFT: 20,
} as const;

/** Immediates that are not one number of up to 32 bits. */
export const RARE_IMMEDIATE = {
  QUADWORD: 0,
  /** ENTER: a word, then a byte. */
  WORD_BYTE: 1,
  FAR_WORD: 2,
  FAR_DOUBLEWORD: 3,
  MEMORY_OFFSET: 4,
} as const;

/** Registers named by ModRM.reg that need a look at whether they exist. */
export const SPECIAL = { NONE: 0, SEGMENT: 1, SEGMENT_WRITTEN: 2, CONTROL: 3, DEBUG: 4 } as const;

/**
 * Register numbers travel in one word, five bits each and one too high, so that zero is "no register". These
 * are the positions in it; fixed registers come from the record, the other two from the bytes.
 */
export const REGISTER_FIELD = { NONE: 0, REG: 5, RM: 10, FIXED_FIRST: 15, FIXED_OTHER: 20 } as const;

function rareImmediate(first: OperandForm, isPair: boolean): number | undefined {
  if (isPair) return RARE_IMMEDIATE.WORD_BYTE;
  if (first.slot === 'offset') return RARE_IMMEDIATE.MEMORY_OFFSET;
  if (first.slot === 'far')
    return first.encodedWidth === 32 ? RARE_IMMEDIATE.FAR_WORD : RARE_IMMEDIATE.FAR_DOUBLEWORD;
  return first.encodedWidth === 64 ? RARE_IMMEDIATE.QUADWORD : undefined;
}

function immediateFlags(operands: readonly OperandForm[]): number {
  const trailing = operands.filter((o) => ['immediate', 'relative', 'far', 'offset'].includes(o.slot));
  const first = trailing[0];
  if (first === undefined) return 0;
  const rare = rareImmediate(first, trailing.length > 1);
  if (rare !== undefined) return FACT.RARE_IMMEDIATE | (rare << FACT.RARE_IMMEDIATE_SHIFT);
  const isSigned = first.signExtended ? 1 << FACT.IMMEDIATE_IS_SIGNED_SHIFT : 0;
  return ((first.encodedWidth >> 3) << FACT.IMMEDIATE_SIZE_SHIFT) | isSigned;
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
  let flags = immediateFlags(operands);
  flags |= (memory + 1) << FACT.MEMORY_SHIFT;
  flags |= specialOf(operands) << FACT.SPECIAL_SHIFT;
  if (encoding.hasModrm) flags |= FACT.HAS_MODRM;
  if (encoding.modIgnored) flags |= FACT.MOD_IGNORED;
  if (encoding.lockable) flags |= FACT.LOCKABLE;
  if (operands.some((o) => o.slot === 'implicit' && o.memory && o.text.startsWith('DS:')))
    flags |= FACT.IMPLIED_SOURCE;
  if (operands.some((o) => o.slot === 'reg' && o.registerClass === 'gpr8')) flags |= FACT.REG_IS_BYTE;
  if (operands.some((o) => /^(rm|opcode)$/.test(o.slot) && o.registerClass === 'gpr8'))
    flags |= FACT.RM_IS_BYTE;
  if (operands.some((o) => o.registerClass === 'st' && o.slot === 'rm')) flags |= FACT.RM_WITHOUT_REX;
  return flags;
}

function operandSizesOf(encoding: Encoding): number {
  let packed = 0;
  for (let context = 0; context < CONTEXTS; context++) {
    const size = encoding.operandSize || operandSizeOf(context, encoding.default64, encoding.forced64);
    packed |= (size >> 4) << (3 * context);
  }
  return packed;
}

/** The record of a row: `RECORD_SIZE` integers. */
export function packRecord(encoding: Encoding): readonly number[] {
  const { operands } = encoding;
  const fields = operands.reduce(
    (packed, operand, position) => packed | (registerField(operand, position) << (8 * position)),
    0,
  );
  return [flagsOf(encoding), fields, fixedRegistersOf(operands), operandSizesOf(encoding), encoding.index];
}
