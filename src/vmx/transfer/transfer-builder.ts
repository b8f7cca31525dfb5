/**
 * The language in which the transfers of state are written: fields of the VMCS region on one side, registers of the
 * processor's block on the other. Both lie in one linear memory, so that VM entry and VM exit are straight-line
 * WebAssembly, with every offset known when it is made.
 */

import { LazyFlags } from '../../processor/engine/lazy-flags.js';
import { STATE } from '../../processor/state/layout.js';
import { type I32, type I64, i32, i64 } from '../../wasm/expression.js';
import { FunctionBuilder, load32, load64, load128 } from '../../wasm/function-builder.js';
import { FIELD_GROUP, has64Bits, SLOT } from '../vmcs-layout.js';
import type { Place } from './guest-places.js';

/** First parameters of every function: addresses in linear memory. */
const BLOCK = 0;
const REGION = 1;

/** Byte offset of RSP in the processor's block. */
export const RSP_OFFSET = STATE.GPR + 4 * 8;

/** Mask of a load of RFLAGS as a whole. */
export const ALL_FLAGS = -1;

/** Bits 31 to `lowest` of the upper half of an address are neither all 0 nor all 1. */
export const areNotAlike = (high: I32, lowest: number): I32 =>
  high.shiftRightSigned(lowest).add(1).greaterThanUnsigned(1);

const slotOf = (field: number): number => SLOT[field]! * 4;

export class TransferBuilder {
  readonly builder: FunctionBuilder;
  readonly flags: LazyFlags;
  private readonly block: I32;
  private readonly region: I32;
  /** Locals that collect the differences of fields saved so far, by the `GROUP` bits that they mark. */
  private readonly differences = new Map<number, number>();

  /** @param parameterCount the processor's block and the VMCS region among them */
  constructor(parameterCount: number) {
    this.builder = new FunctionBuilder(parameterCount);
    this.block = this.builder.local32(BLOCK);
    this.region = this.builder.local32(REGION);
    this.flags = new LazyFlags(this.builder, this.block);
  }

  /** A parameter behind block and region, by its number from 0. */
  parameter(index: number): I32 {
    return this.builder.local32(REGION + 1 + index);
  }

  /** The low 32 bits of a field. */
  field(field: number): I32 {
    return load32(this.region, slotOf(field));
  }
  /** The upper half of a field with 64 bits. */
  fieldHigh(field: number): I32 {
    return load32(this.region, slotOf(field) + 4);
  }
  fieldWide(field: number): I64 {
    return load64(this.region, slotOf(field));
  }
  /** The low 32 bits at an offset in the block. */
  register(offset: number): I32 {
    return load32(this.block, offset);
  }
  registerWide(offset: number): I64 {
    return load64(this.block, offset);
  }

  setRegister(offset: number, value: I32 | number): void {
    this.builder.store32(this.block, offset, typeof value === 'number' ? i32(value) : value);
  }
  setRegisterWide(offset: number, value: I64 | bigint): void {
    this.builder.store64(this.block, offset, typeof value === 'bigint' ? i64(value) : value);
  }
  load({ field, offset, bits }: Place): void {
    if (bits === 128) this.builder.store128(this.block, offset, load128(this.region, slotOf(field)));
    else if (bits === 64) this.setRegisterWide(offset, this.fieldWide(field));
    else this.setRegister(offset, this.field(field));
  }
  /** Loads a register with a field, as wide as the field is. */
  loadRegister(offset: number, field: number): void {
    if (has64Bits(field)) this.setRegisterWide(offset, this.fieldWide(field));
    else this.setRegister(offset, this.field(field));
  }

  /** Saves a value in a field of up to 32 bits; `groups` are marked if that changes it. */
  saveField(field: number, value: I32, groups: number = FIELD_GROUP[field]!): void {
    const saved = this.builder.bind32(value);
    this.noteDifference(groups, this.field(field).xor(saved).extendUnsigned());
    this.builder.store32(this.region, slotOf(field), saved);
  }
  saveFieldWide(field: number, value: I64): void {
    const saved = this.builder.bind64(value);
    this.noteDifference(FIELD_GROUP[field]!, this.fieldWide(field).xor(saved));
    this.builder.store64(this.region, slotOf(field), saved);
  }
  /** Saves a register in a field, as wide as the field is. */
  saveRegister(field: number, offset: number): void {
    if (has64Bits(field)) this.saveFieldWide(field, this.registerWide(offset));
    else this.saveField(field, this.register(offset));
  }
  /** Saves registers of one group that seldom change: all are compared before the first is stored. */
  saveIfAnyDiffers(groups: number, places: readonly Place[]): void {
    const differs = this.builder.bind32(this.differs(places));
    this.noteDifference(groups, differs.extendUnsigned());
    this.builder.if(differs, () => {
      for (const place of places) this.save(place);
    });
  }

  private differs(places: readonly Place[]): I32 {
    const wide = places
      .filter(({ bits }) => bits === 128)
      .map(({ field, offset }) => load128(this.region, slotOf(field)).xor(load128(this.block, offset)));
    const narrow = places
      .filter(({ bits }) => bits !== 128)
      .map(({ field, offset, bits }) =>
        bits === 64
          ? this.fieldWide(field).xor(this.registerWide(offset))
          : this.field(field).xor(this.register(offset)).extendUnsigned(),
      );
    const parts: I32[] = [];
    if (wide.length > 0) parts.push(wide.reduce((all, one) => all.or(one)).isAnyTrue());
    if (narrow.length > 0) parts.push(narrow.reduce((all, one) => all.or(one)).notEquals(0n));
    return parts.reduce((all, one) => all.or(one));
  }

  private save({ field, offset, bits }: Place): void {
    const slot = slotOf(field);
    if (bits === 128) this.builder.store128(this.region, slot, load128(this.block, offset));
    else if (bits === 64) this.builder.store64(this.region, slot, this.registerWide(offset));
    else this.builder.store32(this.region, slot, this.register(offset));
  }
  /** Stores a value of which nothing has to be marked. */
  setField(field: number, value: I32): void {
    this.builder.store32(this.region, slotOf(field), value);
  }

  /** `groups` are marked unless `difference` is zero. */
  noteDifference(groups: number, difference: I64): void {
    const known = this.differences.get(groups);
    if (known !== undefined) {
      this.builder.setLocal(known, this.builder.local64(known).or(difference));
      return;
    }
    const local = this.builder.newLocal('i64');
    this.builder.setLocal(local, difference);
    this.differences.set(groups, local);
  }

  /** The groups that differences were noted for. */
  differing(): I32 {
    let groups = i32(0);
    for (const [bits, local] of this.differences)
      groups = groups.or(i32(0).subtract(this.builder.local64(local).notEquals(0n)).and(bits));
    return groups;
  }
}
