/** The memory operand of an instruction in NASM syntax: `[fs:rax+rcx*4-0x8]`, `[rel 0x401000]`. */

import { GPR, REGISTER_NAMES, SEGMENT } from '../architecture/registers.js';
import { type Instruction, type OperandForm, RIP_BASE } from '../instruction-set/index.js';
import { hexadecimal, signedHexadecimal } from './hexadecimal.js';

/** Name of an address, or undefined when it has none. */
export type SymbolLookup = (address: bigint) => string | undefined;

const SIZE_WORDS: Readonly<Record<number, string>> = {
  8: 'byte',
  16: 'word',
  32: 'dword',
  64: 'qword',
  80: 'tword',
};
const ADDRESS_SIZE_WORDS: Readonly<Record<number, string>> = { 16: 'word', 32: 'dword', 64: 'qword' };

function addressRegisters(addressSize: number): readonly string[] {
  if (addressSize === 64) return REGISTER_NAMES.gpr64;
  return addressSize === 32 ? REGISTER_NAMES.gpr32 : REGISTER_NAMES.gpr16;
}

/** A general register in the instruction gives NASM the size of the memory operand. */
function sizeIsImplied(instruction: Instruction, memory: OperandForm): boolean {
  // The sources of MOVZX and MOVSX come in several sizes for one destination.
  if (/^MOV[SZ]X/.test(instruction.encoding.mnemonic)) return false;
  return instruction.encoding.operands.some(
    (other) =>
      other !== memory &&
      other.width === memory.width &&
      (other.slot === 'reg' || (other.slot === 'implicit' && other.fixedRegister === 0)),
  );
}

/** `dword `, `far `-words, or nothing where the size goes without saying. */
function sizeWord(instruction: Instruction, memory: OperandForm): string {
  const { encoding } = instruction;
  if (encoding.family === 'control-transfer' && /^m16:/.test(memory.text))
    return `far ${SIZE_WORDS[memory.width - 16]} `;
  // Memory-only operands of which nothing is read or written (INVLPG, prefetches) have no size.
  if (memory.access === 'n' && memory.registerClass === undefined) return '';
  if (memory.text.includes(':') || memory.text.includes('&') || memory.text.endsWith('byte')) return '';
  // VMXON and its like take the address of a 64-bit pointer, and NASM no size.
  if (encoding.family === 'vmx' && memory.registerClass === undefined) return '';
  const word = SIZE_WORDS[memory.width];
  return word === undefined || sizeIsImplied(instruction, memory) ? '' : `${word} `;
}

/** The address of a memory operand without base and index, as an unsigned number of the address size. */
function absoluteAddress(instruction: Instruction): bigint {
  const high = instruction.displacementSize === 8 ? BigInt(instruction.displacementHigh) << 32n : undefined;
  const address =
    high === undefined ? BigInt(instruction.displacement) : high | BigInt(instruction.displacement >>> 0);
  return BigInt.asUintN(instruction.addressSize, address);
}

/** `fs:`, or nothing for the segment that is used anyway. */
function segmentText(instruction: Instruction): string {
  // LEA accesses nothing, so no segment takes part.
  if (instruction.encoding.mnemonic === 'LEA') return '';
  const { baseRegister, segment } = instruction;
  const isStack = baseRegister === GPR.RSP || baseRegister === GPR.RBP;
  return segment === (isStack ? SEGMENT.SS : SEGMENT.DS) ? '' : `${REGISTER_NAMES.segment[segment]}:`;
}

/** The address itself, without brackets. */
function addressText(instruction: Instruction, rip: bigint, symbol: SymbolLookup | undefined): string {
  const { baseRegister, indexRegister, addressSize, displacement } = instruction;
  const names = addressRegisters(addressSize);
  const segment = segmentText(instruction);
  if (baseRegister === RIP_BASE) {
    const target = BigInt.asUintN(addressSize, rip + BigInt(instruction.length + displacement));
    return `rel ${segment}${symbol?.(target) ?? hexadecimal(target)}`;
  }
  if (baseRegister < 0 && indexRegister < 0) {
    const address = absoluteAddress(instruction);
    // A size word where the address size is not the code's own (64-bit code has the prefix a32 for that), and
    // for the 64-bit offset of MOV.
    const isOtherSize = instruction.codeSize !== 64 && addressSize !== instruction.codeSize;
    const size =
      isOtherSize || instruction.displacementSize === 8 ? `${ADDRESS_SIZE_WORDS[addressSize]} ` : '';
    return `${size}${segment}${symbol?.(address) ?? hexadecimal(address)}`;
  }
  const parts: string[] = [];
  if (baseRegister >= 0) parts.push(names[baseRegister]!);
  if (indexRegister >= 0) {
    const scale = 1 << instruction.scale;
    parts.push(scale === 1 && baseRegister >= 0 ? names[indexRegister]! : `${names[indexRegister]}*${scale}`);
  }
  const tail = displacement === 0 ? '' : signedHexadecimal(displacement);
  return `${segment}${parts.join('+')}${tail}`;
}

/** The ModRM or moffs operand of `instruction`, which starts at `rip`. */
export function memoryText(
  instruction: Instruction,
  memory: OperandForm,
  rip: bigint,
  symbol: SymbolLookup | undefined,
): string {
  return `${sizeWord(instruction, memory)}[${addressText(instruction, rip, symbol)}]`;
}
