/**
 * `SemanticsContext` of the interpreter tier: operands are looked up in the decoded record. One handler is a
 * WebAssembly function (record, processor) that ends by a tail call to the next record's handler or by leaving.
 */

import { SEGMENT } from '../../architecture/registers.js';
import { VECTOR } from '../../architecture/vectors.js';
import type { OperandForm } from '../../instruction-set/encoding.js';
import { type I32, type I64, i32, i64 } from '../../wasm/expression.js';
import {
  call64,
  type FunctionBuilder,
  load8Unsigned,
  load16Unsigned,
  load32,
  load64,
} from '../../wasm/function-builder.js';
import type { MemoryReference, SemanticsContext, Variable, Width } from '../semantics/context.js';
import { SEGMENT_FIELD, SEGMENT_STRIDE, STATE } from '../state/layout.js';
import { BlockLinks } from './block-links.js';
import { DIVIDE } from './handler-module.js';
import { LazyFlags } from './lazy-flags.js';
import { leaveWith } from './leave.js';
import { MemoryAccess } from './memory-access.js';
import { ACCESS_SEGMENT, EXIT, RECORD } from './records.js';
import { registerOffset } from './register-offset.js';
import type { Shape } from './shape.js';

const RECORD_PARAMETER = 0;
const PROCESSOR_PARAMETER = 1;

/** Cycles of one iteration of a repeated string instruction. */
const REPEAT_ITERATION_CYCLES = 1n;

export class HandlerContext implements SemanticsContext {
  readonly encoding;
  readonly operandSize;
  readonly addressSize;
  readonly codeSize;
  readonly flags: LazyFlags;
  readonly nextInstruction: I64;

  private readonly shape: Shape;
  private readonly builder: FunctionBuilder;
  private readonly record: I32;
  private readonly processor: I32;
  private readonly access: MemoryAccess;
  private readonly links: BlockLinks;
  private readonly operandAddresses = new Map<number, MemoryReference>();
  private ended = false;

  constructor(builder: FunctionBuilder, shape: Shape) {
    this.builder = builder;
    this.shape = shape;
    this.encoding = shape.encoding;
    this.operandSize = shape.operandSize;
    this.addressSize = shape.addressSize;
    this.codeSize = shape.codeSize;
    this.record = builder.local32(RECORD_PARAMETER);
    this.processor = builder.local32(PROCESSOR_PARAMETER);
    this.flags = new LazyFlags(builder, this.processor);
    this.access = new MemoryAccess(builder, this.record, this.processor);
    this.links = new BlockLinks(builder, this.record, this.processor);
    this.nextInstruction = load64(this.record, RECORD.NEXT_RIP);
  }

  get width(): Width {
    const first = this.encoding.operands[0]?.width ?? 0;
    return (first === 8 || first === 16 || first === 32 || first === 64 ? first : this.operandSize) as Width;
  }

  widthOf(index: number): Width {
    return this.form(index).width as Width;
  }
  isMemory(index: number): boolean {
    return this.shape.memoryOperand === index;
  }

  read(index: number): I64 {
    const form = this.form(index);
    if (this.isMemory(index))
      return this.operandReference(index, form.access === 'rw' ? 'rw' : 'r').read(form.width as Width);
    if (form.registerClass !== undefined)
      return this.builder.bind64(load64(this.registerAddress(index), 0, form.width as Width));
    return this.builder.bind64(this.immediate(form).zeroExtendFrom(form.width === 0 ? 64 : form.width));
  }

  readSigned(index: number): I64 {
    return this.builder.bind64(this.read(index).signExtendFrom(this.widthOf(index)));
  }

  write(index: number, value: I64): void {
    const form = this.form(index);
    const width = form.width as Width;
    if (this.isMemory(index)) {
      this.operandReference(index, form.access === 'rw' ? 'rw' : 'w').write(width, value);
      return;
    }
    this.storeRegister(this.registerAddress(index), 0, width, value);
  }

  reference(_index: number, widthInBits: number, access: 'r' | 'w' | 'rw'): MemoryReference {
    const linear = this.linear(this.rawAddress(), 'operand');
    return this.access.reference(linear, widthInBits, access, ACCESS_SEGMENT.OF_RECORD);
  }

  address(_index: number): I64 {
    return this.builder.bind64(this.rawAddress().zeroExtendFrom(this.addressSize));
  }

  referenceAt(
    _index: number,
    byteDisplacement: I64,
    widthInBits: number,
    access: 'r' | 'w' | 'rw',
  ): MemoryReference {
    return this.access.reference(
      this.linear(this.rawAddress().add(byteDisplacement), 'operand'),
      widthInBits,
      access,
      ACCESS_SEGMENT.OF_RECORD,
    );
  }

  readRegister(register: number, width: Width): I64 {
    return this.builder.bind64(load64(this.processor, registerOffset(register, width), width));
  }
  writeRegister(register: number, width: Width, value: I64): void {
    this.storeRegister(this.processor, registerOffset(register, width), width, value);
  }

  memory(
    segment: number | 'effective',
    offset: I64,
    widthInBits: number,
    access: 'r' | 'w' | 'rw',
  ): MemoryReference {
    const through =
      segment === 'effective'
        ? ACCESS_SEGMENT.OF_RECORD
        : segment === SEGMENT.SS
          ? ACCESS_SEGMENT.STACK
          : ACCESS_SEGMENT.OTHER;
    return this.access.reference(this.linear(offset, segment), widthInBits, access, through);
  }

  push(value: I64, width: Width): void {
    const bound = this.builder.bind64(value);
    const stackPointer = this.builder.bind64(
      load64(this.processor, STATE.GPR + 4 * 8).subtract(BigInt(width / 8)),
    );
    this.memory(SEGMENT.SS, stackPointer, width, 'w').write(width, bound);
    this.builder.store64(this.processor, STATE.GPR + 4 * 8, stackPointer);
  }
  peekStack(width: Width, byteOffset = 0): I64 {
    const stackPointer = load64(this.processor, STATE.GPR + 4 * 8).add(BigInt(byteOffset));
    return this.memory(SEGMENT.SS, stackPointer, width, 'r').read(width);
  }
  adjustStack(bytes: I64 | bigint): void {
    const stackPointer = load64(this.processor, STATE.GPR + 4 * 8);
    this.builder.store64(this.processor, STATE.GPR + 4 * 8, stackPointer.add(bytes));
  }

  let(value: I64): I64 {
    return this.builder.bind64(value);
  }
  letCondition(value: I32): I32 {
    return this.builder.bind32(value);
  }
  variable(initial: I64): Variable {
    const index = this.builder.newLocal('i64');
    this.builder.setLocal(index, initial);
    return {
      get: () => this.builder.local64(index),
      set: (value) => this.builder.setLocal(index, value),
    };
  }
  if(condition: I32, whenTrue: () => void, otherwise?: () => void): void {
    this.builder.if(condition, whenTrue, otherwise);
  }

  raise(vector: number, errorCode?: number): void {
    const { builder, processor } = this;
    builder.store32(processor, STATE.FAULT_VECTOR, i32(vector));
    builder.store32(processor, STATE.FAULT_ERROR_CODE, i32(errorCode ?? -1));
    this.leave(EXIT.FAULT);
  }

  divideUnsigned128(high: I64, low: I64, divisor: I64): { quotient: I64; remainder: I64 } {
    const quotient = this.builder.bind64(call64(DIVIDE, [this.processor, high, low, divisor]));
    const remainder = this.builder.bind64(load64(this.processor, STATE.DIVISION_REMAINDER));
    return { quotient, remainder };
  }

  jumpRelative(): void {
    this.commitThenContinueAt(() => load64(this.record, RECORD.IMMEDIATE));
    this.links.follow(this.shape.takenLink, 'taken');
    this.ended = true;
  }

  jumpRelativeIf(condition: I32): void {
    this.builder.if(
      condition,
      () => this.links.follow(this.shape.takenLink, 'taken'),
      () => this.links.follow(this.shape.nextLink, 'next'),
    );
    this.ended = true;
  }

  jump(target: I64): void {
    const { builder, processor } = this;
    const rip = builder.bind64(target.zeroExtendFrom(this.operandSize));
    if (this.operandSize === 64) {
      const canonical = rip.shiftLeft(16n).shiftRightSigned(16n);
      builder.if(canonical.notEquals(rip), () => this.raise(VECTOR.GP, 0));
    }
    this.commitThenContinueAt(() => rip);
    builder.store64(processor, STATE.RIP, rip);
    this.links.lookUp(rip);
    this.ended = true;
  }

  repeat(body: () => void, zeroFlagDecides: boolean): void {
    if (this.shape.repeat === 'none') {
      body();
      return;
    }
    const { builder, processor } = this;
    const countWidth = this.addressSize as Width;
    const count = this.readRegister(1, countWidth);
    builder.if(count.isZero(), () => this.links.nextRecord());
    body();
    this.writeRegister(1, countWidth, count.subtract(1n));
    const budget = builder.bind64(load64(processor, STATE.BUDGET).subtract(REPEAT_ITERATION_CYCLES << 32n));
    builder.store64(processor, STATE.BUDGET, budget);
    let done = count.equals(1n);
    if (zeroFlagDecides)
      done = done.or(this.shape.repeat === 'repe' ? this.flags.zero().not() : this.flags.zero());
    const finished = builder.bind32(done);
    // A write into code must be seen by the next iteration's caller, too: leave after this one.
    this.access.commit((left) =>
      builder.if(left, () => {
        builder.if(
          finished,
          () => this.leaveCompleted(this.nextInstruction),
          () => this.leave(EXIT.AGAIN),
        );
      }),
    );
    builder.if(finished, () => this.links.nextRecord());
    builder.if(budget.lessThanSigned(0x1_0000_0000n), () => this.leave(EXIT.AGAIN));
    this.links.sameRecord();
    this.ended = true;
  }

  /** Ends the handler where the semantics has not done so. @returns whether it leads to another block */
  finish(): boolean {
    if (this.ended) return this.shape.repeat === 'none';
    this.commitThenContinueAt(() => this.nextInstruction);
    this.links.nextRecord();
    return false;
  }

  private commitThenContinueAt(rip: () => I64): void {
    this.access.commit((left) => this.builder.if(left, () => this.leaveCompleted(rip())));
  }

  private leaveCompleted(rip: I64): void {
    this.builder.store64(this.processor, STATE.RIP, rip);
    this.leave(EXIT.COMPLETED);
  }

  private leave(reason: number): void {
    leaveWith(this.builder, this.record, this.processor, reason);
  }

  private form(index: number): OperandForm {
    return this.encoding.operands[index]!;
  }

  /** Address of the register of operand `index` in the processor block. */
  private registerAddress(index: number): I32 {
    return this.processor.add(load16Unsigned(this.record, RECORD.REGISTER[index]!));
  }

  private storeRegister(address: I32, offset: number, width: Width, value: I64): void {
    if (width === 32) this.builder.store64(address, offset, value.zeroExtendFrom(32));
    else this.builder.store64(address, offset, value, width);
  }

  private immediate(form: OperandForm): I64 {
    if (form.slot === 'implicit') return i64(1n);
    const first = this.encoding.operands.findIndex((f) => f.slot === 'immediate');
    if (this.encoding.operands.indexOf(form) === first) return load64(this.record, RECORD.IMMEDIATE);
    return load32(this.record, RECORD.SECOND_IMMEDIATE).extendUnsigned();
  }

  private operandReference(index: number, access: 'r' | 'w' | 'rw'): MemoryReference {
    const known = this.operandAddresses.get(index);
    if (known !== undefined) return known;
    const reference = this.reference(index, this.form(index).width, access);
    this.operandAddresses.set(index, reference);
    return reference;
  }

  /** Base + index + displacement, not truncated. */
  private rawAddress(): I64 {
    const { record, processor } = this;
    const base = this.shape.ripRelative
      ? this.nextInstruction
      : load64(processor.add(load16Unsigned(record, RECORD.BASE)), 0);
    const displacement = load32(record, RECORD.DISPLACEMENT).extendSigned();
    if (this.encoding.operands[this.shape.memoryOperand]?.slot === 'offset')
      return load64(record, RECORD.IMMEDIATE);
    const sum = base.add(displacement);
    if (!this.shape.indexed) return sum;
    const index = load64(processor.add(load16Unsigned(record, RECORD.INDEX)), 0);
    return sum.add(index.shiftLeft(load8Unsigned(record, RECORD.SCALE).extendUnsigned()));
  }

  private linear(offset: I64, segment: number | 'effective' | 'operand'): I64 {
    // The stack's address size is that of the stack segment, whatever the address-size prefix says.
    const truncated =
      segment === SEGMENT.SS && this.codeSize === 64 ? offset : offset.zeroExtendFrom(this.addressSize);
    if (segment === 'operand' || segment === 'effective') {
      if (!this.shape.segmented) return truncated;
      return truncated.add(load64(this.processor.add(load16Unsigned(this.record, RECORD.SEGMENT_BASE)), 0));
    }
    if (this.codeSize === 64 && segment !== SEGMENT.FS && segment !== SEGMENT.GS) return truncated;
    const base = STATE.SEGMENTS + segment * SEGMENT_STRIDE + SEGMENT_FIELD.BASE;
    return truncated.add(load64(this.processor, base));
  }
}
