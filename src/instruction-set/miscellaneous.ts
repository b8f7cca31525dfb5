/** Miscellaneous, cache hints and ordering (SDM Vol. 1, 5.1.13 Miscellaneous Instructions, 5.6.4, 5.5.4, 5.1.15). */

import type { FamilyRows } from './row-parser.js';

export const MISCELLANEOUS: FamilyRows = {
  family: 'miscellaneous',
  rows: [
    'LEA rv, m | ov 8D /r | w,n',
    'XLATB DS:[rBX+AL] | D7 | r alias:XLAT',
    'CPUID | 0F A2',

    'PREFETCHNTA m8 | 0F 18 /0 | n feature:SSE',
    'PREFETCHT0 m8 | 0F 18 /1 | n feature:SSE',
    'PREFETCHT1 m8 | 0F 18 /2 | n feature:SSE',
    'PREFETCHT2 m8 | 0F 18 /3 | n feature:SSE',
    'PREFETCH m8 | 0F 0D /0 | n feature:PREFETCHW',
    'PREFETCHW m8 | 0F 0D /1 | n feature:PREFETCHW',
    'PREFETCHWT1 m8 | 0F 0D /2 | n feature:PREFETCHWT1',
    'CLFLUSH m8 | NP 0F AE /7 | n feature:CLFSH',
    'CLFLUSHOPT m8 | 66 0F AE /7 | n feature:CLFLUSHOPT',
    'CLWB m8 | 66 0F AE /6 | n feature:CLWB',
    // The processor ignores ModRM.rm here; E8, F0 and F8 are the manual's choice.
    'LFENCE | NP 0F AE /5 | mod3 feature:SSE2',
    'MFENCE | NP 0F AE /6 | mod3 feature:SSE2',
    'SFENCE | NP 0F AE /7 | mod3 feature:SSE',

    'RDRAND rv | ov NFx 0F C7 /6 | w feature:RDRAND | w:oszapc',
    'RDSEED rv | ov NFx 0F C7 /7 | w feature:RDSEED | w:oszapc',
  ],
};
