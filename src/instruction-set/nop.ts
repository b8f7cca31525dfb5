/**
 * Instructions that do nothing: NOP, PAUSE, ENDBR and the opcodes reserved for hints, which keep the numbers
 * that NASM gives them (0F 18 /0 is HINT_NOP0, 0F 1F /7 is HINT_NOP63).
 */

import type { FamilyRows } from './row-parser.js';

/** Opcodes 0F 18 … 0F 1F (SDM Vol. 2D, Table A-3 and Group 16). */
const FIRST_HINT_OPCODE = 0x18;
const HINT_OPCODES = [0x18, 0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f];

function hintRows(): string[] {
  return HINT_OPCODES.flatMap((opcode) =>
    [0, 1, 2, 3, 4, 5, 6, 7].flatMap((digit) => {
      if (opcode === 0x1f && digit === 0) return [];
      const pattern = `ov 0F ${opcode.toString(16).toUpperCase()} /${digit}`;
      const mnemonic = `HINT_NOP${(opcode - FIRST_HINT_OPCODE) * 8 + digit}`;
      // With a memory operand 0F 18 /0 … /3 are the prefetches.
      const operand = opcode === 0x18 && digit < 4 ? 'rv' : 'r/mv';
      return [`${mnemonic} ${operand} | ${pattern} | n`];
    }),
  );
}

/** What 0F 0D leaves beside the prefetches (Vol. 2D, Group P): no name of its own, so it is written as NOP. */
function prefetchGroupRows(): string[] {
  return [0, 1, 2, 3, 4, 5, 6, 7].map((digit) => {
    const operand = digit < 3 ? 'rv' : 'r/mv';
    return `NOP ${operand} | ov 0F 0D /${digit} | n id:NOP_0F0D_${digit}`;
  });
}

export const NOP: FamilyRows = {
  family: 'nop',
  rows: [
    'NOP | 90',
    'PAUSE | F3 90',
    'NOP r/mv | ov 0F 1F /0 | n',
    'ENDBR64 | F3 0F 1E FA | feature:CET_IBT',
    'ENDBR32 | F3 0F 1E FB | feature:CET_IBT',
    ...hintRows(),
    ...prefetchGroupRows(),
  ],
};
