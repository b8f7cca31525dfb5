/** The stack: PUSH and POP of everything, frames (SDM Vol. 1, Chapter 6 Procedure Calls, Interrupts, and Exceptions). */

import type { FamilyRows } from './row-parser.js';

export const STACK: FamilyRows = {
  family: 'stack',
  rows: [
    'PUSH rv | ov 50+r | r d64',
    'POP rv | ov 58+r | w d64',
    'PUSH r/mv | ov FF /6 | r d64',
    'POP r/mv | ov 8F /0 | w d64',
    'PUSH simm8 | ov 6A ib | r d64',
    'PUSH imm16 | o16 68 iw | r d64',
    'PUSH imm32 | o32 68 id | r d64',
    'PUSH simm32 | o64 68 id | r d64 id:PUSH_imm32_o64',

    'PUSH ES | ov 06 | r i64 d64',
    'POP ES | ov 07 | w i64 d64 faults:GP,NP',
    'PUSH CS | ov 0E | r i64 d64',
    'PUSH SS | ov 16 | r i64 d64',
    'POP SS | ov 17 | w i64 d64 faults:GP,SS',
    'PUSH DS | ov 1E | r i64 d64',
    'POP DS | ov 1F | w i64 d64 faults:GP,NP',
    'PUSH FS | ov 0F A0 | r d64',
    'POP FS | ov 0F A1 | w d64 faults:GP,NP',
    'PUSH GS | ov 0F A8 | r d64',
    'POP GS | ov 0F A9 | w d64 faults:GP,NP',

    'PUSHAW | o16 60 | i64 alias:PUSHA',
    'PUSHAD | o32 60 | i64 alias:PUSHA',
    'POPAW | o16 61 | i64 alias:POPA',
    'POPAD | o32 61 | i64 alias:POPA',
    'PUSHFW | o16 9C | d64 alias:PUSHF faults:GP | r:odiszapc',
    'PUSHFD | o32 9C | d64 alias:PUSHF faults:GP | r:odiszapc',
    'PUSHFQ | o64 9C | d64 alias:PUSHF faults:GP | r:odiszapc',
    'POPFW | o16 9D | d64 alias:POPF faults:GP | w:odiszapc',
    'POPFD | o32 9D | d64 alias:POPF faults:GP | w:odiszapc',
    'POPFQ | o64 9D | d64 alias:POPF faults:GP | w:odiszapc',

    'ENTER imm16, imm8 | ov C8 iw ib | n,n d64',
    'LEAVE | ov C9 | d64',
  ],
};
