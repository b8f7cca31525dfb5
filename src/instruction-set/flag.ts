/** Flags (SDM Vol. 1, 5.1.11 Flag Control (EFLAG) Instructions). */

import type { FamilyRows } from './row-parser.js';

export const FLAG: FamilyRows = {
  family: 'flag',
  rows: [
    'CLC | F8 | | w:c',
    'STC | F9 | | w:c',
    'CMC | F5 | | r:c w:c',
    'CLD | FC | | w:d',
    'STD | FD | | w:d',
    'CLI | FA | iopl | w:i',
    'STI | FB | iopl | w:i',
    'LAHF | 9F | | r:szapc',
    'SAHF | 9E | | w:szapc',
    'SALC | D6 | i64 | r:c',
  ],
};
