/** Floating-point instructions that run as plain TypeScript. */

import { SEGMENT } from '../../architecture/registers.js';
import type { Encoding } from '../../instruction-set/encoding.js';
import type { Instruction } from '../../instruction-set/instruction.js';
import { OUTCOME, type ProcessorCore, type SystemInstruction } from '../core.js';
import { UnimplementedInstructionError } from '../errors.js';
import { effectiveAddress, uncheckedLinearAddress } from '../segmentation/segment-address.js';
import { checkPendingException, requireX87 } from './availability.js';
import * as control from './control.js';
import * as environment from './environment.js';
import { X87_MOVES } from './moves.js';
import * as stateSave from './state-save.js';
import { X87State } from './x87-state.js';

export { initializeX87, loadFxsaveImage, resetFloatingPoint, storeFxsaveImage } from './fxsave-image.js';

const BY_MNEMONIC: ReadonlyMap<string, SystemInstruction> = new Map<string, SystemInstruction>([
  ['FXSAVE', stateSave.fxsave],
  ['FXSAVE64', stateSave.fxsave],
  ['FXRSTOR', stateSave.fxrstor],
  ['FXRSTOR64', stateSave.fxrstor],
  ['LDMXCSR', stateSave.ldmxcsr],
  ['STMXCSR', stateSave.stmxcsr],
  ['FWAIT', control.fwait],
  ['FNINIT', control.fninit],
  ['FNCLEX', control.fnclex],
  ['FLDCW', control.fldcw],
  ['FNSTCW', control.fnstcw],
  ['FNSTSW', control.fnstsw],
  ['FNENI', control.fnnop],
  ['FNDISI', control.fnnop],
  ['FNSETPM', control.fnnop],
  ['FNSTENV', environment.fnstenv],
  ['FLDENV', environment.fldenv],
  ['FNSAVE', environment.fnsave],
  ['FRSTOR', environment.frstor],
]);

/** What fetching from a physical address without RAM gives. */
const OPEN_BUS = 0xff;

function instructionBytes(core: ProcessorCore, instruction: Instruction): Uint8Array {
  const start = uncheckedLinearAddress(core.state, SEGMENT.CS, core.state.rip);
  return Uint8Array.from({ length: instruction.length }, (_, index) => {
    const physical = core.translate(start + BigInt(index), 'fetch');
    return core.memory.contains(physical, 1) ? core.memory.read8(physical) : OPEN_BUS;
  });
}

/** The x87 instructions that are not control instructions: availability, pending exceptions, then the meaning. */
const x87Instruction: SystemInstruction = (core, instruction) => {
  requireX87(core);
  checkPendingException(core);
  const { encoding } = instruction;
  const semantics = X87_MOVES.get(encoding.id) ?? X87_MOVES.get(encoding.mnemonic);
  if (semantics === undefined)
    throw new UnimplementedInstructionError(
      encoding.mnemonic,
      instructionBytes(core, instruction),
      core.state.rip,
    );
  const x87 = new X87State(core.state);
  const offset = instruction.memoryOperand >= 0 ? effectiveAddress(core, instruction) : undefined;
  semantics(x87, core, instruction);
  x87.setInstructionPointer(core.state.rip);
  if (offset !== undefined) x87.setDataPointer(offset);
  return OUTCOME.NEXT;
};

/**
 * The implementation of an x87 or FXSAVE row, undefined for rows of other families. Rows without a meaning yet
 * throw `UnimplementedInstructionError` after their #NM and #MF checks.
 */
export function floatingPointInstructionFor(encoding: Encoding): SystemInstruction | undefined {
  return BY_MNEMONIC.get(encoding.mnemonic) ?? (encoding.family === 'x87' ? x87Instruction : undefined);
}
