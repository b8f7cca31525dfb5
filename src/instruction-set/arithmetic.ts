/** Binary arithmetic (SDM Vol. 1, 5.1.2 Binary Arithmetic Instructions). */

import type { FamilyRows } from './row-parser.js';

/** The nine forms that ADD, ADC, SUB, SBB, CMP, AND, OR and XOR share (Vol. 2D, Table A-2 and Group 1). */
export function binaryOperationRows(
  mnemonic: string,
  digit: number,
  destination: 'rw' | 'r',
  flags: string,
): string[] {
  const opcode = (offset: number): string => (digit * 8 + offset).toString(16).toUpperCase().padStart(2, '0');
  const lock = destination === 'rw' ? ' lock' : '';
  const access = `${destination},r`;
  return [
    `${mnemonic} r/m8, r8 | ${opcode(0)} /r | ${access}${lock} | ${flags}`,
    `${mnemonic} r/mv, rv | ov ${opcode(1)} /r | ${access}${lock} | ${flags}`,
    `${mnemonic} r8, r/m8 | ${opcode(2)} /r | ${access} | ${flags}`,
    `${mnemonic} rv, r/mv | ov ${opcode(3)} /r | ${access} | ${flags}`,
    `${mnemonic} r/mv, simm8 | ov 83 /${digit} ib | ${access}${lock} | ${flags}`,
    `${mnemonic} AL, imm8 | ${opcode(4)} ib | ${access} | ${flags}`,
    `${mnemonic} rAX, immz | ov ${opcode(5)} iz | ${access} | ${flags}`,
    `${mnemonic} r/m8, imm8 | 80 /${digit} ib | ${access}${lock} | ${flags}`,
    `${mnemonic} r/mv, immz | ov 81 /${digit} iz | ${access}${lock} | ${flags}`,
    `${mnemonic} r/m8, imm8 | 82 /${digit} ib | ${access}${lock} i64 id:${mnemonic}_rm8_imm8_82 | ${flags}`,
  ];
}

export const ARITHMETIC: FamilyRows = {
  family: 'arithmetic',
  rows: [
    ...binaryOperationRows('ADD', 0, 'rw', 'w:oszapc'),
    ...binaryOperationRows('ADC', 2, 'rw', 'r:c w:oszapc'),
    ...binaryOperationRows('SBB', 3, 'rw', 'r:c w:oszapc'),
    ...binaryOperationRows('SUB', 5, 'rw', 'w:oszapc'),
    ...binaryOperationRows('CMP', 7, 'r', 'w:oszapc'),

    'INC rv | ov 40+r | rw i64 | w:oszap',
    'DEC rv | ov 48+r | rw i64 | w:oszap',
    'INC r/m8 | FE /0 | rw lock | w:oszap',
    'INC r/mv | ov FF /0 | rw lock | w:oszap',
    'DEC r/m8 | FE /1 | rw lock | w:oszap',
    'DEC r/mv | ov FF /1 | rw lock | w:oszap',
    'NEG r/m8 | F6 /3 | rw lock | w:oszapc',
    'NEG r/mv | ov F7 /3 | rw lock | w:oszapc',

    'MUL r/m8 | F6 /4 | r | w:oc u:szap',
    'MUL r/mv | ov F7 /4 | r | w:oc u:szap',
    'IMUL r/m8 | F6 /5 | r | w:oc u:szap',
    'IMUL r/mv | ov F7 /5 | r | w:oc u:szap',
    'IMUL rv, r/mv | ov 0F AF /r | rw,r | w:oc u:szap',
    'IMUL rv, r/mv, simm8 | ov 6B /r ib | w,r,r | w:oc u:szap',
    'IMUL rv, r/mv, immz | ov 69 /r iz | w,r,r | w:oc u:szap',
    'DIV r/m8 | F6 /6 | r faults:DE | u:oszapc',
    'DIV r/mv | ov F7 /6 | r faults:DE | u:oszapc',
    'IDIV r/m8 | F6 /7 | r faults:DE | u:oszapc',
    'IDIV r/mv | ov F7 /7 | r faults:DE | u:oszapc',
  ],
};
