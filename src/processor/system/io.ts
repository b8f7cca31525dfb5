/** IN, OUT, INS, OUTS (SDM Vol. 2; Vol. 1, Chapter 18 Input/Output). */

import { GPR, SEGMENT } from '../../architecture/registers.js';
import { RFLAGS } from '../../architecture/rflags.js';
import { type Instruction, NO_REGISTER, PREFIX } from '../../instruction-set/instruction.js';
import { OUTCOME, type Outcome, type ProcessorCore, type SystemInstruction } from '../core.js';
import { checkedLinearAddress, uncheckedLinearAddress } from '../segmentation/segment-address.js';
import { STATE } from '../state/layout.js';
import { requirePortPermission } from './io-permission.js';
import { readRegister, writeRegister } from './operands.js';

/** The port of IN and OUT: DX or the immediate byte. */
function portOperand(core: ProcessorCore, instruction: Instruction, index: number): number {
  return instruction.encoding.operands[index]!.slot === 'immediate'
    ? instruction.immediateLow & 0xff
    : portInDx(core);
}

const portInDx = (core: ProcessorCore): number => core.state.readGpr32(GPR.RDX) & 0xffff;

/** AL, AX or EAX. Unsigned. */
function readAccumulator(core: ProcessorCore, size: number): number {
  const value = core.state.readGpr32(GPR.RAX);
  return size === 4 ? value : value & (size === 2 ? 0xffff : 0xff);
}

function writeAccumulator(core: ProcessorCore, size: number, value: number): void {
  if (size === 4) core.state.writeGpr32(GPR.RAX, value);
  else core.state.writeGprLow(GPR.RAX, size === 2 ? 16 : 8, value);
}

export const input: SystemInstruction = (core, instruction) => {
  const port = portOperand(core, instruction, 1);
  const size = instruction.encoding.operands[0]!.width / 8;
  requirePortPermission(core, port, size);
  if (core.intercepts?.io(instruction, port, size, 'in', undefined)) return OUTCOME.EXITED;
  writeAccumulator(core, size, core.ports.read(port, size));
  return OUTCOME.NEXT;
};

export const output: SystemInstruction = (core, instruction) => {
  const port = portOperand(core, instruction, 0);
  const size = instruction.encoding.operands[1]!.width / 8;
  requirePortPermission(core, port, size);
  if (core.intercepts?.io(instruction, port, size, 'out', undefined)) return OUTCOME.EXITED;
  core.ports.write(port, size, readAccumulator(core, size));
  return OUTCOME.NEXT;
};

const isRepeated = (instruction: Instruction): boolean =>
  (instruction.prefixes & (PREFIX.REP | PREFIX.REPNE)) !== 0;

/** Moves the index register and counts down; AGAIN while iterations are left. */
function finishIteration(
  core: ProcessorCore,
  instruction: Instruction,
  index: number,
  size: number,
): Outcome {
  const { addressSize } = instruction;
  const backwards = (core.state.read32(STATE.RFLAGS_OTHER) & RFLAGS.DF) !== 0;
  const step = BigInt(backwards ? -size : size);
  writeRegister(core, index, addressSize, readRegister(core, index, addressSize) + step);
  if (!isRepeated(instruction)) return OUTCOME.NEXT;
  const left = BigInt.asUintN(addressSize, readRegister(core, GPR.RCX, addressSize) - 1n);
  writeRegister(core, GPR.RCX, addressSize, left);
  return left === 0n ? OUTCOME.NEXT : OUTCOME.AGAIN;
}

const isExhausted = (core: ProcessorCore, instruction: Instruction): boolean =>
  isRepeated(instruction) && readRegister(core, GPR.RCX, instruction.addressSize) === 0n;

/** INSB, INSW, INSD; the destination is probed before the port is read, because reading a port can't be undone. */
export const inputString =
  (size: number): SystemInstruction =>
  (core, instruction) => {
    if (isExhausted(core, instruction)) return OUTCOME.NEXT;
    const port = portInDx(core);
    requirePortPermission(core, port, size);
    const offset = readRegister(core, GPR.RDI, instruction.addressSize);
    const unchecked = uncheckedLinearAddress(core.state, SEGMENT.ES, offset);
    if (core.intercepts?.io(instruction, port, size, 'in', unchecked)) return OUTCOME.EXITED;
    const address = checkedLinearAddress(core, SEGMENT.ES, offset, size, 'write');
    core.linear.probe(address, size, 'write');
    core.linear.write(address, size, BigInt(core.ports.read(port, size)));
    return finishIteration(core, instruction, GPR.RDI, size);
  };

/** OUTSB, OUTSW, OUTSD. */
export const outputString =
  (size: number): SystemInstruction =>
  (core, instruction) => {
    if (isExhausted(core, instruction)) return OUTCOME.NEXT;
    const port = portInDx(core);
    requirePortPermission(core, port, size);
    const segment = instruction.segmentOverride === NO_REGISTER ? SEGMENT.DS : instruction.segmentOverride;
    const offset = readRegister(core, GPR.RSI, instruction.addressSize);
    const unchecked = uncheckedLinearAddress(core.state, segment, offset);
    if (core.intercepts?.io(instruction, port, size, 'out', unchecked)) return OUTCOME.EXITED;
    const address = checkedLinearAddress(core, segment, offset, size, 'read');
    core.ports.write(port, size, Number(core.linear.read(address, size)));
    return finishIteration(core, instruction, GPR.RSI, size);
  };
