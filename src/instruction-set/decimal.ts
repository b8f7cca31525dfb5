/** Decimal arithmetic (SDM Vol. 1, 5.1.3 Decimal Arithmetic Instructions); none of it exists in 64-bit mode. */

import type { FamilyRows } from './row-parser.js';

export const DECIMAL: FamilyRows = {
  family: 'decimal',
  rows: [
    'DAA | 27 | i64 | r:ac w:szapc u:o',
    'DAS | 2F | i64 | r:ac w:szapc u:o',
    'AAA | 37 | i64 | r:a w:ac u:oszp',
    'AAS | 3F | i64 | r:a w:ac u:oszp',
    'AAM imm8 | D4 ib | r i64 faults:DE | w:szp u:oac',
    'AAD imm8 | D5 ib | r i64 | w:szp u:oac',
  ],
};
