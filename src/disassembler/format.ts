/** Instruction → text in NASM syntax, such that NASM assembles it back. */

import { REGISTER_NAMES } from '../architecture/registers.js';
import type { Instruction, OperandForm } from '../instruction-set/index.js';
import { hexadecimal } from './hexadecimal.js';
import { memoryText, type SymbolLookup } from './memory-text.js';
import { hasSizeAtOperand, hidesUnusualSize, prefixText } from './prefix-text.js';

export interface FormatOptions {
  /** Names to print in place of branch targets and absolute addresses. */
  readonly symbol?: SymbolLookup;
}

/** Mnemonics that NASM spells in another way than the table. */
const NASM_MNEMONICS: Readonly<Record<string, string>> = {
  SYSRETQ: 'o64 sysret',
  SYSEXITQ: 'o64 sysexit',
};

/** `word ` or `dword ` before a pushed immediate or a branch target of unusual size. */
function sizeAtOperand(instruction: Instruction): string {
  if (!hasSizeAtOperand(instruction.encoding) || !hidesUnusualSize(instruction)) return '';
  // NASM wants conditional branches to be called near as well.
  const near = instruction.encoding.map === 1 ? 'near ' : '';
  return `${near}${instruction.operandSize === 16 ? 'word' : 'dword'} `;
}

function immediateText(instruction: Instruction, operand: OperandForm, isSecond: boolean): string {
  if (isSecond) return hexadecimal(instruction.secondImmediate);
  const value = hexadecimal(BigInt.asUintN(operand.width, instruction.immediate));
  return sizeAtOperand(instruction) + value;
}

/** Target of a relative branch; the instruction pointer wraps at the operand size. */
function branchTarget(instruction: Instruction, rip: bigint): bigint {
  return BigInt.asUintN(instruction.operandSize, rip + BigInt(instruction.length) + instruction.immediate);
}

function farPointerText(instruction: Instruction): string {
  const size = instruction.operandSize === 16 ? 'word' : 'dword';
  const offset = BigInt.asUintN(instruction.operandSize, instruction.immediate);
  return `${size} ${hexadecimal(instruction.secondImmediate)}:${hexadecimal(offset)}`;
}

function operandText(
  instruction: Instruction,
  position: number,
  rip: bigint,
  symbol: SymbolLookup | undefined,
): string {
  const { operands } = instruction.encoding;
  const operand = operands[position]!;
  const register = instruction.register(position);
  if (operand.registerClass !== undefined && register >= 0)
    return REGISTER_NAMES[operand.registerClass][register]!;
  switch (operand.slot) {
    case 'immediate':
      return immediateText(instruction, operand, operands[position - 1]?.slot === 'immediate');
    case 'relative': {
      const target = branchTarget(instruction, rip);
      return sizeAtOperand(instruction) + (symbol?.(target) ?? hexadecimal(target));
    }
    case 'far':
      return farPointerText(instruction);
    case 'implicit':
      return operand.text.toLowerCase();
    default:
      return memoryText(instruction, operand, rip, symbol);
  }
}

/**
 * The instruction as one line of NASM source, lower case: `lock add dword [rax+rcx*4-0x8],0x1`.
 * @param rip address of the instruction's first byte.
 */
export function formatInstruction(
  instruction: Instruction,
  rip: bigint,
  options: FormatOptions = {},
): string {
  const { encoding } = instruction;
  const mnemonic = NASM_MNEMONICS[encoding.mnemonic] ?? encoding.mnemonic.toLowerCase();
  const operands: string[] = [];
  for (const [position, operand] of encoding.operands.entries()) {
    // Implied memory operands (strings, XLATB) are not written.
    if (operand.slot === 'implicit' && operand.memory) continue;
    operands.push(operandText(instruction, position, rip, options.symbol));
  }
  const head = prefixText(instruction) + mnemonic;
  return operands.length === 0 ? head : `${head} ${operands.join(',')}`;
}
