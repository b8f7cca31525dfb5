/**
 * Turns one row of the table into machine code for 64-bit or 32-bit mode, with random operands. The generator need not know
 * what the bytes mean beyond the registers that form an address: the processor says what they do.
 */

import { GPR } from '../../src/architecture/registers.js';
import type { Encoding, OperandForm } from '../../src/instruction-set/index.js';
import type { Random } from './random.js';
import { CODE_START, GS_BASE } from './test-case.js';

/** Registers that already have a value that the instruction depends on (a stack pointer, a string index, …). */
export type FixedRegisters = Map<number, bigint>;

export interface InstructionBytes {
  readonly code: Uint8Array;
  /** Linear address of the ModRM or moffs memory operand. */
  readonly address: bigint | undefined;
  /** Numbers in ModRM.reg and ModRM.rm (register form), extended by REX; -1 for none. */
  readonly reg: number;
  readonly rm: number;
}

interface Request {
  readonly encoding: Encoding;
  readonly random: Random;
  readonly codeSize: 32 | 64;
  /** Where the memory operand is to lie; undefined asks for registers where the row leaves the choice. */
  readonly address: bigint | undefined;
  /** Address registers are entered here with the values that lead to `address`. */
  readonly fixed: FixedRegisters;
  readonly lock: boolean;
  /** F2, F3 or 0. */
  readonly repeatPrefix: number;
  /** Where the code will lie, for RIP-relative addresses. */
  readonly codeAddress?: number;
  /** The base register of the address, which has its value in `fixed`; without it any form may be chosen. */
  readonly base?: number | undefined;
  /** Registers that no operand and no address may use. */
  readonly excluded?: ReadonlySet<number>;
  /** Immediate and displacement bytes; random ones when absent. */
  readonly immediate?: (operand: OperandForm) => bigint | undefined;
}

const asBytes = (value: bigint, width: number): number[] =>
  Array.from({ length: width / 8 }, (_, index) => Number((value >> BigInt(8 * index)) & 0xffn));

interface AddressBytes {
  /** ModRM.mod and rm, SIB and displacement; `ripRelative` fills the displacement in when the length is known. */
  readonly mod: number;
  readonly rm: number;
  readonly sib: number | undefined;
  readonly displacement: number[];
  readonly ripRelative: boolean;
  readonly base: number;
  readonly index: number;
}

/** 32-bit code can't name R8 … R15. */
function chooseRegister({ random, codeSize }: Request, excluded: ReadonlySet<number>): number {
  for (;;) {
    const register = random.below(codeSize === 64 ? 16 : 8);
    if (!excluded.has(register)) return register;
  }
}

/** Gives `register` a value unless it has one; returns the value. */
function fix(fixed: FixedRegisters, register: number, value: bigint): bigint {
  const existing = fixed.get(register);
  if (existing !== undefined) return existing;
  const unsigned = BigInt.asUintN(64, value);
  fixed.set(register, unsigned);
  return unsigned;
}

/** The kind of address that has a base register and no index. */
const BASE_ONLY = 20;

/** An addressing form and register values that lead to `offset` in the given address size. */
function chooseAddress(request: Request, offset: bigint, addressSize: number): AddressBytes {
  const { random, fixed } = request;
  const excluded = request.excluded ?? new Set<number>();
  const none = { sib: undefined, ripRelative: false, base: -1, index: -1 };
  const displacement32 = (value: bigint): number[] => asBytes(BigInt.asUintN(32, value), 32);
  const fitsDisplacement = BigInt.asIntN(32, offset) === offset;
  const kind = request.base === undefined ? random.below(100) : BASE_ONLY;
  if (fitsDisplacement && kind < 8) {
    // ModRM of a displacement alone: in 64-bit mode it is relative to RIP.
    const ripRelative = request.codeSize === 64;
    return { ...none, mod: 0, rm: 5, displacement: displacement32(ripRelative ? 0n : offset), ripRelative };
  }
  if (fitsDisplacement && kind < 13)
    return { ...none, mod: 0, rm: 4, sib: 0x25, displacement: displacement32(offset) };

  /** In 32-bit addressing the upper halves of base and index do not count. */
  const rubbish = (value: bigint): bigint =>
    addressSize === 32 ? BigInt.asUintN(32, value) | (random.next64() & ~0xffff_ffffn) : value;
  const scale = random.below(4);
  const withIndex = kind >= 50;
  const indexExcluded = new Set([...excluded, GPR.RSP]);
  const index = withIndex ? chooseRegister(request, indexExcluded) : -1;
  const indexPart = withIndex
    ? fix(fixed, index, rubbish(BigInt(random.between(-64, 64)))) << BigInt(scale)
    : 0n;
  const baseless = withIndex && fitsDisplacement && kind >= 94;
  if (baseless) {
    const rest = BigInt.asIntN(32, offset - indexPart);
    if (BigInt.asUintN(64, rest + indexPart) === BigInt.asUintN(64, offset) || addressSize === 32)
      return {
        ...none,
        mod: 0,
        rm: 4,
        sib: (scale << 6) | ((index & 7) << 3) | 5,
        displacement: displacement32(rest),
        index,
      };
  }
  const base = request.base ?? chooseRegister(request, excluded);
  const short = random.chance(60);
  const wanted = random.chance(25) && (base & 7) !== 5 ? 0n : BigInt(random.between(-128, 127));
  const far = BigInt(random.between(-0x4000_0000, 0x4000_0000));
  const baseValue = fix(fixed, base, rubbish(offset - indexPart - (short ? wanted : far)));
  const displacement = BigInt.asIntN(addressSize, offset - indexPart - baseValue);
  const mod =
    displacement === 0n && (base & 7) !== 5 ? 0 : displacement >= -128n && displacement < 128n ? 1 : 2;
  const needsSib = withIndex || (base & 7) === 4;
  return {
    mod,
    rm: needsSib ? 4 : base & 7,
    sib: needsSib ? (scale << 6) | ((withIndex ? index & 7 : 4) << 3) | (base & 7) : undefined,
    displacement:
      mod === 0 ? [] : mod === 1 ? asBytes(BigInt.asUintN(8, displacement), 8) : displacement32(displacement),
    ripRelative: false,
    base,
    index,
  };
}

const OPCODE_ESCAPES = [[], [0x0f], [0x0f, 0x38], [0x0f, 0x3a]] as const;
const SEGMENT_GS = 0x65;
/** CS, SS, DS and ES overrides, which 64-bit code ignores. */
const IGNORED_OVERRIDES = [0x26, 0x2e, 0x36, 0x3e];

/** Code for one row; `address` is used when the row can have a memory operand. */
export function encodeInstruction(request: Request): InstructionBytes {
  const { encoding, random } = request;
  const excluded = request.excluded ?? new Set<number>();
  const memoryForm = encoding.operands.find((operand) => operand.slot === 'rm' || operand.slot === 'offset');
  const inMemory = request.address !== undefined && memoryForm?.memory === true;
  const narrowAddress =
    request.codeSize === 64 &&
    (encoding.addressSize === 32 ||
      (encoding.addressSize === 0 && (inMemory || encoding.repeat !== '') && random.chance(8)));
  const addressSize = narrowAddress || request.codeSize === 32 ? 32 : 64;

  const prefixes: number[] = [];
  if (narrowAddress) prefixes.push(0x67);
  let offset = request.address ?? 0n;
  if (inMemory && request.codeSize === 64 && random.chance(6)) {
    prefixes.push(SEGMENT_GS);
    offset = BigInt.asUintN(64, offset - BigInt(GS_BASE));
  } else if (inMemory && random.chance(4) && request.codeSize === 64)
    prefixes.push(random.pick(IGNORED_OVERRIDES));
  if (request.lock) prefixes.push(0xf0);
  if (request.repeatPrefix !== 0) prefixes.push(request.repeatPrefix);
  if (encoding.operandSize === 16) prefixes.push(0x66);
  if (encoding.mandatoryPrefix !== 0) prefixes.push(encoding.mandatoryPrefix);

  const needsWide = encoding.operandSize === 64 && !encoding.default64 && !encoding.forced64;
  const freeRegister = (): number => chooseRegister(request, excluded);
  const hasReg = encoding.operands.some((operand) => operand.slot === 'reg');
  const hasRm = encoding.operands.some((operand) => operand.slot === 'rm');
  const hasOpcodeRegister = encoding.opcodeRegister;
  const reg = hasReg ? freeRegister() : -1;
  const rmRegister = (hasRm && !inMemory) || hasOpcodeRegister ? freeRegister() : -1;
  const address =
    inMemory && memoryForm?.slot === 'rm' ? chooseAddress(request, offset, addressSize) : undefined;

  let rex = 0;
  if (needsWide) rex |= 0x48;
  if (reg >= 8) rex |= 0x44;
  if (rmRegister >= 8 || (address !== undefined && address.base >= 8)) rex |= 0x41;
  if (address !== undefined && address.index >= 8) rex |= 0x42;
  if (request.codeSize === 64 && random.chance(15)) rex |= 0x40;

  const opcode: number[] = [...OPCODE_ESCAPES[encoding.map]];
  opcode.push(encoding.opcode | (hasOpcodeRegister ? rmRegister & 7 : 0));
  const modrm: number[] = [];
  if (encoding.hasModrm) {
    const field = encoding.modrmReg >= 0 ? encoding.modrmReg : reg & 7;
    if (encoding.modrmFixed >= 0) modrm.push(encoding.modrmFixed);
    else if (address === undefined)
      modrm.push(0xc0 | (field << 3) | (rmRegister < 0 ? random.below(8) : rmRegister & 7));
    else {
      modrm.push((address.mod << 6) | (field << 3) | address.rm);
      if (address.sib !== undefined) modrm.push(address.sib);
    }
  }
  const trailing: number[] = [];
  for (const operand of encoding.operands) {
    if (operand.slot === 'offset') trailing.push(...asBytes(offset, addressSize));
    if (operand.slot === 'immediate' || operand.slot === 'relative')
      trailing.push(...asBytes(request.immediate?.(operand) ?? random.value64(), operand.encodedWidth));
  }
  const head = [...prefixes, ...(rex === 0 ? [] : [rex]), ...opcode, ...modrm];
  let displacement = address?.displacement ?? [];
  if (address?.ripRelative) {
    const next = (request.codeAddress ?? CODE_START) + head.length + displacement.length + trailing.length;
    displacement = asBytes(BigInt.asUintN(32, offset - BigInt(next)), 32);
  }
  return {
    code: Uint8Array.from([...head, ...displacement, ...trailing]),
    address: inMemory ? request.address : undefined,
    reg,
    rm: inMemory ? -1 : rmRegister,
  };
}
