/** One row of the table with matching operands to bytes (SDM Vol. 2A, Chapter 2 Instruction Format). */

import { GPR, HIGH_BYTE_REGISTER_BASE, SEGMENT } from '../architecture/registers.js';
import type { Encoding } from '../instruction-set/index.js';
import { fail } from './assembly-error.js';
import { addressSizeOf, type EncodedAddress, encodeAddress } from './effective-address.js';
import type { EncodingContext, Prefixes } from './instruction-statement.js';
import type { Operand, RegisterOperand } from './operand.js';
import { writtenForms } from './row-matching.js';
import type { Token } from './token.js';
import type { Value } from './value.js';

/** Bytes inside the instruction whose value may wait for an address. */
export interface ValueField {
  readonly offset: number;
  readonly sizeInBytes: number;
  readonly value: Value;
  /** The value counts from the end of the instruction. */
  readonly relative: boolean;
  /** The processor sign-extends the field, to this width in bits; 0 when it does not. */
  readonly signedWidth: number;
  readonly kind: 'immediate' | 'displacement' | 'branch';
  readonly token: Token | undefined;
}

export interface EncodedInstruction {
  readonly row: Encoding;
  readonly bytes: number[];
  readonly fields: readonly ValueField[];
}

const SEGMENT_PREFIXES: Record<number, number> = {
  [SEGMENT.ES]: 0x26,
  [SEGMENT.CS]: 0x2e,
  [SEGMENT.SS]: 0x36,
  [SEGMENT.DS]: 0x3e,
  [SEGMENT.FS]: 0x64,
  [SEGMENT.GS]: 0x65,
};

const MAP_BYTES: readonly (readonly number[])[] = [[], [0x0f], [0x0f, 0x38], [0x0f, 0x3a]];

interface Parts {
  reg: number;
  rm: number;
  opcodeRegister: number;
  address: EncodedAddress | undefined;
  offsetAddressSize: 0 | 16 | 32 | 64;
  segmentOverride: number;
  /** REX must be present for SPL, BPL, SIL, DIL; must be absent for AH, CH, DH, BH. */
  needsRex: Token | undefined;
  forbidsRex: Token | undefined;
  operandSize: number;
  readonly trailing: Omit<ValueField, 'offset'>[];
}

function registerNumber(operand: RegisterOperand, parts: Parts): number {
  const { registerClass, number } = operand.register;
  if (registerClass !== 'gpr8') return number;
  if (number >= HIGH_BYTE_REGISTER_BASE) {
    parts.forbidsRex = operand.token;
    return number - HIGH_BYTE_REGISTER_BASE + GPR.RSP;
  }
  if (number >= GPR.RSP) parts.needsRex = operand.token;
  return number;
}

function placeRegister(slot: string, operand: RegisterOperand, parts: Parts): void {
  const number = registerNumber(operand, parts);
  if (slot === 'reg') parts.reg = number;
  else if (slot === 'rm') parts.rm = number;
  else if (slot === 'opcode') parts.opcodeRegister = number;
}

function collect(
  row: Encoding,
  operands: readonly Operand[],
  prefixes: Prefixes,
  context: EncodingContext,
): Parts {
  const { codeSize, defaultRelative } = context;
  const parts: Parts = {
    reg: Math.max(row.modrmReg, 0),
    rm: 0,
    opcodeRegister: 0,
    address: undefined,
    offsetAddressSize: 0,
    segmentOverride: prefixes.segment,
    needsRex: undefined,
    forbidsRex: undefined,
    operandSize: row.operandSize || prefixes.operandSize,
    trailing: [],
  };
  for (const [position, form] of writtenForms(row).entries()) {
    const operand = operands[position];
    const { token } = operand;
    if (operand.kind === 'register') placeRegister(form.slot, operand, parts);
    else if (operand.kind === 'memory') {
      if (operand.address.segmentOverride >= 0) parts.segmentOverride = operand.address.segmentOverride;
      if (form.slot === 'offset') {
        parts.offsetAddressSize = addressSizeOf(operand, codeSize, prefixes.addressSize);
        const sizeInBytes = parts.offsetAddressSize / 8;
        const value = operand.address.value;
        parts.trailing.push({
          sizeInBytes,
          value,
          relative: false,
          signedWidth: 0,
          kind: 'displacement',
          token,
        });
      } else {
        parts.address = encodeAddress(operand, codeSize, prefixes.addressSize, defaultRelative);
      }
    } else if (operand.kind === 'far-pointer') {
      const sizeInBytes = (form.encodedWidth - 16) / 8;
      const common = { relative: false, signedWidth: 0, kind: 'immediate', token } as const;
      parts.trailing.push({ ...common, sizeInBytes, value: operand.offset });
      parts.trailing.push({ ...common, sizeInBytes: 2, value: operand.segment });
    } else if (form.slot === 'relative') {
      const sizeInBytes = form.encodedWidth / 8;
      const value = operand.value;
      parts.trailing.push({ sizeInBytes, value, relative: true, signedWidth: 0, kind: 'branch', token });
    } else if (form.slot === 'immediate') {
      const sizeInBytes = form.encodedWidth / 8;
      const signedWidth = form.signExtended ? form.width : 0;
      parts.trailing.push({
        sizeInBytes,
        value: operand.value,
        relative: false,
        signedWidth,
        kind: 'immediate',
        token,
      });
    }
  }
  return parts;
}

function legacyPrefixes(row: Encoding, parts: Parts, prefixes: Prefixes, codeSize: number): number[] {
  const bytes: number[] = [];
  if (prefixes.wait) bytes.push(0x9b);
  if (prefixes.repeat !== 0) bytes.push(prefixes.repeat);
  if (prefixes.lock) bytes.push(0xf0);
  if (parts.segmentOverride >= 0) bytes.push(SEGMENT_PREFIXES[parts.segmentOverride]);
  const size = parts.operandSize;
  if ((size === 16 && codeSize !== 16) || (size === 32 && codeSize === 16)) bytes.push(0x66);
  const address =
    parts.address?.addressSize ||
    parts.offsetAddressSize ||
    row.addressSize ||
    prefixes.addressSize ||
    codeSize;
  if (address !== codeSize) bytes.push(0x67);
  if (row.mandatoryPrefix !== 0) bytes.push(row.mandatoryPrefix);
  return bytes;
}

function rexByte(row: Encoding, parts: Parts, codeSize: number): number {
  const wide = parts.operandSize === 64 && !row.default64 && !row.forced64;
  const { address } = parts;
  const w = wide ? 8 : 0;
  const r = parts.reg >= 8 ? 4 : 0;
  const x = address?.rexX ? 2 : 0;
  const b = address?.rexB || parts.rm >= 8 || parts.opcodeRegister >= 8 ? 1 : 0;
  const bits = w | r | x | b;
  if (bits === 0 && parts.needsRex === undefined) return 0;
  if (codeSize !== 64) fail('mode', `this register can't be used in ${codeSize}-bit code`, parts.needsRex);
  if (parts.forbidsRex !== undefined)
    fail(
      'high-byte-register',
      "a high byte register can't be used where a REX prefix is needed",
      parts.forbidsRex,
    );
  return 0x40 | bits;
}

/** Encodes a row whose operands have been matched. */
export function encodeRow(
  row: Encoding,
  operands: readonly Operand[],
  prefixes: Prefixes,
  context: EncodingContext,
): EncodedInstruction {
  const parts = collect(row, operands, prefixes, context);
  const bytes = legacyPrefixes(row, parts, prefixes, context.codeSize);
  const rex = rexByte(row, parts, context.codeSize);
  if (rex !== 0) bytes.push(rex);
  bytes.push(...MAP_BYTES[row.map], row.opcode | (row.opcodeRegister ? parts.opcodeRegister & 7 : 0));
  const fields: ValueField[] = [];
  if (row.modrmFixed >= 0) bytes.push(row.modrmFixed);
  else if (row.hasModrm) {
    const { address } = parts;
    const [mod, rm] = address === undefined ? [3, parts.rm & 7] : [address.mod, address.rm];
    bytes.push((mod << 6) | ((parts.reg & 7) << 3) | rm);
    if (address !== undefined) appendAddress(address, bytes, fields, operands);
  }
  for (const field of parts.trailing) {
    fields.push({ ...field, offset: bytes.length });
    for (let count = 0; count < field.sizeInBytes; count++) bytes.push(0);
  }
  return { row, bytes, fields };
}

function appendAddress(
  address: EncodedAddress,
  bytes: number[],
  fields: ValueField[],
  operands: readonly Operand[],
): void {
  if (address.sib >= 0) bytes.push(address.sib);
  if (address.displacementBytes === 0) return;
  fields.push({
    offset: bytes.length,
    sizeInBytes: address.displacementBytes,
    value: address.displacement,
    relative: address.ripRelative,
    signedWidth: address.addressSize,
    kind: 'displacement',
    token: operands.find((operand) => operand.kind === 'memory')?.token,
  });
  for (let count = 0; count < address.displacementBytes; count++) bytes.push(0);
}
