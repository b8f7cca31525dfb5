/** The current VMCS: its fields, read and written where they lie in host-physical memory. */

import {
  FIELD_TYPE,
  FIELD_WIDTH,
  fieldName,
  fieldType,
  fieldWidth,
  isHighAccess,
} from '../architecture/vmx/vmcs-fields.js';
import type { PhysicalMemory } from '../memory/physical-memory.js';
import { ALL_GROUPS, FIELD_GROUP, has64Bits, REGION_WORD, SLOT } from './vmcs-layout.js';

/** The VMX interface was used in a way that no processor could answer. A mistake of the caller, not of a guest. */
export class VmxMisuseError extends Error {
  readonly code = 'vmx-misuse';
  constructor(message: string) {
    super(message);
    this.name = 'VmxMisuseError';
  }
}

const TWO_TO_32 = 0x100000000;

/** Slot of a field, -1 for none: encodings with bit 0 set have no slot of their own. */
const slotOf = (encoding: number): number => (encoding >= 0 && encoding < SLOT.length ? SLOT[encoding]! : -1);

function refuse(what: string, encoding: number): never {
  throw new VmxMisuseError(`${what} ${fieldName(encoding)}`);
}

export class Vmcs {
  /** All of RAM as 32-bit words. */
  readonly words: Int32Array;
  /** Index in `words` of the current region; -1 without current VMCS. */
  base = -1;
  /** `GROUP` bits of which a field changed since the checks that look at it passed. */
  dirty: number = ALL_GROUPS;

  /** Index of RAM within the linear memory, in words. */
  private readonly ramWord: number;

  constructor(memory: PhysicalMemory) {
    this.ramWord = memory.bytes.byteOffset >> 2;
    this.words = new Int32Array(memory.bytes.buffer, memory.bytes.byteOffset, memory.sizeInBytes >> 2);
  }

  /** Address of the current region in linear memory. */
  get address(): number {
    return (this.ramWord + this.base) * 4;
  }

  /** Low 32 bits of a field as a signed number; fields are given by their encoding with bit 0 clear. */
  low(field: number): number {
    return this.words[this.base + SLOT[field]!]!;
  }
  /** Low 32 bits, unsigned. */
  unsigned(field: number): number {
    return this.words[this.base + SLOT[field]!]! >>> 0;
  }
  /** High 32 bits of a 64-bit field, signed. */
  high(field: number): number {
    return this.words[this.base + SLOT[field]! + 1]!;
  }
  /** Value of a field, unsigned. */
  value(field: number): bigint {
    const word = this.base + SLOT[field]!;
    const low = BigInt(this.words[word]! >>> 0);
    return has64Bits(field) ? (BigInt(this.words[word + 1]! >>> 0) << 32n) | low : low;
  }
  /** Value of a 64-bit field as a number; exact below 2^53, which holds for physical addresses. */
  number(field: number): number {
    const word = this.base + SLOT[field]!;
    return (this.words[word + 1]! >>> 0) * TWO_TO_32 + (this.words[word]! >>> 0);
  }

  /** Writes a 16- or 32-bit field, whatever its access; marks the field's group if it changes. */
  store32(field: number, value: number): void {
    this.storeWord(field, SLOT[field]!, value);
  }
  /** Writes both halves of a 64-bit field. */
  store64(field: number, low: number, high: number): void {
    this.storePair(field, SLOT[field]!, low, high);
  }

  header(word: number): number {
    return this.words[this.base + word]!;
  }
  setLaunchState(state: number): void {
    this.words[this.base + REGION_WORD.LAUNCH_STATE] = state;
  }

  /** True when VMREAD and VMWRITE know the encoding (SDM Vol. 3C, 24.11.2). */
  static supports(encoding: number): boolean {
    if (encoding < 0 || encoding >= SLOT.length) return false;
    if (SLOT[encoding & ~1]! < 0) return false;
    return !isHighAccess(encoding) || fieldWidth(encoding) === FIELD_WIDTH.BITS_64;
  }

  static isReadOnly(encoding: number): boolean {
    return fieldType(encoding) === FIELD_TYPE.READ_ONLY_DATA;
  }

  /** What VMREAD gives for a supported encoding: zero-extended. */
  read(encoding: number): bigint {
    return isHighAccess(encoding) ? BigInt(this.high(encoding & ~1) >>> 0) : this.value(encoding);
  }

  /** What VMWRITE does for a supported, writable encoding: the value is truncated to the field's width. */
  write(encoding: number, value: bigint): void {
    const low = Number(value & 0xffffffffn);
    const field = encoding & ~1;
    if (isHighAccess(encoding)) this.store64(field, this.low(field), low);
    else this.storeTruncated(field, SLOT[field]!, low, Number((value >> 32n) & 0xffffffffn));
  }

  readNumber(encoding: number): number {
    const slot = slotOf(encoding);
    if (slot < 0) refuse('VMREAD of unsupported field', encoding);
    const word = this.base + slot;
    const low = this.words[word]! >>> 0;
    if (!has64Bits(encoding)) return low;
    const high = this.words[word + 1]! >>> 0;
    if (high === 0) return low;
    if (high > 0x1fffff)
      throw new VmxMisuseError(`${fieldName(encoding)} has more than 53 bits: read it as a bigint`);
    return high * TWO_TO_32 + low;
  }

  writeNumber(encoding: number, value: number): void {
    const slot = slotOf(encoding);
    if (slot < 0) refuse('VMWRITE of unsupported field', encoding);
    if (Vmcs.isReadOnly(encoding)) refuse('VMWRITE of read-only field', encoding);
    if (value >>> 0 === value) this.storeTruncated(encoding, slot, value | 0, 0);
    else this.storeLarge(encoding, slot, value);
  }
  private storeLarge(encoding: number, slot: number, value: number): void {
    if (!Number.isSafeInteger(value) || value < 0)
      throw new VmxMisuseError(`VMWRITE of ${value} to ${fieldName(encoding)}: not an unsigned integer`);
    this.storeTruncated(encoding, slot, value % TWO_TO_32, Math.floor(value / TWO_TO_32));
  }

  /** A field of 64 bits as two words, low one first. */
  readWords(encoding: number, words: Int32Array): void {
    const slot = slotOf(encoding);
    if (slot < 0 || !has64Bits(encoding)) refuse('VMREAD in two words of unsuitable field', encoding);
    const word = this.base + slot;
    words[0] = this.words[word]!;
    words[1] = this.words[word + 1]!;
  }
  writeWords(encoding: number, words: Int32Array): void {
    const slot = slotOf(encoding);
    if (slot < 0 || !has64Bits(encoding) || Vmcs.isReadOnly(encoding))
      refuse('VMWRITE in two words of unsuitable field', encoding);
    this.storePair(encoding, slot, words[0]!, words[1]!);
  }

  private storeTruncated(field: number, slot: number, low: number, high: number): void {
    if (has64Bits(field)) this.storePair(field, slot, low, high);
    else this.storeWord(field, slot, fieldWidth(field) === FIELD_WIDTH.BITS_16 ? low & 0xffff : low);
  }

  private storeWord(field: number, slot: number, value: number): void {
    const word = this.base + slot;
    if (this.words[word] === (value | 0)) return;
    this.words[word] = value;
    this.dirty |= FIELD_GROUP[field]!;
  }
  private storePair(field: number, slot: number, low: number, high: number): void {
    const word = this.base + slot;
    if (this.words[word] === (low | 0) && this.words[word + 1] === (high | 0)) return;
    this.words[word] = low;
    this.words[word + 1] = high;
    this.dirty |= FIELD_GROUP[field]!;
  }
}
