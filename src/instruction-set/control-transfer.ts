/**
 * Control transfer (SDM Vol. 1, 5.1.7 Control Transfer Instructions). In 64-bit mode near branches have a
 * 64-bit operand size and ignore 66, as on Intel processors (`f64`).
 */

import type { FamilyRows } from './row-parser.js';

export const CONTROL_TRANSFER: FamilyRows = {
  family: 'control-transfer',
  rows: [
    'Jcc rel8 | 70+cc cb | n f64 @aliases | r:cc',
    'Jcc relz | ov 0F 80+cc cz | n f64 @aliases | r:cc',
    'JMP rel8 | EB cb | n f64',
    'JMP relz | ov E9 cz | n f64',
    'JMP r/mv | ov FF /4 | r f64',
    'CALL relz | ov E8 cz | n f64',
    'CALL r/mv | ov FF /2 | r f64',
    'RET | ov C3 | f64 alias:RETN',
    'RET imm16 | ov C2 iw | n f64 alias:RETN',

    'JMP ptr16:z | oz EA cp | n i64 faults:GP,NP,TS',
    'CALL ptr16:z | oz 9A cp | n i64 faults:GP,NP,SS,TS',
    'JMP m16:v | ov FF /5 | r faults:GP,NP,TS',
    'CALL m16:v | ov FF /3 | r faults:GP,NP,SS,TS',
    'RETF | ov CB | faults:GP,NP,SS',
    'RETF imm16 | ov CA iw | n faults:GP,NP,SS',

    'LOOPNE rel8 | E0 cb | n f64 alias:LOOPNZ | r:z',
    'LOOPE rel8 | E1 cb | n f64 alias:LOOPZ | r:z',
    'LOOP rel8 | E2 cb | n f64',
    'JCXZ rel8 | a16 E3 cb | n f64',
    'JECXZ rel8 | a32 E3 cb | n f64',
    'JRCXZ rel8 | a64 E3 cb | n f64',

    'INT3 | CC | faults:BP',
    'INT imm8 | CD ib | n faults:GP',
    'INTO | CE | i64 faults:OF | r:o',
    'INT1 | F1 | alias:ICEBP faults:DB',
    'IRETW | o16 CF | alias:IRET faults:GP,NP,SS,TS | w:odiszapc',
    'IRETD | o32 CF | alias:IRET faults:GP,NP,SS,TS | w:odiszapc',
    'IRETQ | o64 CF | faults:GP,NP,SS,TS | w:odiszapc',
    'BOUND r16, m16&16 | o16 62 /r | r,r i64 faults:BR',
    'BOUND r32, m32&32 | o32 62 /r | r,r i64 faults:BR',
    'UD2 | 0F 0B | faults:UD',
    'UD1 rv, r/mv | ov 0F B9 /r | n,n faults:UD',
    'UD0 rv, r/mv | ov 0F FF /r | n,n faults:UD',
  ],
};
