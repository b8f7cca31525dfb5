/** The x87 registers, kept in the processor's FXSAVE area: ST(0) first, so that a push or pop moves all of them. */

import { FCW_DEFINED, FCW_FIXED, FSW, FXSAVE, REGISTER_STRIDE } from '../../architecture/floating-point.js';
import { STATE } from '../state/layout.js';
import type { ProcessorState } from '../state/processor-state.js';

/** An 80-bit value: 64-bit significand, and sign with 15-bit exponent. */
export interface Extended {
  readonly significand: bigint;
  /** Bit 15 is the sign. */
  readonly signExponent: number;
}

/** The QNaN that masked invalid operations deliver. */
export const INDEFINITE: Extended = { significand: 0xc000000000000000n, signExponent: 0xffff };

const BASE = STATE.FXSAVE_IMAGE;
const REGISTERS = BASE + FXSAVE.ST;
const REGISTERS_SIZE = 8 * REGISTER_STRIDE;

export class X87State {
  private readonly state: ProcessorState;
  constructor(state: ProcessorState) {
    this.state = state;
  }

  get controlWord(): number {
    return this.state.view.getUint16(BASE + FXSAVE.CONTROL_WORD, true);
  }
  /** Setting it may make an exception pending that was masked (SDM Vol. 1, 8.1.5). */
  set controlWord(value: number) {
    const word = (value & FCW_DEFINED) | FCW_FIXED;
    this.state.view.setUint16(BASE + FXSAVE.CONTROL_WORD, word, true);
    this.summarize();
  }
  get statusWord(): number {
    return this.state.view.getUint16(BASE + FXSAVE.STATUS_WORD, true);
  }
  set statusWord(value: number) {
    this.state.view.setUint16(BASE + FXSAVE.STATUS_WORD, value, true);
    this.summarize();
  }
  get top(): number {
    return (this.statusWord >> FSW.TOP_SHIFT) & 7;
  }
  /** One bit per physical register, 1 = not empty. */
  get tags(): number {
    return this.state.view.getUint8(BASE + FXSAVE.TAGS);
  }
  set tags(value: number) {
    this.state.view.setUint8(BASE + FXSAVE.TAGS, value);
  }
  /** An unmasked exception waits for the next waiting instruction. */
  get isExceptionPending(): boolean {
    return (this.statusWord & FSW.ES) !== 0;
  }

  isEmpty(index: number): boolean {
    return ((this.tags >> ((this.top + index) & 7)) & 1) === 0;
  }
  setEmpty(index: number, empty: boolean): void {
    const bit = 1 << ((this.top + index) & 7);
    this.tags = empty ? this.tags & ~bit : this.tags | bit;
  }

  read(index: number): Extended {
    const offset = REGISTERS + index * REGISTER_STRIDE;
    return {
      significand: this.state.view.getBigUint64(offset, true),
      signExponent: this.state.view.getUint16(offset + 8, true),
    };
  }
  write(index: number, value: Extended): void {
    const offset = REGISTERS + index * REGISTER_STRIDE;
    this.state.view.setBigUint64(offset, value.significand, true);
    this.state.view.setUint16(offset + 8, value.signExponent, true);
  }

  /** Sets condition bits; `bits` is a combination of FSW.C0 … C3. */
  setConditions(bits: number): void {
    this.statusWord = (this.statusWord & ~(FSW.C0 | FSW.C1 | FSW.C2 | FSW.C3)) | bits;
  }
  setC1(set: boolean): void {
    this.statusWord = set ? this.statusWord | FSW.C1 : this.statusWord & ~FSW.C1;
  }

  /** Records exceptions; true when all of them are masked and the default response is to be delivered. */
  signal(exceptions: number): boolean {
    this.statusWord |= exceptions;
    return (exceptions & FSW.EXCEPTIONS & ~this.controlWord) === 0;
  }

  /** Stack fault: invalid operation with SF, C1 telling overflow from underflow. True when masked. */
  signalStackFault(overflow: boolean): boolean {
    this.setC1(overflow);
    return this.signal(FSW.IE | FSW.SF);
  }

  /** Moves TOP without touching tags: down for a push (-1), up for a pop (+1); registers keep their places. */
  rotate(direction: -1 | 1): void {
    const bytes = this.state.bytes.subarray(REGISTERS, REGISTERS + REGISTERS_SIZE);
    if (direction < 0) {
      const last = bytes.slice(REGISTERS_SIZE - REGISTER_STRIDE);
      bytes.copyWithin(REGISTER_STRIDE, 0, REGISTERS_SIZE - REGISTER_STRIDE);
      bytes.set(last, 0);
    } else {
      const first = bytes.slice(0, REGISTER_STRIDE);
      bytes.copyWithin(0, REGISTER_STRIDE);
      bytes.set(first, REGISTERS_SIZE - REGISTER_STRIDE);
    }
    const top = (this.top + direction) & 7;
    this.statusWord = (this.statusWord & ~(7 << FSW.TOP_SHIFT)) | (top << FSW.TOP_SHIFT);
  }

  /** Pushes a value; a full stack gives the indefinite value when masked, and nothing otherwise. */
  push(value: Extended): void {
    let pushed = value;
    if (!this.isEmpty(7)) {
      if (!this.signalStackFault(true)) return;
      pushed = INDEFINITE;
    } else this.setC1(false);
    this.rotate(-1);
    this.write(0, pushed);
    this.setEmpty(0, false);
  }

  /** Drops ST(0). */
  pop(): void {
    this.setEmpty(0, true);
    this.rotate(1);
  }

  setInstructionPointer(rip: bigint): void {
    this.state.write64(BASE + FXSAVE.INSTRUCTION_POINTER, rip);
  }
  setDataPointer(address: bigint): void {
    this.state.write64(BASE + FXSAVE.DATA_POINTER, address);
  }
  get instructionPointer(): bigint {
    return this.state.read64(BASE + FXSAVE.INSTRUCTION_POINTER);
  }
  get dataPointer(): bigint {
    return this.state.read64(BASE + FXSAVE.DATA_POINTER);
  }
  get opcode(): number {
    return this.state.view.getUint16(BASE + FXSAVE.OPCODE, true) & 0x7ff;
  }
  set opcode(value: number) {
    this.state.view.setUint16(BASE + FXSAVE.OPCODE, value & 0x7ff, true);
  }

  /** ES and B say whether an exception flag is set that the control word does not mask. */
  private summarize(): void {
    const word = this.statusWord;
    const pending = (word & FSW.EXCEPTIONS & ~this.controlWord) !== 0;
    const next = pending ? word | FSW.ES | FSW.B : word & ~(FSW.ES | FSW.B);
    this.state.view.setUint16(BASE + FXSAVE.STATUS_WORD, next, true);
  }
}
