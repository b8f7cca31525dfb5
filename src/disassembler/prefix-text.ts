/** The prefixes that assembly text has to spell out: LOCK, REP, and sizes that no operand shows. */

import { REGISTER_NAMES } from '../architecture/registers.js';
import { ENCODINGS, type Encoding, type Instruction, PREFIX } from '../instruction-set/index.js';

/** What the text of a row shows of its operands; rows of one shape differ only by operand size. */
function shapeOf(encoding: Encoding): string {
  const operands = encoding.operands.map((operand) => {
    switch (operand.slot) {
      case 'immediate':
      case 'relative':
        return operand.slot;
      default:
        return /^m\d+byte$/.test(operand.text) ? 'm' : operand.text;
    }
  });
  return `${encoding.mnemonic} ${operands.join()}`;
}

/** Rows whose operand size cannot be seen from mnemonic and operands: PUSH imm, RET, LEAVE, branches, … */
function findHiddenSizes(): Uint8Array {
  const sizes = new Map<string, Set<number>>();
  for (const encoding of ENCODINGS) {
    const shape = shapeOf(encoding);
    if (!sizes.has(shape)) sizes.set(shape, new Set());
    sizes.get(shape)!.add(encoding.operandSize);
  }
  return Uint8Array.from(ENCODINGS, (encoding) => {
    const isBranch = encoding.operands.some((operand) => operand.slot === 'relative');
    return isBranch || sizes.get(shapeOf(encoding))!.size > 1 ? 1 : 0;
  });
}

const HIDDEN_SIZES = findHiddenSizes();

function defaultOperandSize(instruction: Instruction): number {
  if (instruction.codeSize !== 64) return instruction.codeSize;
  const { default64, forced64 } = instruction.encoding;
  return default64 || forced64 ? 64 : 32;
}

/** The address size matters, but no memory operand is written that would show it. */
function hidesAddressSize(encoding: Encoding): boolean {
  return (
    encoding.operands.some((operand) => operand.slot === 'implicit' && operand.memory) ||
    encoding.mnemonic.startsWith('LOOP') ||
    encoding.mnemonic === 'MONITOR'
  );
}

function repeatText(instruction: Instruction): string {
  const { prefixes, encoding } = instruction;
  if (encoding.repeat === '') return '';
  if ((prefixes & PREFIX.REPNE) !== 0) return 'repne ';
  if ((prefixes & PREFIX.REP) === 0) return '';
  return encoding.repeat === 'rep' ? 'rep ' : 'repe ';
}

/** Prefixes in the order of NASM's text, each followed by a space; prefixes without any effect are left out. */
export function prefixText(instruction: Instruction): string {
  const { encoding } = instruction;
  let text = (instruction.prefixes & PREFIX.LOCK) !== 0 ? 'lock ' : '';
  text += repeatText(instruction);
  if (HIDDEN_SIZES[encoding.index] === 1 && instruction.operandSize !== defaultOperandSize(instruction))
    text += `o${instruction.operandSize} `;
  if (hidesAddressSize(encoding) && instruction.addressSize !== instruction.codeSize)
    text += `a${instruction.addressSize} `;
  const hasImpliedSource = instruction.memoryOperand < 0 && instruction.segment >= 0;
  if (hasImpliedSource && instruction.segmentOverride >= 0)
    text += `${REGISTER_NAMES.segment[instruction.segmentOverride]} `;
  return text;
}
