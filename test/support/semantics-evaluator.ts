/**
 * Runs semantics without any engine: every expression is worked out as soon as a statement uses it. What this finds
 * wrong is wrong in the semantics (or the decoder), not in generated code. User mode, 64-bit or 32-bit with flat segments.
 */

import { GPR, HIGH_BYTE_REGISTER_BASE, SEGMENT } from '../../src/architecture/registers.js';
import { RFLAGS } from '../../src/architecture/rflags.js';
import { VECTOR } from '../../src/architecture/vectors.js';
import { DecodeStatus, decode } from '../../src/decoder/index.js';
import type { OperandForm } from '../../src/instruction-set/index.js';
import { Instruction, PREFIX, RIP_BASE } from '../../src/instruction-set/index.js';
import type {
  FlagsContext,
  MemoryReference,
  SemanticsContext,
  Variable,
  Width,
} from '../../src/processor/semantics/context.js';
import { semanticsOf } from '../../src/processor/semantics/index.js';
import { I32, I64 } from '../../src/wasm/expression.js';
import {
  CODE_PAGE,
  CODE_PAGE_SIZE,
  CODE_START,
  GS_BASE,
  INT3,
  initialState,
  MEMORY_BASE,
  MEMORY_SIZE,
  type Outcome,
  type TestCase,
  WINDOW_OFFSET,
  WINDOW_SIZE,
} from '../differential/test-case.js';
import { evaluatingFlags } from './evaluated-flags.js';
import { Locals, u64 } from './expression-evaluator.js';
import type { InstructionDriver } from './instruction-driver.js';

class Fault extends Error {
  readonly vector: number;
  readonly errorCode: number;
  readonly cr2: bigint;
  constructor(vector: number, errorCode = 0, cr2 = 0n) {
    super(`vector ${vector}`);
    this.vector = vector;
    this.errorCode = errorCode;
    this.cr2 = cr2;
  }
}

class Machine {
  readonly codeSize: 32 | 64;
  readonly registers: BigUint64Array;
  rflags: number;
  rip = BigInt(CODE_START);
  readonly memory = new Uint8Array(MEMORY_SIZE);
  readonly code = new Uint8Array(CODE_PAGE_SIZE).fill(INT3);

  constructor(testCase: TestCase) {
    const state = initialState(testCase);
    this.codeSize = testCase.codeSize;
    this.registers = state.registers;
    this.rflags = state.rflags;
    this.memory.set(state.window, WINDOW_OFFSET);
    this.code.set(testCase.code, CODE_START - CODE_PAGE);
  }

  /** Nothing to execute: error code with U, I/D, and P where there is data. */
  fetchFault(): Fault {
    const isData = this.rip >= BigInt(MEMORY_BASE) && this.rip < BigInt(MEMORY_BASE + MEMORY_SIZE);
    return new Fault(VECTOR.PF, isData ? 0x15 : 0x14, this.rip);
  }

  /** The byte at a linear address, or a page fault. */
  locate(linear: bigint, write: boolean): { bytes: Uint8Array; offset: number } {
    const inMemory = Number(linear - BigInt(MEMORY_BASE));
    if (inMemory >= 0 && inMemory < MEMORY_SIZE) return { bytes: this.memory, offset: inMemory };
    const inCode = Number(linear - BigInt(CODE_PAGE));
    if (inCode >= 0 && inCode < CODE_PAGE_SIZE) return { bytes: this.code, offset: inCode };
    throw new Fault(VECTOR.PF, write ? 6 : 4, linear);
  }
}

export class SemanticsEvaluator implements InstructionDriver {
  run(testCase: TestCase): Outcome {
    const machine = new Machine(testCase);
    const finish = (fault?: Fault): Outcome => ({
      registers: machine.registers,
      rip: machine.rip,
      rflags: machine.rflags,
      vector: fault?.vector,
      errorCode: fault?.errorCode ?? 0,
      cr2: fault?.cr2 ?? 0n,
      window: machine.memory.slice(WINDOW_OFFSET, WINDOW_OFFSET + WINDOW_SIZE),
    });
    const instruction = new Instruction();
    try {
      for (;;) {
        const offset = Number(machine.rip - BigInt(CODE_PAGE));
        if (offset < 0 || offset >= CODE_PAGE_SIZE) throw machine.fetchFault();
        if (machine.code[offset] === INT3) return finish();
        const status = decode(machine.code, offset, CODE_PAGE_SIZE, machine.codeSize, instruction);
        if (status !== DecodeStatus.OK) throw new Fault(VECTOR.UD);
        step(machine, instruction);
      }
    } catch (error) {
      if (error instanceof Fault) return finish(error);
      throw error;
    }
  }
}

function step(machine: Machine, instruction: Instruction): void {
  const semantics = semanticsOf(instruction.encoding);
  if (semantics === undefined) throw new Error(`no semantics: ${instruction.encoding.id}`);
  const context = new EvaluatingContext(machine, instruction);
  semantics(context);
  machine.rip = BigInt.asUintN(machine.codeSize, context.nextRip);
}

class EvaluatingContext implements SemanticsContext {
  readonly encoding;
  readonly operandSize;
  readonly addressSize;
  readonly codeSize: 32 | 64;
  readonly flags: FlagsContext;
  readonly nextInstruction: I64;
  nextRip: bigint;
  readonly #machine: Machine;
  readonly #instruction: Instruction;
  readonly #locals = new Locals();

  constructor(machine: Machine, instruction: Instruction) {
    this.#machine = machine;
    this.#instruction = instruction;
    this.encoding = instruction.encoding;
    this.codeSize = machine.codeSize;
    this.operandSize = instruction.operandSize as 16 | 32 | 64;
    this.addressSize = instruction.addressSize as 16 | 32 | 64;
    this.nextRip = machine.rip + BigInt(instruction.length);
    this.nextInstruction = this.#bind(this.nextRip);
    this.flags = evaluatingFlags(machine, (value) => this.#locals.evaluate(value.node));
  }

  get width(): Width {
    const width = this.encoding.operands[0]?.width ?? 0;
    return ([8, 16, 32, 64].includes(width) ? width : this.operandSize) as Width;
  }
  widthOf(index: number): Width {
    return this.#form(index).width as Width;
  }
  isMemory(index: number): boolean {
    return this.#instruction.memoryOperand === index;
  }

  read(index: number): I64 {
    const form = this.#form(index);
    const width = form.width as Width;
    if (this.isMemory(index)) {
      const access = form.access === 'rw' ? 'rw' : 'r';
      return this.reference(index, width, access).read(width);
    }
    if (form.registerClass !== undefined) return this.readRegister(this.#instruction.register(index), width);
    if (form.slot === 'implicit') return this.#bind(1n);
    const immediates = this.encoding.operands.filter(({ slot }) => slot === 'immediate');
    const value =
      immediates.indexOf(form) === 0
        ? this.#instruction.immediate
        : BigInt(this.#instruction.secondImmediate);
    return this.#bind(BigInt.asUintN(width, value));
  }
  readSigned(index: number): I64 {
    return this.let(this.read(index).signExtendFrom(this.widthOf(index)));
  }
  write(index: number, value: I64): void {
    const width = this.widthOf(index);
    if (this.isMemory(index)) this.reference(index, width, 'w').write(width, value);
    else this.writeRegister(this.#instruction.register(index), width, value);
  }
  reference(_index: number, widthInBits: number, access: 'r' | 'w' | 'rw'): MemoryReference {
    return this.#place(this.#linear(this.#rawAddress(), this.#instruction.segment), widthInBits, access);
  }
  address(_index: number): I64 {
    return this.#bind(BigInt.asUintN(this.addressSize, this.#rawAddress()));
  }
  referenceAt(
    _index: number,
    byteDisplacement: I64,
    widthInBits: number,
    access: 'r' | 'w' | 'rw',
  ): MemoryReference {
    const offset = this.#rawAddress() + this.#value(byteDisplacement);
    return this.#place(this.#linear(offset, this.#instruction.segment), widthInBits, access);
  }

  readRegister(register: number, width: Width): I64 {
    const { registers } = this.#machine;
    if (register >= HIGH_BYTE_REGISTER_BASE)
      return this.#bind((registers[register - HIGH_BYTE_REGISTER_BASE]! >> 8n) & 0xffn);
    return this.#bind(BigInt.asUintN(width, registers[register]!));
  }
  writeRegister(register: number, width: Width, value: I64): void {
    const { registers } = this.#machine;
    const low = BigInt.asUintN(width, this.#value(value));
    if (register >= HIGH_BYTE_REGISTER_BASE) {
      const number = register - HIGH_BYTE_REGISTER_BASE;
      registers[number] = (registers[number]! & ~0xff00n) | (low << 8n);
    } else if (width >= 32) registers[register] = low;
    else registers[register] = ((registers[register]! >> BigInt(width)) << BigInt(width)) | low;
  }

  memory(
    segment: number | 'effective',
    offset: I64,
    widthInBits: number,
    access: 'r' | 'w' | 'rw',
  ): MemoryReference {
    const number = segment === 'effective' ? this.#instruction.segmentOverride : segment;
    return this.#place(this.#linear(this.#value(offset), number), widthInBits, access, number);
  }
  push(value: I64, width: Width): void {
    const top = this.#stackPointer(-BigInt(width / 8));
    const stored = this.#value(value);
    this.#place(top, width, 'w', SEGMENT.SS).write(width, this.#bind(stored));
    this.#machine.registers[GPR.RSP] = top;
  }
  peekStack(width: Width, byteOffset = 0): I64 {
    const top = this.#stackPointer(BigInt(byteOffset));
    return this.#place(top, width, 'r', SEGMENT.SS).read(width);
  }
  adjustStack(bytes: I64 | bigint): void {
    const amount = typeof bytes === 'bigint' ? bytes : this.#value(bytes);
    this.#machine.registers[GPR.RSP] = this.#stackPointer(amount);
  }
  #stackPointer(change: bigint): bigint {
    return BigInt.asUintN(this.codeSize, this.#machine.registers[GPR.RSP]! + change);
  }

  let(value: I64): I64 {
    return this.#bind(this.#value(value));
  }
  letCondition(value: I32): I32 {
    return new I32(this.#locals.add(this.#locals.evaluate(value.node)));
  }
  variable(initial: I64): Variable {
    const node = this.#locals.add(this.#value(initial));
    return { get: () => new I64(node), set: (value) => this.#locals.set(node, this.#value(value)) };
  }
  if(condition: I32, whenTrue: () => void, otherwise?: () => void): void {
    if (this.#locals.evaluate(condition.node) !== 0n) whenTrue();
    else otherwise?.();
  }
  raise(vector: number, errorCode?: number): void {
    throw new Fault(vector, errorCode);
  }
  divideUnsigned128(high: I64, low: I64, divisor: I64): { quotient: I64; remainder: I64 } {
    const dividend = (this.#value(high) << 64n) | this.#value(low);
    const by = this.#value(divisor);
    if (this.#value(high) >= by) throw new Error('the quotient does not fit');
    return { quotient: this.#bind(dividend / by), remainder: this.#bind(dividend % by) };
  }

  jumpRelative(): void {
    this.nextRip = BigInt.asUintN(this.operandSize, this.nextRip + this.#instruction.immediate);
  }
  jumpRelativeIf(condition: I32): void {
    if (this.#locals.evaluate(condition.node) !== 0n) this.jumpRelative();
  }
  jump(target: I64): void {
    const rip = BigInt.asUintN(this.operandSize, this.#value(target));
    if (u64(BigInt.asIntN(48, rip)) !== rip) throw new Fault(VECTOR.GP);
    this.nextRip = rip;
  }
  repeat(body: () => void, zeroFlagDecides: boolean): void {
    const { prefixes } = this.#instruction;
    if ((prefixes & (PREFIX.REP | PREFIX.REPNE)) === 0) {
      body();
      return;
    }
    const width = this.addressSize;
    for (;;) {
      const count = this.#value(this.readRegister(GPR.RCX, width));
      if (count === 0n) return;
      body();
      this.writeRegister(GPR.RCX, width, this.#bind(count - 1n));
      const zero = (this.#machine.rflags & RFLAGS.ZF) !== 0;
      if (zeroFlagDecides && zero !== ((prefixes & PREFIX.REP) !== 0)) return;
    }
  }

  #form(index: number): OperandForm {
    return this.encoding.operands[index]!;
  }
  #bind(value: bigint): I64 {
    return new I64(this.#locals.add(u64(value)));
  }
  #value(value: I64): bigint {
    return this.#locals.evaluate(value.node);
  }
  #rawAddress(): bigint {
    const { baseRegister, indexRegister, scale, displacement, displacementHigh } = this.#instruction;
    const { registers } = this.#machine;
    if (this.encoding.operands[this.#instruction.memoryOperand]?.slot === 'offset')
      return (BigInt(displacementHigh) << 32n) | BigInt(displacement >>> 0);
    let sum = BigInt(displacement);
    if (baseRegister === RIP_BASE) sum += this.#machine.rip + BigInt(this.#instruction.length);
    else if (baseRegister >= 0) sum += registers[baseRegister]!;
    if (indexRegister >= 0) sum += registers[indexRegister]! << BigInt(scale);
    return u64(sum);
  }
  #linear(offset: bigint, segment: number): bigint {
    const truncated = BigInt.asUintN(this.addressSize, offset);
    return BigInt.asUintN(this.codeSize, truncated + (segment === SEGMENT.GS ? BigInt(GS_BASE) : 0n));
  }
  #place(
    linear: bigint,
    widthInBits: number,
    access: 'r' | 'w' | 'rw',
    segment: number = this.#instruction.segment,
  ): MemoryReference {
    const size = widthInBits / 8;
    const canonical = (address: bigint): boolean => u64(BigInt.asIntN(48, address)) === address;
    if (!canonical(linear) || !canonical(u64(linear + BigInt(size - 1))))
      throw new Fault(segment === SEGMENT.SS ? VECTOR.SS : VECTOR.GP);
    const places = Array.from({ length: size }, (_, index) =>
      this.#machine.locate(linear + BigInt(index), access !== 'r'),
    );
    return {
      read: (width, byteOffset = 0) => {
        let value = 0n;
        for (let index = width / 8 - 1; index >= 0; index--) {
          const { bytes, offset } = places[byteOffset + index]!;
          value = (value << 8n) | BigInt(bytes[offset]!);
        }
        return this.#bind(value);
      },
      write: (width, value, byteOffset = 0) => {
        const stored = this.#value(value);
        for (let index = 0; index < width / 8; index++) {
          const { bytes, offset } = places[byteOffset + index]!;
          bytes[offset] = Number((stored >> BigInt(8 * index)) & 0xffn);
        }
      },
    };
  }
}
