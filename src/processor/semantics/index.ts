/**
 * The meaning of every instruction that is built as WebAssembly, by mnemonic. Everything else is plain TypeScript in
 * `system/`.
 *
 * Undefined flags (the policy of all families; tests mask exactly `encoding.flagsUndefined`;
 *
 * what the silicon of the vectors in test/differential leaves, an AMD processor of family 25):
 *
 * | instructions | choice |
 * | --- | --- |
 * | AND OR XOR TEST | AF = 0 |
 * | SHL SHR SAR SHLD SHRD | AF = 1; OF by the rule for a count of 1, whatever the count |
 * | ROL ROR RCL RCR | OF by the rule for a count of 1, whatever the count |
 * | MUL IMUL | SF, ZF, AF, PF kept |
 * | DIV IDIV | ZF = SF = PF = 0, AF = 1; CF and OF kept |
 * | BT BTS BTR BTC | all kept |
 * | BSF BSR | CF = OF = AF = SF = 0; PF from the bit number, 1 for a source of 0 |
 * | LZCNT TZCNT | SF = PF = AF = 0; OF kept |
 * | AAA AAS AAM AAD DAA DAS | all kept; here the silicon does something else |
 */

import { CONDITIONS } from '../../instruction-set/condition.js';
import type { Encoding } from '../../instruction-set/encoding.js';
import * as arithmetic from './arithmetic.js';
import * as bit from './bit.js';
import type { Semantics, Width } from './context.js';
import * as controlTransfer from './control-transfer.js';
import * as dataTransfer from './data-transfer.js';
import * as decimal from './decimal.js';
import * as flag from './flag.js';
import * as logic from './logic.js';
import * as miscellaneous from './miscellaneous.js';
import * as multiplyDivide from './multiply-divide.js';
import * as shiftRotate from './shift-rotate.js';
import * as stack from './stack.js';
import * as string from './string.js';

/** One entry for each of the sixteen conditions: `SET` gives SETO, SETNO, … */
const forEachCondition = (prefix: string, semantics: (code: number) => Semantics): [string, Semantics][] =>
  CONDITIONS.map(({ code, names }) => [prefix + names[0], semantics(code)]);

/** One entry for each element width: `MOVS` gives MOVSB, MOVSW, MOVSD, MOVSQ. */
const forEachElement = (prefix: string, semantics: (width: Width) => Semantics): [string, Semantics][] => [
  [`${prefix}B`, semantics(8)],
  [`${prefix}W`, semantics(16)],
  [`${prefix}D`, semantics(32)],
  [`${prefix}Q`, semantics(64)],
];

const forAll = (semantics: Semantics, ...mnemonics: string[]): [string, Semantics][] =>
  mnemonics.map((mnemonic) => [mnemonic, semantics]);

/** 0F 18 … 0F 1F, reserved for hints; number 56 is NOP itself. */
const HINTS = Array.from({ length: 64 }, (_, number) => `HINT_NOP${number}`).filter(
  (mnemonic) => mnemonic !== 'HINT_NOP56',
);

/** Meanings by upper-case mnemonic; `semanticsOf` says which rows of a mnemonic they cover. */
export const SEMANTICS: ReadonlyMap<string, Semantics> = new Map<string, Semantics>([
  // Data transfer
  ['MOV', dataTransfer.mov],
  ['MOVNTI', dataTransfer.mov],
  ['MOVZX', dataTransfer.movzx],
  ['MOVSX', dataTransfer.movsx],
  ['MOVSXD', dataTransfer.movsx],
  ['MOVBE', dataTransfer.movbe],
  ['XCHG', dataTransfer.xchg],
  ['LEA', dataTransfer.lea],
  ...forEachCondition('CMOV', dataTransfer.cmov),
  ...forEachCondition('SET', dataTransfer.setcc),
  ['BSWAP', dataTransfer.bswap],
  ['CBW', dataTransfer.extendAccumulator(16)],
  ['CWDE', dataTransfer.extendAccumulator(32)],
  ['CDQE', dataTransfer.extendAccumulator(64)],
  ['CWD', dataTransfer.extendIntoData(16)],
  ['CDQ', dataTransfer.extendIntoData(32)],
  ['CQO', dataTransfer.extendIntoData(64)],
  ['XLATB', dataTransfer.xlat],

  // Stack
  ['PUSH', stack.push],
  ['POP', stack.pop],
  ...forAll(stack.pushf, 'PUSHFW', 'PUSHFD', 'PUSHFQ'),
  ...forAll(stack.pusha, 'PUSHAW', 'PUSHAD'),
  ...forAll(stack.popa, 'POPAW', 'POPAD'),
  ['ENTER', stack.enter],
  ['LEAVE', stack.leave],

  // Arithmetic
  ['ADD', arithmetic.add],
  ['ADC', arithmetic.adc],
  ['SUB', arithmetic.sub],
  ['SBB', arithmetic.sbb],
  ['CMP', arithmetic.cmp],
  ['INC', arithmetic.inc],
  ['DEC', arithmetic.dec],
  ['NEG', arithmetic.neg],
  ['XADD', arithmetic.xadd],
  ['CMPXCHG', arithmetic.cmpxchg],
  ['CMPXCHG8B', arithmetic.cmpxchg8b],
  ['CMPXCHG16B', arithmetic.cmpxchg16b],
  ['BOUND', arithmetic.bound],
  ['MUL', multiplyDivide.mul],
  ['IMUL', multiplyDivide.imul],
  ['DIV', multiplyDivide.div],
  ['IDIV', multiplyDivide.idiv],

  // Decimal
  ['AAA', decimal.aaa],
  ['AAS', decimal.aas],
  ['AAM', decimal.aam],
  ['AAD', decimal.aad],
  ['DAA', decimal.daa],
  ['DAS', decimal.das],
  ['SALC', decimal.salc],

  // Logic
  ['AND', logic.and],
  ['OR', logic.or],
  ['XOR', logic.xor],
  ['NOT', logic.not],
  ['TEST', logic.test],

  // Shift and rotate
  ['SHL', shiftRotate.shl],
  ['SHR', shiftRotate.shr],
  ['SAR', shiftRotate.sar],
  ['ROL', shiftRotate.rol],
  ['ROR', shiftRotate.ror],
  ['RCL', shiftRotate.rcl],
  ['RCR', shiftRotate.rcr],
  ['SHLD', shiftRotate.shld],
  ['SHRD', shiftRotate.shrd],

  // Bit
  ['BT', bit.bt],
  ['BTS', bit.bts],
  ['BTR', bit.btr],
  ['BTC', bit.btc],
  ['BSF', bit.bsf],
  ['BSR', bit.bsr],
  ['POPCNT', bit.popcnt],
  ['LZCNT', bit.lzcnt],
  ['TZCNT', bit.tzcnt],

  // String
  ...forEachElement('MOVS', string.movs),
  ...forEachElement('STOS', string.stos),
  ...forEachElement('LODS', string.lods),
  ...forEachElement('CMPS', string.cmps),
  ...forEachElement('SCAS', string.scas),

  // Control transfer
  ['JMP', controlTransfer.jmp],
  ...forEachCondition('J', controlTransfer.jcc),
  ['CALL', controlTransfer.call],
  ['RET', controlTransfer.ret],
  ['LOOP', controlTransfer.loop],
  ['LOOPE', controlTransfer.loope],
  ['LOOPNE', controlTransfer.loopne],
  ...forAll(controlTransfer.jcxz, 'JCXZ', 'JECXZ', 'JRCXZ'),

  // Flag
  ['CLC', flag.clc],
  ['STC', flag.stc],
  ['CMC', flag.cmc],
  ['CLD', flag.cld],
  ['STD', flag.std],
  ['LAHF', flag.lahf],
  ['SAHF', flag.sahf],

  // Miscellaneous
  ...forAll(miscellaneous.doNothing, 'NOP', 'LFENCE', 'MFENCE', 'SFENCE', 'ENDBR32', 'ENDBR64'),
  ...forAll(miscellaneous.doNothing, 'PREFETCHNTA', 'PREFETCHT0', 'PREFETCHT1', 'PREFETCHT2', 'PREFETCHW'),
  ...forAll(miscellaneous.doNothing, 'PREFETCH', 'PREFETCHWT1', ...HINTS),
  ...forAll(miscellaneous.probeRead, 'CLFLUSH', 'CLFLUSHOPT', 'CLWB'),
  ...forAll(miscellaneous.undefinedInstruction, 'UD0', 'UD1', 'UD2'),
]);

const SYSTEM_CLASSES: ReadonlySet<string> = new Set(['segment', 'control', 'debug']);

/**
 * The meaning of one row, undefined when it belongs to the system: MOV, PUSH and POP of segment, control and debug
 * registers, and far JMP and CALL share their mnemonics with rows of this folder.
 */
export function semanticsOf(encoding: Encoding): Semantics | undefined {
  const isSystem = encoding.operands.some(
    ({ registerClass, slot, text }) =>
      (registerClass !== undefined && SYSTEM_CLASSES.has(registerClass)) ||
      slot === 'far' ||
      text.startsWith('m16:'),
  );
  return isSystem ? undefined : SEMANTICS.get(encoding.mnemonic);
}
