/** Bits and bytes (SDM Vol. 1, 5.1.6 Bit and Byte Instructions), counting included. */

import type { FamilyRows } from './row-parser.js';

export const BIT: FamilyRows = {
  family: 'bit',
  rows: [
    'BT r/mv, rv | ov 0F A3 /r | r,r | w:c u:osap',
    'BTS r/mv, rv | ov 0F AB /r | rw,r lock | w:c u:osap',
    'BTR r/mv, rv | ov 0F B3 /r | rw,r lock | w:c u:osap',
    'BTC r/mv, rv | ov 0F BB /r | rw,r lock | w:c u:osap',
    'BT r/mv, imm8 | ov 0F BA /4 ib | r,r | w:c u:osap',
    'BTS r/mv, imm8 | ov 0F BA /5 ib | rw,r lock | w:c u:osap',
    'BTR r/mv, imm8 | ov 0F BA /6 ib | rw,r lock | w:c u:osap',
    'BTC r/mv, imm8 | ov 0F BA /7 ib | rw,r lock | w:c u:osap',
    // The destination keeps its value when the source is zero.
    'BSF rv, r/mv | ov 0F BC /r | rw,r | w:z u:osapc',
    'BSR rv, r/mv | ov 0F BD /r | rw,r | w:z u:osapc',
    'TZCNT rv, r/mv | ov F3 0F BC /r | w,r feature:BMI1 | w:zc u:osap',
    'LZCNT rv, r/mv | ov F3 0F BD /r | w,r feature:LZCNT | w:zc u:osap',
    'POPCNT rv, r/mv | ov F3 0F B8 /r | w,r feature:POPCNT | w:oszapc',
    // ModRM.reg is ignored.
    'SETcc r/m8 | 0F 90+cc /r | w @aliases | r:cc',
  ],
};
