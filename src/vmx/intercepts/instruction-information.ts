/** The VM-exit instruction-information field of a decoded instruction. */

import { encodeInstructionInformation } from '../../architecture/vmx/instruction-information.js';
import { type Instruction, RIP_BASE } from '../../instruction-set/instruction.js';

/** Identity of descriptor-table instructions in bits 29:28 (Tables 27-10 and 27-11). */
const IDENTITY: ReadonlyMap<string, number> = new Map([
  ['SGDT', 0],
  ['SIDT', 1],
  ['LGDT', 2],
  ['LIDT', 3],
  ['SLDT', 0],
  ['STR', 1],
  ['LLDT', 2],
  ['LTR', 3],
]);

/** Register operand that VMREAD, VMWRITE, INVEPT and INVVPID have beside their r/m operand. */
function registerOperand(instruction: Instruction): number {
  switch (instruction.encoding.mnemonic) {
    case 'VMREAD':
      return instruction.register1;
    case 'VMWRITE':
    case 'INVEPT':
    case 'INVVPID':
      return instruction.register0;
    default:
      return IDENTITY.get(instruction.encoding.mnemonic) ?? 0;
  }
}

/** Unsigned value of the field; 0 for instructions without operands. */
export function instructionInformation(instruction: Instruction): number {
  const { operands, mnemonic } = instruction.encoding;
  if (operands.length === 0) return 0;
  const { baseRegister } = instruction;
  const rm = operands.findIndex((operand) => operand.slot === 'rm');
  return encodeInstructionInformation({
    scaling: instruction.scale,
    addressSize: instruction.addressSize,
    registerForm: instruction.memoryOperand < 0,
    register1: rm < 0 ? 0 : instruction.register(rm),
    operandSize32: /^[SL][GI]DT$/.test(mnemonic) && instruction.operandSize !== 16,
    segment: instruction.segment,
    indexRegister: instruction.indexRegister,
    baseRegister: baseRegister === RIP_BASE ? -1 : baseRegister,
    register2: registerOperand(instruction),
  });
}
