/** Logic (SDM Vol. 1, 5.1.4 Logical Instructions) and TEST. */

import { binaryOperationRows } from './arithmetic.js';
import type { FamilyRows } from './row-parser.js';

export const LOGIC: FamilyRows = {
  family: 'logic',
  rows: [
    ...binaryOperationRows('OR', 1, 'rw', 'w:oszpc u:a'),
    ...binaryOperationRows('AND', 4, 'rw', 'w:oszpc u:a'),
    ...binaryOperationRows('XOR', 6, 'rw', 'w:oszpc u:a'),
    'NOT r/m8 | F6 /2 | rw lock',
    'NOT r/mv | ov F7 /2 | rw lock',
    'TEST r/m8, r8 | 84 /r | r,r | w:oszpc u:a',
    'TEST r/mv, rv | ov 85 /r | r,r | w:oszpc u:a',
    'TEST AL, imm8 | A8 ib | r,r | w:oszpc u:a',
    'TEST rAX, immz | ov A9 iz | r,r | w:oszpc u:a',
    'TEST r/m8, imm8 | F6 /0 ib | r,r | w:oszpc u:a',
    'TEST r/mv, immz | ov F7 /0 iz | r,r | w:oszpc u:a',
    // /1 does the same (Vol. 2D, Table A-6 leaves it blank; processors execute it).
    'TEST r/m8, imm8 | F6 /1 ib | r,r id:TEST_rm8_imm8_slash1 | w:oszpc u:a',
    'TEST r/m16, imm16 | o16 F7 /1 iw | r,r id:TEST_rm16_imm16_slash1 | w:oszpc u:a',
    'TEST r/m32, imm32 | o32 F7 /1 id | r,r id:TEST_rm32_imm32_slash1 | w:oszpc u:a',
    'TEST r/m64, simm32 | o64 F7 /1 id | r,r id:TEST_rm64_imm32_slash1 | w:oszpc u:a',
  ],
};
