/** Operands and conditions that system instructions have in common. */

import { HIGH_BYTE_REGISTER_BASE } from '../../architecture/registers.js';
import type { Instruction } from '../../instruction-set/instruction.js';
import type { ProcessorCore } from '../core.js';
import { raiseGeneralProtection, raiseInvalidOpcode } from '../events/faults.js';
import { hasRealModeSegments } from '../segmentation/mode.js';

/** #GP(0) unless CPL = 0. */
export function requireSupervisor(core: ProcessorCore): void {
  if (core.state.cpl !== 0) raiseGeneralProtection();
}

/** #UD in real-address mode and virtual-8086 mode. */
export function requireProtectedMode(core: ProcessorCore): void {
  if (hasRealModeSegments(core.state)) raiseInvalidOpcode();
}

/** Value of a general-purpose register of `width` bits, zero-extended; 8-bit numbers 16 … 19 are AH … BH. */
export function readRegister(core: ProcessorCore, register: number, width: number): bigint {
  if (width === 8 && register >= HIGH_BYTE_REGISTER_BASE)
    return (core.state.readGpr(register - HIGH_BYTE_REGISTER_BASE) >> 8n) & 0xffn;
  return BigInt.asUintN(width, core.state.readGpr(register));
}

/** Writes a register of 16, 32 or 64 bits; 32 bits clear the upper half, 16 bits keep the rest. */
export function writeRegister(core: ProcessorCore, register: number, width: number, value: bigint): void {
  if (width >= 32) core.state.writeGpr(register, BigInt.asUintN(width, value));
  else core.state.writeGprLow(register, width as 8 | 16, Number(BigInt.asUintN(width, value)));
}

/** A register or memory operand, zero-extended from its width. */
export function readOperand(core: ProcessorCore, instruction: Instruction, index: number): bigint {
  const { width } = instruction.encoding.operands[index]!;
  if (instruction.memoryOperand !== index) return readRegister(core, instruction.register(index), width);
  const size = width / 8;
  return core.linear.read(core.operandAddress(instruction, 'read', size), size);
}

export function writeOperand(
  core: ProcessorCore,
  instruction: Instruction,
  index: number,
  value: bigint,
): void {
  const { width } = instruction.encoding.operands[index]!;
  if (instruction.memoryOperand !== index) {
    writeRegister(core, instruction.register(index), width, value);
    return;
  }
  const size = width / 8;
  const address = core.operandAddress(instruction, 'write', size);
  core.linear.write(address, size, BigInt.asUintN(width, value));
}

/** EDX:EAX, as RDMSR, RDTSC and XGETBV deliver 64 bits. */
export function writeEdxEax(core: ProcessorCore, value: bigint): void {
  core.state.writeGpr32(0, Number(value & 0xffffffffn));
  core.state.writeGpr32(2, Number((value >> 32n) & 0xffffffffn));
}

export function readEdxEax(core: ProcessorCore): bigint {
  return (BigInt(core.state.readGpr32(2)) << 32n) | BigInt(core.state.readGpr32(0));
}
