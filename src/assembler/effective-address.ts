/**
 * Memory operands to ModRM, SIB and displacement (SDM Vol. 2A, 2.1.5 Addressing-Mode Encoding of ModR/M and SIB
 * Bytes), choosing base, index and displacement size as NASM does.
 */

import { fail } from './assembly-error.js';
import type { EffectiveAddress, MemoryOperand } from './operand.js';
import type { RegisterReference } from './registers.js';
import type { Token } from './token.js';
import { isScalar, type Value } from './value.js';

export interface EncodedAddress {
  readonly addressSize: 16 | 32 | 64;
  readonly mod: number;
  readonly rm: number;
  /** SIB byte, or -1. */
  readonly sib: number;
  /** REX.X and REX.B. */
  readonly rexX: boolean;
  readonly rexB: boolean;
  readonly displacementBytes: 0 | 1 | 2 | 4;
  readonly displacement: Value;
  /** The displacement counts from the end of the instruction. */
  readonly ripRelative: boolean;
}

type CodeSize = 16 | 32 | 64;
const RSP = 4;
const RBP = 5;

interface BaseAndIndex {
  base: RegisterReference | undefined;
  index: RegisterReference | undefined;
  scale: number;
}

/** Base and index as the expression says, before any rearrangement. */
function splitRegisters(address: EffectiveAddress, token: Token | undefined): BaseAndIndex {
  const { registers } = address.value;
  if (registers.length > 2) fail('effective-address', 'too many registers in the effective address', token);
  let [first, second] = registers;
  if (first !== undefined && second !== undefined && first.factor !== 1n) [first, second] = [second, first];
  if (first === undefined) return { base: undefined, index: undefined, scale: 1 };
  if (second === undefined)
    return first.factor === 1n
      ? { base: first.of, index: undefined, scale: 1 }
      : { base: undefined, index: first.of, scale: Number(first.factor) };
  if (first.factor !== 1n) fail('effective-address', 'two scaled registers in the effective address', token);
  return { base: first.of, index: second.of, scale: Number(second.factor) };
}

/** The width that all address registers share, or 0 when there are none. */
function registerWidth(address: EffectiveAddress, token: Token | undefined): number {
  const widths = new Set(address.value.registers.map((term) => term.of.width));
  if (widths.size > 1) fail('effective-address', 'address registers of different sizes', token);
  return [...widths][0] ?? 0;
}

/** The address size that a memory operand asks for; `prefixSize` is that of an A16, A32 or A64 prefix, or 0. */
export function addressSizeOf(operand: MemoryOperand, codeSize: CodeSize, prefixSize: number): CodeSize {
  const { address, token } = operand;
  const width = registerWidth(address, token) as CodeSize | 0;
  if (
    (width === 64) !== (codeSize === 64) &&
    width !== 0 &&
    (width === 64 || (codeSize === 64 && width === 16))
  )
    fail('effective-address', `${width}-bit addresses can't be used in ${codeSize}-bit code`, token);
  if (width !== 0) return width;
  if (prefixSize !== 0) return prefixSize as CodeSize;
  const { displacementSize } = address;
  if (codeSize !== 64 && (displacementSize === 16 || displacementSize === 32)) return displacementSize;
  return codeSize;
}

/** Size in bytes of a displacement behind a base register. */
function displacementBytes(address: EffectiveAddress, full: 2 | 4, needed: boolean): 0 | 1 | 2 | 4 {
  const { value, displacementSize } = address;
  const constant = value.bases.length === 0 && !value.unknown;
  const number = full === 2 ? BigInt.asIntN(16, value.constant) : BigInt.asIntN(32, value.constant);
  if (displacementSize === 0 && constant && number === 0n && !needed) return 0;
  if (displacementSize === 8) return 1;
  if (displacementSize === 0 && constant && number >= -128n && number <= 127n) return 1;
  return full;
}

const MOD_OF_BYTES: Record<number, number> = { 0: 0, 1: 1, 2: 2, 4: 2 };

const RM_16: Readonly<Record<string, number>> = {
  'bx+si': 0,
  'bx+di': 1,
  'bp+si': 2,
  'bp+di': 3,
  si: 4,
  di: 5,
  bp: 6,
  bx: 7,
};

function encode16(operand: MemoryOperand): EncodedAddress {
  const { address, token } = operand;
  const common = { addressSize: 16, sib: -1, rexX: false, rexB: false, ripRelative: false } as const;
  const displacement = { ...address.value, registers: [] };
  const names = address.value.registers.map(({ of, factor }) => {
    if (factor !== 1n) fail('effective-address', 'invalid 16-bit effective address', token);
    return of.name;
  });
  if (names.length === 0) return { ...common, mod: 0, rm: 6, displacementBytes: 2, displacement };
  // BX and BP come first in the table of combinations.
  const rm = RM_16[names.sort().join('+')];
  if (rm === undefined) fail('effective-address', 'invalid 16-bit effective address', token);
  const bytes = displacementBytes(address, 2, rm === 6);
  return { ...common, mod: MOD_OF_BYTES[bytes], rm, displacementBytes: bytes, displacement };
}

/** NASM's rearrangements: hints swap base and index, [r*2] becomes [r+r], RSP can't be an index. */
function arrange(address: EffectiveAddress, token: Token | undefined): BaseAndIndex {
  const { hint, nosplit } = address;
  let { base, index, scale } = splitRegisters(address, token);
  const hinted = (register: RegisterReference | undefined): boolean =>
    register !== undefined && register === hint.register;
  if (base !== undefined && index !== undefined && scale === 1)
    if ((hinted(base) && hint.kind === 'not-base') || (hinted(index) && hint.kind === 'base'))
      [base, index] = [index, base];
  if (
    base === undefined &&
    index !== undefined &&
    scale === 1 &&
    !(hinted(index) && hint.kind === 'not-base')
  ) {
    base = index;
    index = undefined;
  }
  const splittable =
    (scale === 2 && index?.number !== RSP && (!nosplit || hint.kind === 'summed')) ||
    scale === 3 ||
    scale === 5 ||
    scale === 9;
  if (splittable && base === undefined && index !== undefined) {
    base = index;
    scale--;
  }
  if (index === undefined && base !== undefined && base.number !== RSP && nosplit)
    if (hinted(base) && hint.kind === 'not-base') {
      index = base;
      base = undefined;
      scale = 1;
    }
  if (scale === 1 && index?.number === RSP) [base, index] = [index, base];
  return { base, index, scale };
}

/** The operand asks for an address relative to RIP, by REL or by DEFAULT REL. */
export function wantsRipRelative(
  address: EffectiveAddress,
  codeSize: CodeSize,
  defaultRelative: boolean,
): boolean {
  if (codeSize !== 64 || address.value.registers.length > 0) return false;
  if (address.relative !== '') return address.relative === 'rel';
  const usesFsOrGs = address.segmentOverride >= 4;
  return defaultRelative && !usesFsOrGs;
}

function encode3264(
  operand: MemoryOperand,
  addressSize: 32 | 64,
  codeSize: CodeSize,
  rip: boolean,
): EncodedAddress {
  const { address, token } = operand;
  const displacement = { ...address.value, registers: [] };
  const { base, index, scale } = arrange(address, token);
  const scaleBits = [1, 2, 4, 8].indexOf(scale);
  if (index?.number === RSP || (index !== undefined && scaleBits < 0))
    fail('effective-address', `invalid ${addressSize}-bit effective address`, token);
  const common = {
    addressSize,
    displacement,
    ripRelative: false,
    rexX: (index?.number ?? 0) >= 8,
    rexB: (base?.number ?? 0) >= 8,
  };
  if (base === undefined && index === undefined) {
    if (rip) return { ...common, mod: 0, rm: RBP, sib: -1, displacementBytes: 4, ripRelative: true };
    // Without a base, mod = 0 and rm = 5 mean RIP-relative in 64-bit mode: the absolute form needs a SIB byte.
    return codeSize === 64
      ? { ...common, mod: 0, rm: RSP, sib: 0x25, displacementBytes: 4 }
      : { ...common, mod: 0, rm: RBP, sib: -1, displacementBytes: 4 };
  }
  if (base === undefined) {
    const sib = (scaleBits << 6) | (((index as RegisterReference).number & 7) << 3) | RBP;
    return { ...common, mod: 0, rm: RSP, sib, displacementBytes: 4 };
  }
  const bytes = displacementBytes(address, 4, (base.number & 7) === RBP);
  const mod = MOD_OF_BYTES[bytes];
  const needsSib = index !== undefined || (base.number & 7) === RSP;
  if (!needsSib) return { ...common, mod, rm: base.number & 7, sib: -1, displacementBytes: bytes };
  const indexBits = index === undefined ? 4 : index.number & 7;
  const sib = ((index === undefined ? 0 : scaleBits) << 6) | (indexBits << 3) | (base.number & 7);
  return { ...common, mod, rm: RSP, sib, displacementBytes: bytes };
}

/**
 * Encodes a memory operand.
 * @param prefixSize address size in bits from an explicit A16, A32 or A64 prefix, 0 without one
 */
export function encodeAddress(
  operand: MemoryOperand,
  codeSize: CodeSize,
  prefixSize: number,
  defaultRelative: boolean,
): EncodedAddress {
  const addressSize = addressSizeOf(operand, codeSize, prefixSize);
  if (addressSize === 16) return encode16(operand);
  const { address } = operand;
  // A plain number has no distance from the instruction before the program has an address.
  const rip =
    wantsRipRelative(address, codeSize, defaultRelative) &&
    (!isScalar(address.value) || address.value.unknown);
  return encode3264(operand, addressSize, codeSize, rip);
}
