/** The shape of an instruction: everything about it that is fixed in generated code. Equal shapes share a handler. */

import { SEGMENT } from '../../architecture/registers.js';
import type { Encoding } from '../../instruction-set/encoding.js';
import { type Instruction, NO_REGISTER, PREFIX, RIP_BASE } from '../../instruction-set/instruction.js';

export type LinkKind =
  /** The branch target lies in the block's own page: linked directly. */
  | 'direct'
  /** The target lies in another page: found through the jump cache. */
  | 'cached';

export interface Shape {
  readonly encoding: Encoding;
  readonly operandSize: 16 | 32 | 64;
  readonly addressSize: 16 | 32 | 64;
  readonly codeSize: 16 | 32 | 64;
  /** Which operand is in memory, -1 for none. */
  readonly memoryOperand: number;
  /** Whether the address is relative to the next instruction. */
  readonly ripRelative: boolean;
  /** Whether the address has an index register. */
  readonly indexed: boolean;
  /** Whether a segment base has to be added. */
  readonly segmented: boolean;
  readonly repeat: 'none' | 'rep' | 'repe' | 'repne';
  readonly takenLink: LinkKind;
  readonly nextLink: LinkKind;
}

/** The shape of `instruction`; link kinds matter for branches only. */
export function shapeOf(instruction: Instruction, takenLink: LinkKind, nextLink: LinkKind): Shape {
  const { encoding } = instruction;
  const segment = effectiveSegment(instruction);
  return {
    encoding,
    operandSize: instruction.operandSize as 16 | 32 | 64,
    addressSize: instruction.addressSize as 16 | 32 | 64,
    codeSize: instruction.codeSize as 16 | 32 | 64,
    memoryOperand: instruction.memoryOperand,
    ripRelative: instruction.baseRegister === RIP_BASE,
    indexed: instruction.indexRegister !== NO_REGISTER,
    segmented: instruction.codeSize !== 64 || segment === SEGMENT.FS || segment === SEGMENT.GS,
    repeat: repeatOf(instruction),
    takenLink,
    nextLink,
  };
}

export function shapeKey(shape: Shape): string {
  return [
    shape.encoding.index,
    shape.operandSize,
    shape.addressSize,
    shape.codeSize,
    shape.memoryOperand,
    shape.ripRelative ? 'r' : '',
    shape.indexed ? 'i' : '',
    shape.segmented ? 's' : '',
    shape.repeat,
    shape.takenLink,
    shape.nextLink,
  ].join(':');
}

/** Segment of the memory operand, or of the string source when there is no ModRM memory operand. */
export function effectiveSegment(instruction: Instruction): number {
  if (instruction.memoryOperand >= 0) return instruction.segment;
  return instruction.segmentOverride === NO_REGISTER ? SEGMENT.DS : instruction.segmentOverride;
}

function repeatOf(instruction: Instruction): Shape['repeat'] {
  const kind = instruction.encoding.repeat;
  if (kind === '') return 'none';
  const repeats = instruction.prefixes & (PREFIX.REP | PREFIX.REPNE);
  if (repeats === 0) return 'none';
  if (kind === 'rep') return 'rep';
  return (instruction.prefixes & PREFIX.REP) !== 0 ? 'repe' : 'repne';
}
