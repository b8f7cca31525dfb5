/** From operands to linear addresses, for instructions that run in TypeScript (SDM Vol. 1, 3.7.5; Vol. 3A, 5.3, 5.4). */

import { isCanonical } from '../../architecture/canonical-address.js';
import { ACCESS_RIGHTS, isCodeSegment } from '../../architecture/descriptors.js';
import { SEGMENT } from '../../architecture/registers.js';
import { type Instruction, NO_REGISTER, RIP_BASE } from '../../instruction-set/instruction.js';
import type { LinearAddress } from '../../memory/addresses.js';
import type { ProcessorCore } from '../core.js';
import { raiseGeneralProtection, raiseStackFault } from '../events/faults.js';
import type { ProcessorState } from '../state/processor-state.js';
import { is64BitMode } from './mode.js';
import { withinLimit } from './stack.js';

/** RIP of the next instruction, as wide as the code's instruction pointer. */
export function nextRip(core: ProcessorCore, instruction: Instruction): bigint {
  const next = core.state.rip + BigInt(instruction.length);
  return instruction.codeSize === 64 ? BigInt.asUintN(64, next) : BigInt.asUintN(32, next);
}

/** Displacement of the memory operand, sign-extended; moffs64 is taken whole. */
export function displacementOf(instruction: Instruction): bigint {
  if (instruction.displacementSize !== 8) return BigInt(instruction.displacement);
  return (BigInt(instruction.displacementHigh) << 32n) | BigInt(instruction.displacement >>> 0);
}

/** Offset of the memory operand within its segment, cut to the address size. */
export function effectiveAddress(core: ProcessorCore, instruction: Instruction): bigint {
  const { state } = core;
  let offset = displacementOf(instruction);
  if (instruction.baseRegister === RIP_BASE) offset += nextRip(core, instruction);
  else if (instruction.baseRegister !== NO_REGISTER) offset += state.readGpr(instruction.baseRegister);
  if (instruction.indexRegister !== NO_REGISTER)
    offset += state.readGpr(instruction.indexRegister) << BigInt(instruction.scale);
  return BigInt.asUintN(instruction.addressSize, offset);
}

/** Segment base plus offset without any check: only FS and GS have a base in 64-bit mode. */
export function uncheckedLinearAddress(
  state: ProcessorState,
  segment: number,
  offset: bigint,
): LinearAddress {
  if (!is64BitMode(state)) return BigInt.asUintN(32, state.segment(segment).base + offset);
  const hasBase = segment === SEGMENT.FS || segment === SEGMENT.GS;
  return BigInt.asUintN(64, hasBase ? state.segment(segment).base + offset : offset);
}

/** Linear address of `size` bytes with the segment's limit and type checks: #SS(0) for SS, #GP(0) for the others. */
export function checkedLinearAddress(
  core: ProcessorCore,
  segment: number,
  offset: bigint,
  size: number,
  access: 'read' | 'write',
): LinearAddress {
  const { state } = core;
  const raise = segment === SEGMENT.SS ? raiseStackFault : raiseGeneralProtection;
  const address = uncheckedLinearAddress(state, segment, offset);
  if (is64BitMode(state)) {
    if (!isCanonical(address) || !isCanonical(address + BigInt(size - 1))) raise();
    return address;
  }
  const register = state.segment(segment);
  const code = isCodeSegment(register.accessRights);
  const permitted = (register.accessRights & ACCESS_RIGHTS.WRITABLE) !== 0;
  if (register.unusable || (access === 'write' ? code || !permitted : code && !permitted)) raise();
  if (!withinLimit(register, offset, size)) raise();
  return address;
}
