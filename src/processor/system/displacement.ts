/** The displacement that exit qualifications carry (SDM Vol. 3C, 27.2.1 Basic VM-Exit Information). */

import { type Instruction, RIP_BASE } from '../../instruction-set/instruction.js';
import type { ProcessorCore } from '../core.js';
import { displacementOf, nextRip } from '../segmentation/segment-address.js';

/** Displacement of the memory operand, RIP of the next instruction added when it is RIP-relative; 0 without one. */
export function qualificationDisplacement(core: ProcessorCore, instruction: Instruction): bigint {
  if (instruction.memoryOperand < 0) return 0n;
  const displacement = displacementOf(instruction);
  if (instruction.baseRegister !== RIP_BASE) return BigInt.asUintN(64, displacement);
  return BigInt.asUintN(64, displacement + nextRip(core, instruction));
}
