/**
 * The state of one instruction under emulation (struct x86_emulate_ctxt with its decode_cache): a private copy of the
 * registers, the decoded instruction, and access to operands by their position in the table's row.
 */

import { GPR, HIGH_BYTE_REGISTER_BASE, SEGMENT, type SegmentNumber } from '../../architecture/registers.js';
import { VECTOR } from '../../architecture/vectors.js';
import { Instruction, NO_REGISTER, RIP_BASE } from '../../instruction-set/index.js';
import type { InKernelBus } from '../contracts.js';
import type { EmulatedVcpu } from './emulated-vcpu.js';
import type { PortAccess } from './emulation-result.js';
import type { LinearAccess } from './linear-access.js';
import { EmulatedFault } from './signals.js';

const isCanonical = (address: bigint): boolean => BigInt.asIntN(48, address) === BigInt.asIntN(64, address);

export class Emulation {
  /** What the decoder fills in; `instruction` is this, or an entry of the decode cache. */
  readonly decoded = new Instruction();
  instruction: Instruction = this.decoded;
  private readonly registers = new BigUint64Array(16);
  /** Registers of the private copy that hold a value, and those that were written; bit n is register n. */
  private available = 0;
  private written = 0;
  readonly memory: LinearAccess;
  readonly ports: InKernelBus;
  readonly vcpu: EmulatedVcpu;
  codeSize: 16 | 32 | 64 = 64;
  flags = 0;
  /** Address of the instruction, and where execution goes on after it. */
  instructionRip = 0n;
  rip = 0n;
  /** A port access that the kernel has no device for. */
  portAccess: PortAccess | undefined;
  /** For a port read: what to do with the bytes once they are there. */
  finishPortRead: ((data: Uint8Array) => void) | undefined;

  constructor(vcpu: EmulatedVcpu, memory: LinearAccess, ports: InKernelBus) {
    this.vcpu = vcpu;
    this.memory = memory;
    this.ports = ports;
  }

  /** A private copy of all registers, RSP included. */
  copyRegisters(): void {
    const { vcpu } = this;
    vcpu.readRegister(GPR.RSP);
    this.registers.set(vcpu.registers);
    this.available = 0xffff;
    this.written = 0;
  }

  /** An empty private copy: registers are fetched when an operand needs them. */
  forgetRegisters(): void {
    this.available = 0;
    this.written = 0;
  }

  /** All 64 bits of a general-purpose register. */
  register(number: number): bigint {
    if ((this.available & (1 << number)) === 0) {
      this.registers[number] = this.vcpu.readRegister(number);
      this.available |= 1 << number;
    }
    return this.registers[number]!;
  }

  private setRegister(number: number, value: bigint): void {
    this.registers[number] = value;
    this.available |= 1 << number;
    this.written |= 1 << number;
  }

  /** Gives the private copy, complete, back to the vCPU. */
  returnRegisters(): void {
    this.vcpu.registers.set(this.registers);
    this.vcpu.writeRegister(GPR.RSP, this.registers[GPR.RSP]!);
  }

  /** Gives the registers that were written back to the vCPU. */
  returnWrittenRegisters(): void {
    for (let number = 0; this.written >> number !== 0; number++)
      if ((this.written & (1 << number)) !== 0) this.vcpu.writeRegister(number, this.registers[number]!);
  }

  /** Width in bits of operand `index`. */
  width(index: number): number {
    return this.instruction.encoding.operands[index]!.width;
  }

  /** Operand `index` as an unsigned value of its width. */
  read(index: number): bigint {
    const { instruction } = this;
    const form = instruction.encoding.operands[index]!;
    if (form.slot === 'immediate') return BigInt.asUintN(form.width, instruction.immediate);
    if (instruction.memoryOperand === index) return this.memory.read(this.linearAddress(), form.width >> 3);
    if (form.registerClass === undefined) return 1n; // the implicit count of `SHL r/m, 1`
    return this.readGpr(instruction.register(index), form.width);
  }

  /** Writes operand `index`; the value is cut to its width. 32-bit registers are zero-extended. */
  write(index: number, value: bigint): void {
    const { instruction } = this;
    const width = this.width(index);
    if (instruction.memoryOperand === index)
      this.memory.write(this.linearAddress(), width >> 3, BigInt.asUintN(width, value));
    else this.writeGpr(instruction.register(index), width, value);
  }

  readGpr(number: number, width: number): bigint {
    if (width === 8 && number >= HIGH_BYTE_REGISTER_BASE)
      return (this.register(number - HIGH_BYTE_REGISTER_BASE) >> 8n) & 0xffn;
    return BigInt.asUintN(width, this.register(number));
  }

  writeGpr(number: number, width: number, value: bigint): void {
    if (width >= 32) this.setRegister(number, BigInt.asUintN(width, value));
    else if (width === 16) this.setRegister(number, (this.register(number) & ~0xffffn) | (value & 0xffffn));
    else if (number < HIGH_BYTE_REGISTER_BASE)
      this.setRegister(number, (this.register(number) & ~0xffn) | (value & 0xffn));
    else {
      const low = number - HIGH_BYTE_REGISTER_BASE;
      this.setRegister(low, (this.register(low) & ~0xff00n) | ((value & 0xffn) << 8n));
    }
  }

  /** Effective address of the memory operand: without the segment's base, cut to the address size. */
  effectiveAddress(): bigint {
    const { instruction } = this;
    const { displacement, displacementHigh, baseRegister, indexRegister } = instruction;
    // moffs64 holds an unsigned low half beside its high one; other displacements are sign-extended.
    let address =
      instruction.displacementSize === 8
        ? (BigInt(displacementHigh >>> 0) << 32n) | BigInt(displacement >>> 0)
        : BigInt(displacement);
    if (baseRegister === RIP_BASE) address += this.instructionRip + BigInt(instruction.length);
    else if (baseRegister !== NO_REGISTER) address += this.register(baseRegister);
    if (indexRegister !== NO_REGISTER) {
      const index = BigInt.asUintN(instruction.addressSize, this.register(indexRegister));
      address += index << BigInt(instruction.scale);
    }
    return BigInt.asUintN(instruction.addressSize, address);
  }

  /** Linear address of the memory operand, `displacement` bytes on. */
  linearAddress(displacement = 0n): bigint {
    const { instruction } = this;
    const offset = BigInt.asUintN(instruction.addressSize, this.effectiveAddress() + displacement);
    return this.linear(instruction.segment as SegmentNumber, offset);
  }

  /** Segment base + offset, checked to be canonical in 64-bit code (SDM Vol. 1, 3.3.7.1 Canonical Addressing). */
  linear(segment: SegmentNumber, offset: bigint): bigint {
    if (this.codeSize !== 64) return BigInt.asUintN(32, this.vcpu.segmentBase(segment) + offset);
    const based = segment === SEGMENT.FS || segment === SEGMENT.GS;
    const address = based ? BigInt.asUintN(64, this.vcpu.segmentBase(segment) + offset) : offset;
    if (!isCanonical(address)) throw new EmulatedFault(segment === SEGMENT.SS ? VECTOR.SS : VECTOR.GP, 0);
    return address;
  }

  /** Segment of an implicit DS operand: the override, if there is one. */
  get dataSegment(): SegmentNumber {
    const { segmentOverride } = this.instruction;
    return segmentOverride === NO_REGISTER ? SEGMENT.DS : (segmentOverride as SegmentNumber);
  }

  /** Adds to a register in the instruction's address size (rSI, rDI, rCX of strings). */
  advance(register: number, by: bigint): void {
    const size = this.instruction.addressSize;
    this.writeGpr(register, size, this.readGpr(register, size) + by);
  }

  /** Linear address of the stack's top; `offset` bytes are added to it first. */
  stackAddress(offset: bigint): bigint {
    return this.linear(SEGMENT.SS, BigInt.asUintN(this.stackWidth, this.register(GPR.RSP) + offset));
  }

  moveStackPointer(offset: bigint): void {
    this.writeGpr(GPR.RSP, this.stackWidth, this.register(GPR.RSP) + offset);
  }

  /** Width of the stack pointer: 64 in 64-bit code, otherwise by SS.B. */
  private get stackWidth(): number {
    if (this.codeSize === 64) return 64;
    return this.vcpu.segmentAccessRights(SEGMENT.SS) & (1 << 14) ? 32 : 16;
  }
}
