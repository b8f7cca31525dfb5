/** Virtual-machine extensions (SDM Vol. 3C, Chapter 31 VMX Instruction Reference). */

import type { FamilyRows } from './row-parser.js';

export const VMX: FamilyRows = {
  family: 'vmx',
  feature: 'VMX',
  faults: ['GP', 'UD'],
  rows: [
    'VMXON m64 | F3 0F C7 /6 | r cpl0 faults:GP,UD | w:oszapc',
    'VMXOFF | NP 0F 01 C4 | cpl0 faults:GP,UD | w:oszapc',
    'VMCLEAR m64 | 66 0F C7 /6 | r cpl0 faults:GP,UD | w:oszapc',
    'VMPTRLD m64 | NP 0F C7 /6 | r cpl0 faults:GP,UD | w:oszapc',
    'VMPTRST m64 | NP 0F C7 /7 | w cpl0 faults:GP,UD | w:oszapc',
    'VMREAD r/m32, r32 | NP 0F 78 /r | w,r i64 cpl0 faults:GP,UD | w:oszapc',
    'VMREAD r/m64, r64 | NP 0F 78 /r | w,r only64 f64 cpl0 faults:GP,UD | w:oszapc',
    'VMWRITE r32, r/m32 | NP 0F 79 /r | r,r i64 cpl0 faults:GP,UD | w:oszapc',
    'VMWRITE r64, r/m64 | NP 0F 79 /r | r,r only64 f64 cpl0 faults:GP,UD | w:oszapc',
    'VMCALL | NP 0F 01 C1 | | w:oszapc',
    'VMLAUNCH | NP 0F 01 C2 | cpl0 faults:GP,UD | w:oszapc',
    'VMRESUME | NP 0F 01 C3 | cpl0 faults:GP,UD | w:oszapc',
    'VMFUNC | NP 0F 01 D4 | faults:UD',
    'INVEPT r32, m128 | 66 0F 38 80 /r | r,r i64 cpl0 faults:GP,UD | w:oszapc',
    'INVEPT r64, m128 | 66 0F 38 80 /r | r,r only64 f64 cpl0 faults:GP,UD | w:oszapc',
    'INVVPID r32, m128 | 66 0F 38 81 /r | r,r i64 cpl0 faults:GP,UD | w:oszapc',
    'INVVPID r64, m128 | 66 0F 38 81 /r | r,r only64 f64 cpl0 faults:GP,UD | w:oszapc',
  ],
};
