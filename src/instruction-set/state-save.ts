/** Saving and restoring processor state (SDM Vol. 1, 10.5 FXSAVE and FXRSTOR Instructions, Chapter 13 XSAVE). */

import type { FamilyRows } from './row-parser.js';

export const STATE_SAVE: FamilyRows = {
  family: 'state-save',
  rows: [
    'FXSAVE m512byte | NP 0F AE /0 | w feature:FXSR faults:NM,GP',
    'FXSAVE64 m512byte | o64 NP 0F AE /0 | w feature:FXSR faults:NM,GP',
    'FXRSTOR m512byte | NP 0F AE /1 | r feature:FXSR faults:NM,GP',
    'FXRSTOR64 m512byte | o64 NP 0F AE /1 | r feature:FXSR faults:NM,GP',
    'LDMXCSR m32 | NP 0F AE /2 | r feature:SSE faults:UD,NM,GP',
    'STMXCSR m32 | NP 0F AE /3 | w feature:SSE faults:UD,NM',
    'XSAVE m | NP 0F AE /4 | rw feature:XSAVE faults:UD,NM,GP',
    'XSAVE64 m | o64 NP 0F AE /4 | rw feature:XSAVE faults:UD,NM,GP',
    'XRSTOR m | NP 0F AE /5 | r feature:XSAVE faults:UD,NM,GP',
    'XRSTOR64 m | o64 NP 0F AE /5 | r feature:XSAVE faults:UD,NM,GP',
    'XSAVEOPT m | NP 0F AE /6 | rw feature:XSAVEOPT faults:UD,NM,GP',
    'XSAVEOPT64 m | o64 NP 0F AE /6 | rw feature:XSAVEOPT faults:UD,NM,GP',
    'XSAVEC m | NP 0F C7 /4 | w feature:XSAVEC faults:UD,NM,GP',
    'XSAVEC64 m | o64 NP 0F C7 /4 | w feature:XSAVEC faults:UD,NM,GP',
    'XSAVES m | NP 0F C7 /5 | w cpl0 feature:XSAVES faults:UD,NM,GP',
    'XSAVES64 m | o64 NP 0F C7 /5 | w cpl0 feature:XSAVES faults:UD,NM,GP',
    'XRSTORS m | NP 0F C7 /3 | r cpl0 feature:XSAVES faults:UD,NM,GP',
    'XRSTORS64 m | o64 NP 0F C7 /3 | r cpl0 feature:XSAVES faults:UD,NM,GP',
  ],
};
