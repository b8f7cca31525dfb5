/** The architectural state of one processor, read and written in its block of linear memory. */

import { SEGMENT } from '../../architecture/registers.js';
import { ARITHMETIC_FLAGS, RFLAGS } from '../../architecture/rflags.js';
import { PROCESSOR_BLOCK_SIZE, SEGMENT_FIELD, SEGMENT_STRIDE, STATE } from './layout.js';

/** Indices in `ProcessorState.words`. */
const FIRST_GPR = STATE.GPR >> 2;
const RIP_LOW = STATE.RIP >> 2;
const RFLAGS_OTHER = STATE.RFLAGS_OTHER >> 2;
const STACK_RIGHTS = (STATE.SEGMENTS + SEGMENT.SS * SEGMENT_STRIDE + SEGMENT_FIELD.ACCESS_RIGHTS) >> 2;

/** A segment register with its hidden part. */
export class SegmentRegister {
  private readonly view: DataView;
  private readonly offset: number;
  constructor(view: DataView, offset: number) {
    this.view = view;
    this.offset = offset;
  }

  get selector(): number {
    return this.view.getUint16(this.offset + SEGMENT_FIELD.SELECTOR, true);
  }
  set selector(value: number) {
    this.view.setUint16(this.offset + SEGMENT_FIELD.SELECTOR, value, true);
  }
  get base(): bigint {
    return this.view.getBigUint64(this.offset + SEGMENT_FIELD.BASE, true);
  }
  set base(value: bigint) {
    this.view.setBigUint64(this.offset + SEGMENT_FIELD.BASE, value, true);
  }
  /** Limit in bytes (granularity applied), unsigned. */
  get limit(): number {
    return this.view.getUint32(this.offset + SEGMENT_FIELD.LIMIT, true);
  }
  set limit(value: number) {
    this.view.setUint32(this.offset + SEGMENT_FIELD.LIMIT, value, true);
  }
  /** VMCS format: type 3:0, S 4, DPL 6:5, P 7, AVL 12, L 13, D/B 14, G 15, unusable 16 (SDM Vol. 3C, Table 24-2). */
  get accessRights(): number {
    return this.view.getUint32(this.offset + SEGMENT_FIELD.ACCESS_RIGHTS, true);
  }
  set accessRights(value: number) {
    this.view.setUint32(this.offset + SEGMENT_FIELD.ACCESS_RIGHTS, value, true);
  }
  get unusable(): boolean {
    return (this.accessRights & 0x10000) !== 0;
  }
}

export class ProcessorState {
  /** Linear-memory address of the block. */
  readonly address: number;
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** The block as 32-bit words: index = byte offset / 4. */
  readonly words: Int32Array;
  private readonly segments: readonly SegmentRegister[];

  constructor(memory: WebAssembly.Memory, address: number) {
    this.address = address;
    this.bytes = new Uint8Array(memory.buffer, address, PROCESSOR_BLOCK_SIZE);
    this.view = new DataView(memory.buffer, address, PROCESSOR_BLOCK_SIZE);
    this.words = new Int32Array(memory.buffer, address, PROCESSOR_BLOCK_SIZE >> 2);
    this.segments = Array.from(
      { length: 8 },
      (_, n) => new SegmentRegister(this.view, STATE.SEGMENTS + n * SEGMENT_STRIDE),
    );
  }

  /** General-purpose register as an unsigned 64-bit value. */
  readGpr(number: number): bigint {
    return this.view.getBigUint64(STATE.GPR + number * 8, true);
  }
  writeGpr(number: number, value: bigint): void {
    this.view.setBigUint64(STATE.GPR + number * 8, value, true);
  }
  /** The low 32 bits, unsigned. */
  readGpr32(number: number): number {
    return this.words[FIRST_GPR + number * 2]! >>> 0;
  }
  /** Writes the low 32 bits and clears the upper half. */
  writeGpr32(number: number, value: number): void {
    this.view.setUint32(STATE.GPR + number * 8, value, true);
    this.view.setUint32(STATE.GPR + number * 8 + 4, 0, true);
  }
  /** Writes the low 8 or 16 bits, keeping the rest. */
  writeGprLow(number: number, width: 8 | 16, value: number): void {
    if (width === 8) this.view.setUint8(STATE.GPR + number * 8, value);
    else this.view.setUint16(STATE.GPR + number * 8, value, true);
  }

  get rip(): bigint {
    return this.view.getBigUint64(STATE.RIP, true);
  }
  set rip(value: bigint) {
    this.view.setBigUint64(STATE.RIP, value, true);
  }

  /** Adds the length of an instruction to RIP; outside of 64-bit mode its upper half stays. */
  advanceRip(length: number, wide: boolean): void {
    const { words } = this;
    const before = words[RIP_LOW]!;
    const next = before + length;
    words[RIP_LOW] = next;
    // The unsigned low half has wrapped around when the signed one went from negative to positive.
    if (wide && before < 0 && next >= 0) words[RIP_LOW + 1]!++;
  }

  segment(number: number): SegmentRegister {
    return this.segments[number]!;
  }
  /** Current privilege level: the DPL of SS (SDM Vol. 3C, 24.4.1), which VMX keeps valid. */
  get cpl(): number {
    return (this.words[STACK_RIGHTS]! >> 5) & 3;
  }

  /** RFLAGS with the lazy arithmetic flags worked out. Unsigned 32 bits. */
  get rflags(): number {
    const resultLow = this.view.getUint32(STATE.FLAG_RESULT, true);
    const resultHigh = this.view.getInt32(STATE.FLAG_RESULT + 4, true);
    const carriesLow = this.view.getUint32(STATE.FLAG_CARRIES, true);
    const carriesHigh = this.view.getInt32(STATE.FLAG_CARRIES + 4, true);
    let parity = resultLow & 0xff;
    parity ^= parity >> 4;
    parity ^= parity >> 2;
    parity ^= parity >> 1;
    const zero = ((resultLow | resultHigh) === 0 ? 1 : 0) ^ (carriesLow & 1);
    const sign = (resultHigh < 0 ? 1 : 0) ^ ((carriesLow >> 1) & 1);
    const even = (~parity & 1) ^ ((carriesLow >> 2) & 1);
    const carry = carriesHigh >>> 31;
    const overflow = carry ^ ((carriesHigh >>> 30) & 1);
    return (
      (this.view.getUint32(STATE.RFLAGS_OTHER, true) |
        carry |
        (even << 2) |
        (((carriesLow >> 3) & 1) << 4) |
        (zero << 6) |
        (sign << 7) |
        (overflow << 11)) >>>
      0
    );
  }
  set rflags(value: number) {
    const carry = value & 1;
    const overflow = (value >> 11) & 1;
    const zero = (value >> 6) & 1;
    const sign = (value >> 7) & 1;
    const parity = (value >> 2) & 1;
    // Stored as result 1 (ZF 0, SF 0, PF 0) with corrections for what is set.
    this.view.setUint32(STATE.FLAG_RESULT, 1, true);
    this.view.setUint32(STATE.FLAG_RESULT + 4, 0, true);
    this.view.setUint32(
      STATE.FLAG_CARRIES,
      zero | (sign << 1) | (parity << 2) | (((value >> 4) & 1) << 3),
      true,
    );
    this.view.setInt32(STATE.FLAG_CARRIES + 4, (carry << 31) | ((carry ^ overflow) << 30), true);
    this.view.setUint32(STATE.RFLAGS_OTHER, (value & ~ARITHMETIC_FLAGS) | RFLAGS.FIXED, true);
  }
  /** RFLAGS.IF without working out the arithmetic flags. */
  get interruptsEnabled(): boolean {
    return (this.words[RFLAGS_OTHER]! & RFLAGS.IF) !== 0;
  }

  /** A 64-bit field of the block by its `STATE` offset, unsigned. */
  read64(offset: number): bigint {
    return this.view.getBigUint64(offset, true);
  }
  write64(offset: number, value: bigint): void {
    this.view.setBigUint64(offset, value, true);
  }
  /** The low half of a field, unsigned. */
  read32(offset: number): number {
    return this.view.getUint32(offset, true);
  }
  write32(offset: number, value: number): void {
    this.view.setUint32(offset, value, true);
  }

  /** Control registers whose upper half is always zero, as unsigned numbers. */
  get cr0(): number {
    return this.read32(STATE.CR0);
  }
  set cr0(value: number) {
    this.write32(STATE.CR0, value);
  }
  get cr4(): number {
    return this.read32(STATE.CR4);
  }
  set cr4(value: number) {
    this.write32(STATE.CR4, value);
  }
  get efer(): number {
    return this.read32(STATE.EFER);
  }
  set efer(value: number) {
    this.write32(STATE.EFER, value);
  }
  get cr2(): bigint {
    return this.read64(STATE.CR2);
  }
  set cr2(value: bigint) {
    this.write64(STATE.CR2, value);
  }
  get cr3(): bigint {
    return this.read64(STATE.CR3);
  }
  set cr3(value: bigint) {
    this.write64(STATE.CR3, value);
  }
}
