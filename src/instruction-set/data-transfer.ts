/** Data transfer: MOV and its relatives, exchanges, conversions (SDM Vol. 1, 5.1.1 Data Transfer Instructions). */

import type { FamilyRows } from './row-parser.js';

export const DATA_TRANSFER: FamilyRows = {
  family: 'data-transfer',
  rows: [
    'MOV r/m8, r8 | 88 /r | w,r',
    'MOV r/mv, rv | ov 89 /r | w,r',
    'MOV r8, r/m8 | 8A /r | w,r',
    'MOV rv, r/mv | ov 8B /r | w,r',
    'MOV AL, moffs8 | A0 mo | w,r',
    'MOV rAX, moffsv | ov A1 mo | w,r',
    'MOV moffs8, AL | A2 mo | w,r',
    'MOV moffsv, rAX | ov A3 mo | w,r',
    'MOV r8, imm8 | B0+r ib | w,r',
    'MOV rv, immv | ov B8+r iv | w,r',
    'MOV r/m8, imm8 | C6 /0 ib | w,r',
    'MOV r/mv, immz | ov C7 /0 iz | w,r',

    'MOVZX rv, r/m8 | ov 0F B6 /r | w,r',
    'MOVZX rv, r/m16 | ov 0F B7 /r | w,r',
    'MOVSX rv, r/m8 | ov 0F BE /r | w,r',
    'MOVSX rv, r/m16 | ov 0F BF /r | w,r',
    'MOVSXD r16, r/m16 | o16 63 /r | w,r only64',
    'MOVSXD r32, r/m32 | o32 63 /r | w,r only64',
    'MOVSXD r64, r/m32 | o64 63 /r | w,r',

    'CMOVcc rv, r/mv | ov 0F 40+cc /r | rw,r @aliases feature:CMOV | r:cc',

    'XCHG rv, rAX | ov 90+r | rw,rw',
    'XCHG r/m8, r8 | 86 /r | rw,rw lock',
    'XCHG r/mv, rv | ov 87 /r | rw,rw lock',
    'BSWAP rv | ov 0F C8+r | rw',
    'XADD r/m8, r8 | 0F C0 /r | rw,rw lock | w:oszapc',
    'XADD r/mv, rv | ov 0F C1 /r | rw,rw lock | w:oszapc',
    'CMPXCHG r/m8, r8 | 0F B0 /r | rw,r lock | w:oszapc',
    'CMPXCHG r/mv, rv | ov 0F B1 /r | rw,r lock | w:oszapc',
    'CMPXCHG8B m64 | 0F C7 /1 | rw lock feature:CX8 | w:z',
    'CMPXCHG16B m128 | o64 0F C7 /1 | rw lock feature:CX16 faults:GP | w:z',

    'CBW | o16 98',
    'CWDE | o32 98',
    'CDQE | o64 98',
    'CWD | o16 99',
    'CDQ | o32 99',
    'CQO | o64 99',

    'MOVBE rv, mv | ov NFx 0F 38 F0 /r | w,r feature:MOVBE',
    'MOVBE mv, rv | ov NFx 0F 38 F1 /r | w,r feature:MOVBE',
    'MOVNTI m32, r32 | NP 0F C3 /r | w,r feature:SSE2',
    'MOVNTI m64, r64 | o64 NP 0F C3 /r | w,r feature:SSE2',
  ],
};
