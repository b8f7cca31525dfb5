/**
 * Shifts and rotates (SDM Vol. 1, 5.1.5 Shift and Rotate Instructions).
 * With a count of zero no flag changes, so forms with a count operand also list in `r` every flag that may
 * come through unchanged.
 */

import type { FamilyRows } from './row-parser.js';

/** The six forms of Group 2 (Vol. 2D, Table A-6). `once` and `counted` are the flag fields by kind of count. */
function groupRows(mnemonic: string, digit: number, words: string, once: string, counted: string): string[] {
  const access = (operands: string): string => `${operands} ${words}`.trim();
  return [
    `${mnemonic} r/m8, 1 | D0 /${digit} | ${access('rw,r')} | ${once}`,
    `${mnemonic} r/mv, 1 | ov D1 /${digit} | ${access('rw,r')} | ${once}`,
    `${mnemonic} r/m8, CL | D2 /${digit} | ${access('rw,r')} | ${counted}`,
    `${mnemonic} r/mv, CL | ov D3 /${digit} | ${access('rw,r')} | ${counted}`,
    `${mnemonic} r/m8, imm8 | C0 /${digit} ib | ${access('rw,r')} | ${counted}`,
    `${mnemonic} r/mv, imm8 | ov C1 /${digit} ib | ${access('rw,r')} | ${counted}`,
  ];
}

const SHIFT_ONCE = 'w:oszpc u:a';
const SHIFT_COUNTED = 'r:oszapc w:szpc u:oa';

/** /6 shifts left like /4 (blank in Table A-6; processors execute it). Only the decoder needs these rows. */
const SLASH_6_ROWS: readonly string[] = groupRows('SHL', 6, '', SHIFT_ONCE, SHIFT_COUNTED).flatMap((row) => {
  const sizes = row.includes('| ov ') ? [16, 32, 64] : [8];
  return sizes.map((size) => {
    const count = /, (1|CL|imm8) /.exec(row)![1];
    return row
      .replace('r/mv', `r/m${size}`)
      .replace('| ov ', `| o${size} `)
      .replace('| rw,r', `| rw,r id:SHL_rm${size}_${count}_slash6`);
  });
});

export const SHIFT_ROTATE: FamilyRows = {
  family: 'shift-rotate',
  rows: [
    ...groupRows('ROL', 0, '', 'w:oc', 'r:oc w:c u:o'),
    ...groupRows('ROR', 1, '', 'w:oc', 'r:oc w:c u:o'),
    ...groupRows('RCL', 2, '', 'r:c w:oc', 'r:oc w:c u:o'),
    ...groupRows('RCR', 3, '', 'r:c w:oc', 'r:oc w:c u:o'),
    ...groupRows('SHL', 4, 'alias:SAL', SHIFT_ONCE, SHIFT_COUNTED),
    ...groupRows('SHR', 5, '', SHIFT_ONCE, SHIFT_COUNTED),
    ...SLASH_6_ROWS,
    ...groupRows('SAR', 7, '', SHIFT_ONCE, SHIFT_COUNTED),
    'SHLD r/mv, rv, imm8 | ov 0F A4 /r ib | rw,r,r | r:oszapc w:szpc u:oa',
    'SHLD r/mv, rv, CL | ov 0F A5 /r | rw,r,r | r:oszapc w:szpc u:oa',
    'SHRD r/mv, rv, imm8 | ov 0F AC /r ib | rw,r,r | r:oszapc w:szpc u:oa',
    'SHRD r/mv, rv, CL | ov 0F AD /r | rw,r,r | r:oszapc w:szpc u:oa',
  ],
};
