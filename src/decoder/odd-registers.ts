/** Registers that ModRM names otherwise than by four bits: byte, segment, control, debug and stack registers. */

import { SEGMENT } from '../architecture/registers.js';
import { FACT, SPECIAL } from './row-facts.js';

/** CR0, CR2, CR3, CR4 and CR8 exist. */
const CONTROL_REGISTERS = 0b1_0001_1101;

/** Number of a segment, control or debug register named by ModRM.reg and REX.R; -1 when there is none. */
function specialRegister(kind: number, reg: number): number {
  switch (kind) {
    case SPECIAL.SEGMENT:
      return (reg & 7) < 6 ? reg & 7 : -1;
    case SPECIAL.SEGMENT_WRITTEN:
      // CS cannot be loaded by MOV.
      return (reg & 7) < 6 && (reg & 7) !== SEGMENT.CS ? reg & 7 : -1;
    case SPECIAL.CONTROL:
      return ((CONTROL_REGISTERS >> reg) & 1) !== 0 ? reg : -1;
    default:
      return reg < 8 ? reg : -1;
  }
}

/**
 * Numbers of ModRM.reg (low byte) and ModRM.rm (next byte) where they name something else than a register of
 * 16 to 64 bits; -1 for a register that does not exist.
 */
export function oddRegisters(flags: number, reg: number, rm: number, rex: number): number {
  const special = (flags >> FACT.SPECIAL_SHIFT) & 7;
  if (special !== SPECIAL.NONE) {
    const number = specialRegister(special, reg);
    return number < 0 ? -1 : number | (rm << 8);
  }
  if ((flags & FACT.RM_WITHOUT_REX) !== 0) return reg | ((rm & 7) << 8);
  // Without REX, 4 … 7 are AH … BH; they are numbered from 16 up.
  const isHigh = (number: number): boolean => rex === 0 && number >= 4;
  const first = (flags & FACT.REG_IS_BYTE) !== 0 && isHigh(reg) ? reg + 12 : reg;
  const second = (flags & FACT.RM_IS_BYTE) !== 0 && isHigh(rm) ? rm + 12 : rm;
  return first | (second << 8);
}
