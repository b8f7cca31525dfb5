/** Segment registers and selectors (SDM Vol. 1, 5.1.10 Enter and Leave, 5.1.12 Segment Register Instructions). */

import type { FamilyRows } from './row-parser.js';

export const SEGMENT_REGISTER: FamilyRows = {
  family: 'segment',
  rows: [
    'MOV m16, Sreg | 8C /r | w,r',
    'MOV rv, Sreg | ov 8C /r | w,r',
    'MOV Sreg, r/m16 | 8E /r | w,r faults:GP,NP,SS',
    'LES r16, m16:16 | o16 C4 /r | w,r i64 faults:GP,NP',
    'LES r32, m16:32 | o32 C4 /r | w,r i64 faults:GP,NP',
    'LDS r16, m16:16 | o16 C5 /r | w,r i64 faults:GP,NP',
    'LDS r32, m16:32 | o32 C5 /r | w,r i64 faults:GP,NP',
    'LSS rv, m16:v | ov 0F B2 /r | w,r faults:GP,NP,SS',
    'LFS rv, m16:v | ov 0F B4 /r | w,r faults:GP,NP',
    'LGS rv, m16:v | ov 0F B5 /r | w,r faults:GP,NP',

    'ARPL r/m16, r16 | 63 /r | rw,r i64 faults:UD | w:z',
    'LAR rv, r/m16 | ov 0F 02 /r | rw,r faults:UD | w:z',
    'LSL rv, r/m16 | ov 0F 03 /r | rw,r faults:UD | w:z',
    'VERR r/m16 | 0F 00 /4 | r faults:UD | w:z',
    'VERW r/m16 | 0F 00 /5 | r faults:UD | w:z',

    'RDFSBASE r32 | F3 0F AE /0 | w only64 feature:FSGSBASE faults:UD',
    'RDFSBASE r64 | o64 F3 0F AE /0 | w feature:FSGSBASE faults:UD',
    'RDGSBASE r32 | F3 0F AE /1 | w only64 feature:FSGSBASE faults:UD',
    'RDGSBASE r64 | o64 F3 0F AE /1 | w feature:FSGSBASE faults:UD',
    'WRFSBASE r32 | F3 0F AE /2 | r only64 feature:FSGSBASE faults:UD,GP',
    'WRFSBASE r64 | o64 F3 0F AE /2 | r feature:FSGSBASE faults:UD,GP',
    'WRGSBASE r32 | F3 0F AE /3 | r only64 feature:FSGSBASE faults:UD,GP',
    'WRGSBASE r64 | o64 F3 0F AE /3 | r feature:FSGSBASE faults:UD,GP',
  ],
};
