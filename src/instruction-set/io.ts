/** Ports (SDM Vol. 1, 5.1.9 I/O Instructions); INS and OUTS are with the strings. */

import type { FamilyRows } from './row-parser.js';

export const IO: FamilyRows = {
  family: 'io',
  rows: [
    'IN AL, imm8 | E4 ib | w,r iopl',
    'IN AX, imm8 | o16 E5 ib | w,r iopl',
    'IN EAX, imm8 | o32 E5 ib | w,r iopl',
    'OUT imm8, AL | E6 ib | r,r iopl',
    'OUT imm8, AX | o16 E7 ib | r,r iopl',
    'OUT imm8, EAX | o32 E7 ib | r,r iopl',
    'IN AL, DX | EC | w,r iopl',
    'IN AX, DX | o16 ED | w,r iopl',
    'IN EAX, DX | o32 ED | w,r iopl',
    'OUT DX, AL | EE | r,r iopl',
    'OUT DX, AX | o16 EF | r,r iopl',
    'OUT DX, EAX | o32 EF | r,r iopl',
  ],
};
