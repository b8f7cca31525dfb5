/**
 * Strings (SDM Vol. 1, 5.1.8 String Instructions and 5.1.9 I/O Instructions). The address size chooses between
 * SI, ESI and RSI (DI, EDI, RDI; CX, ECX, RCX as the count) and is read from the decoded instruction.
 * The memory operands are implied: assembly text writes none of them. CMPS and SCAS list the flags in `r`
 * too, because a repeat count of zero leaves them unchanged.
 */

import type { FamilyRows } from './row-parser.js';

export const STRING: FamilyRows = {
  family: 'string',
  rows: [
    'MOVSB ES:[rDI], DS:[rSI] | A4 | w,r rep | r:d',
    'MOVSW ES:[rDI], DS:[rSI] | o16 A5 | w,r rep | r:d',
    'MOVSD ES:[rDI], DS:[rSI] | o32 A5 | w,r rep | r:d',
    'MOVSQ ES:[rDI], DS:[rSI] | o64 A5 | w,r rep | r:d',
    'CMPSB DS:[rSI], ES:[rDI] | A6 | r,r repcc | r:odszapc w:oszapc',
    'CMPSW DS:[rSI], ES:[rDI] | o16 A7 | r,r repcc | r:odszapc w:oszapc',
    'CMPSD DS:[rSI], ES:[rDI] | o32 A7 | r,r repcc | r:odszapc w:oszapc',
    'CMPSQ DS:[rSI], ES:[rDI] | o64 A7 | r,r repcc | r:odszapc w:oszapc',
    'STOSB ES:[rDI] | AA | w rep | r:d',
    'STOSW ES:[rDI] | o16 AB | w rep | r:d',
    'STOSD ES:[rDI] | o32 AB | w rep | r:d',
    'STOSQ ES:[rDI] | o64 AB | w rep | r:d',
    'LODSB DS:[rSI] | AC | r rep | r:d',
    'LODSW DS:[rSI] | o16 AD | r rep | r:d',
    'LODSD DS:[rSI] | o32 AD | r rep | r:d',
    'LODSQ DS:[rSI] | o64 AD | r rep | r:d',
    'SCASB ES:[rDI] | AE | r repcc | r:odszapc w:oszapc',
    'SCASW ES:[rDI] | o16 AF | r repcc | r:odszapc w:oszapc',
    'SCASD ES:[rDI] | o32 AF | r repcc | r:odszapc w:oszapc',
    'SCASQ ES:[rDI] | o64 AF | r repcc | r:odszapc w:oszapc',
    'INSB ES:[rDI] | 6C | w rep iopl | r:d',
    'INSW ES:[rDI] | o16 6D | w rep iopl | r:d',
    'INSD ES:[rDI] | o32 6D | w rep iopl | r:d',
    'OUTSB DS:[rSI] | 6E | r rep iopl | r:d',
    'OUTSW DS:[rSI] | o16 6F | r rep iopl | r:d',
    'OUTSD DS:[rSI] | o32 6F | r rep iopl | r:d',
  ],
};
