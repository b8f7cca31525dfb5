/** Values into bytes: numbers at once with a check of their range, addresses as fixups. */

import { fail } from './assembly-error.js';
import type { Pass } from './pass.js';
import type { EncodedInstruction, ValueField } from './row-encoder.js';
import type { Token } from './token.js';
import { isScalar, relativeTarget, singleBase, type Value } from './value.js';

const UNIT_NAMES: Record<number, string> = { 1: 'byte', 2: 'word', 4: 'dword', 8: 'qword' };

function writeLittleEndian(bytes: Uint8Array | number[], offset: number, size: number, value: bigint): void {
  let rest = BigInt.asUintN(size * 8, value);
  for (let index = 0; index < size; index++) {
    bytes[offset + index] = Number(rest & 0xffn);
    rest >>= 8n;
  }
}

/** Fits the field as a signed or as an unsigned number. */
function fitsEitherWay(value: bigint, bits: number): boolean {
  return bits >= 64 || (value >= -(1n << BigInt(bits - 1)) && value < 1n << BigInt(bits));
}

function checkImmediate(pass: Pass, field: ValueField): void {
  const bits = field.sizeInBytes * 8;
  const { constant } = field.value;
  const width = field.signedWidth;
  const fits =
    width === 0 || width === bits
      ? fitsEitherWay(constant, bits)
      : BigInt.asUintN(width, BigInt.asIntN(bits, constant)) === BigInt.asUintN(width, constant) &&
        fitsEitherWay(constant, width);
  if (!fits)
    pass.warn(
      'number-overflow',
      `value does not fit a ${width > bits ? 'signed ' : ''}${UNIT_NAMES[field.sizeInBytes]}`,
      field.token,
    );
}

function checkBranch(pass: Pass, distance: bigint, field: ValueField): void {
  const bits = field.sizeInBytes * 8;
  if (bits === 16 && pass.codeSize === 16) return;
  if (BigInt.asIntN(bits, distance) === distance) return;
  const what = bits === 8 ? 'short jump is out of range' : 'branch target is out of range';
  pass.report('error', 'branch-range', what, field.token, true);
}

/** Where a field lies that has its place in the current section already. */
interface Place {
  readonly offset: number;
  readonly sizeInBytes: number;
  /** End of the instruction, for distances. */
  readonly end: number;
}

function addFixup(
  pass: Pass,
  place: Place,
  value: Value,
  relativeTo: number | undefined,
  signed: boolean,
  token?: Token,
): void {
  const { section } = pass;
  if (section === undefined) return;
  const base = singleBase(value) ?? relativeTarget(value, section);
  if (base === undefined) fail('not-relocatable', 'the value is neither a number nor relocatable', token);
  section.fixups.push({
    offset: place.offset,
    sizeInBytes: place.sizeInBytes,
    base,
    addend: value.constant,
    relativeTo: singleBase(value) === undefined ? 0 : relativeTo,
    signed,
    origin: pass.line,
  });
}

/** The distance to a target in the same section, or undefined. */
function distanceWithin(pass: Pass, value: Value, end: number): bigint | undefined {
  const base = singleBase(value);
  return base !== undefined && base === pass.section ? value.constant - BigInt(end) : undefined;
}

function placeField(pass: Pass, bytes: number[], start: number, field: ValueField): void {
  const { value, sizeInBytes } = field;
  if (value.unknown) return;
  const end = start + bytes.length;
  const place = { offset: start + field.offset, sizeInBytes, end };
  if (field.relative) {
    const distance = distanceWithin(pass, value, end);
    if (distance !== undefined) {
      checkBranch(pass, distance, field);
      writeLittleEndian(bytes, field.offset, sizeInBytes, distance);
      return;
    }
    if (isScalar(value)) {
      placeAbsoluteBranch(pass, place, value);
      return;
    }
    addFixup(pass, place, value, end, true, field.token);
    return;
  }
  if (isScalar(value)) {
    checkImmediate(pass, field);
    writeLittleEndian(bytes, field.offset, sizeInBytes, value.constant);
    return;
  }
  addFixup(pass, place, value, undefined, field.signedWidth > sizeInBytes * 8, field.token);
}

/** A branch to a plain number: the distance is known when the section has its address. */
function placeAbsoluteBranch(pass: Pass, place: Place, value: Value): void {
  const { section } = pass;
  section?.fixups.push({
    offset: place.offset,
    sizeInBytes: place.sizeInBytes,
    base: undefined,
    addend: value.constant,
    relativeTo: place.end,
    signed: true,
    origin: pass.line,
  });
}

/** Appends an encoded instruction to the current section. */
export function emitInstruction(pass: Pass, encoded: EncodedInstruction): void {
  const start = pass.offset;
  for (const field of encoded.fields) placeField(pass, encoded.bytes, start, field);
  pass.emit(Uint8Array.from(encoded.bytes));
}

/** Appends a number or address of `sizeInBytes` (DB, DW, DD, DQ). */
export function emitValue(pass: Pass, value: Value, sizeInBytes: number, token?: Token): void {
  const bytes = new Uint8Array(sizeInBytes);
  if (!value.unknown) {
    if (isScalar(value)) {
      if (!fitsEitherWay(value.constant, sizeInBytes * 8))
        pass.warn('number-overflow', `value does not fit a ${UNIT_NAMES[sizeInBytes]}`, token);
      writeLittleEndian(bytes, 0, sizeInBytes, value.constant);
    } else {
      const place = { offset: pass.offset, sizeInBytes, end: pass.offset + sizeInBytes };
      addFixup(pass, place, value, undefined, false, token);
    }
  }
  pass.emit(bytes);
}
