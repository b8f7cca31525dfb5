/** Makes valid instances of a row of the table: bytes that decode to exactly that row. */

import type { Encoding, OperandForm } from '../../src/instruction-set/index.js';
import type { RandomSource } from './random-source.js';

export type CodeSize = 16 | 32 | 64;

export interface GeneratorOptions {
  /** Which form a r/m operand takes; by default either. */
  readonly form?: 'register' | 'memory';
  /** Allow segment overrides, 67, LOCK and REP where they mean something; by default they appear now and then. */
  readonly prefixes?: boolean;
}

const REX_W = 8;
const REX_R = 4;
const REX_X = 2;
const REX_B = 1;
const OPERAND_SIZE_PREFIX = 0x66;
const ADDRESS_SIZE_PREFIX = 0x67;
const LEGACY_SEGMENT_PREFIXES = [0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65];
const LONG_SEGMENT_PREFIXES = [0x64, 0x65];

/** Whether the row exists in code of this size. */
export function isValidIn(encoding: Encoding, codeSize: CodeSize): boolean {
  if (codeSize === 64) return encoding.valid64;
  return codeSize === 32 ? encoding.valid32 : encoding.valid16;
}

/** The sizes of code in which the row exists. */
export function codeSizesOf(encoding: Encoding): CodeSize[] {
  return ([16, 32, 64] as const).filter((codeSize) => isValidIn(encoding, codeSize));
}

/** The operand size that the row has in this code without prefix and REX.W. */
function defaultOperandSize(encoding: Encoding, codeSize: CodeSize): number {
  if (codeSize !== 64) return codeSize;
  return encoding.default64 || encoding.forced64 ? 64 : 32;
}

class Generator {
  readonly encoding: Encoding;
  readonly codeSize: CodeSize;
  readonly random: RandomSource;
  readonly options: GeneratorOptions;
  readonly prefixes: number[] = [];
  readonly tail: number[] = [];
  rex = 0;
  /** The instruction has to carry a REX prefix even if no bit of it is set, or must not carry one. */
  rexNeeded = false;
  rexForbidden = false;
  addressSize: number;
  isMemory = false;

  constructor(encoding: Encoding, codeSize: CodeSize, random: RandomSource, options: GeneratorOptions) {
    this.encoding = encoding;
    this.codeSize = codeSize;
    this.random = random;
    this.options = options;
    this.addressSize = codeSize;
  }

  get #decorates(): boolean {
    return this.options.prefixes !== false;
  }

  #operand(slot: OperandForm['slot']): OperandForm | undefined {
    return this.encoding.operands.find((operand) => operand.slot === slot);
  }

  #chooseSizes(): void {
    const { encoding, codeSize, random } = this;
    const needed = encoding.operandSize;
    if (needed !== 0 && needed !== defaultOperandSize(encoding, codeSize)) {
      if (needed === 64) this.rex |= REX_W;
      else this.prefixes.push(OPERAND_SIZE_PREFIX);
    }
    const otherAddressSize = codeSize === 32 ? 16 : 32;
    const isChosen = encoding.addressSize !== 0 && encoding.addressSize !== codeSize;
    const isFree = encoding.addressSize === 0 && this.#usesAddress() && this.#decorates;
    if (isChosen || (isFree && random.oneIn(6))) {
      this.addressSize = otherAddressSize;
      this.prefixes.push(ADDRESS_SIZE_PREFIX);
    }
  }

  #usesAddress(): boolean {
    return this.isMemory || this.encoding.operands.some((operand) => operand.memory && operand.slot !== 'rm');
  }

  #chooseForm(): void {
    const { encoding, options, random } = this;
    if (!encoding.hasModrm || encoding.modIgnored || encoding.modrmMode === 'register') return;
    this.isMemory =
      encoding.modrmMode === 'memory' ||
      (options.form === undefined ? random.oneIn(2) : options.form === 'memory');
  }

  /** The low three bits of a register number; the fourth goes into REX. */
  #registerBits(operand: OperandForm, rexBit: number): number {
    const { random, codeSize } = this;
    switch (operand.registerClass) {
      case 'segment': {
        const isWritten = operand.access !== 'r';
        return random.pick(isWritten ? [0, 2, 3, 4, 5] : [0, 1, 2, 3, 4, 5]);
      }
      case 'control': {
        const number = random.pick(codeSize === 64 ? [0, 2, 3, 4, 8] : [0, 2, 3, 4]);
        if (number === 8) this.rex |= rexBit;
        return number & 7;
      }
      case 'debug':
      case 'st':
        return random.below(8);
      default: {
        const number = random.below(codeSize === 64 ? 16 : 8);
        if (number >= 8) this.rex |= rexBit;
        else if (operand.registerClass === 'gpr8' && number >= 4 && codeSize === 64) {
          // SPL … DIL need REX, AH … BH must not have it; one instruction cannot mix them.
          if (!this.rexForbidden && random.oneIn(2)) this.rexNeeded = true;
          else if (!this.rexNeeded) this.rexForbidden = true;
        }
        return number & 7;
      }
    }
  }

  #modrm(): void {
    const { encoding, random } = this;
    if (encoding.modrmFixed >= 0) {
      this.tail.push(encoding.modrmFixed);
      return;
    }
    const regOperand = this.#operand('reg');
    const reg = regOperand ? this.#registerBits(regOperand, REX_R) : Math.max(encoding.modrmReg, 0);
    if (this.isMemory) {
      this.#memory(reg);
      return;
    }
    const rmOperand = this.#operand('rm');
    const rm = rmOperand ? this.#registerBits(rmOperand, REX_B) : 0;
    const mod = encoding.modIgnored && random.oneIn(4) ? random.below(4) : 3;
    this.tail.push((mod << 6) | (reg << 3) | rm);
  }

  #memory(reg: number): void {
    const { random } = this;
    const mod = random.below(3);
    const rm = random.below(8);
    this.tail.push((mod << 6) | (reg << 3) | rm);
    if (this.addressSize === 16) {
      const size = mod === 0 ? (rm === 6 ? 2 : 0) : mod;
      this.#bytes(size);
      return;
    }
    if (this.codeSize === 64) this.rex |= random.pick([0, REX_B, REX_X, REX_X | REX_B]);
    let size = mod === 0 ? (rm === 5 ? 4 : 0) : mod === 1 ? 1 : 4;
    if (rm === 4) {
      const sib = random.below(256);
      this.tail.push(sib);
      if (mod === 0 && (sib & 7) === 5) size = 4;
    }
    this.#bytes(size);
  }

  /** Random bytes, with the edges of the signed ranges among them. */
  #bytes(count: number): void {
    const { random } = this;
    const fill = random.pick([undefined, undefined, undefined, 0x00, 0xff, 0x7f, 0x80]);
    for (let n = 0; n < count; n++) this.tail.push(fill ?? random.below(256));
  }

  #immediates(): void {
    for (const operand of this.encoding.operands) {
      if (operand.slot === 'offset') this.#bytes(this.addressSize / 8);
      else if (operand.encodedWidth > 0) this.#bytes(operand.encodedWidth / 8);
    }
  }

  #decorate(): void {
    const { encoding, random, codeSize } = this;
    if (!this.#decorates) return;
    if (this.#usesAddress() && random.oneIn(6))
      this.prefixes.push(random.pick(codeSize === 64 ? LONG_SEGMENT_PREFIXES : LEGACY_SEGMENT_PREFIXES));
    if (encoding.lockable && this.isMemory && random.oneIn(3)) this.prefixes.push(0xf0);
    if (encoding.repeat !== '' && random.oneIn(2)) this.prefixes.push(random.pick([0xf2, 0xf3]));
  }

  #opcode(): number[] {
    const { encoding } = this;
    const escapeBytes = [[], [0x0f], [0x0f, 0x38], [0x0f, 0x3a]][encoding.map]!;
    let opcode = encoding.opcode;
    const operand = this.#operand('opcode');
    if (operand) opcode |= this.#registerBits(operand, REX_B);
    // 90 without REX.B is NOP.
    if (encoding.mnemonic === 'XCHG' && opcode === 0x90 && (this.rex & REX_B) === 0) opcode = 0x91;
    return [...escapeBytes, opcode];
  }

  /** One attempt; undefined when the random choices contradict each other. */
  attempt(): Uint8Array | undefined {
    const { encoding } = this;
    this.#chooseForm();
    this.#chooseSizes();
    this.#decorate();
    const opcode = this.#opcode();
    if (encoding.hasModrm) this.#modrm();
    this.#immediates();
    if (this.rexForbidden && (this.rex !== 0 || this.rexNeeded)) return undefined;
    const bytes = [...this.prefixes];
    if (encoding.mandatoryPrefix !== 0) bytes.push(encoding.mandatoryPrefix);
    if (this.rex !== 0 || this.rexNeeded) bytes.push(0x40 | this.rex);
    bytes.push(...opcode, ...this.tail);
    return Uint8Array.from(bytes);
  }
}

/**
 * Bytes of one random instance of `encoding` for code of `codeSize`: random registers, memory forms and
 * immediates, only prefixes that the instruction allows. Repeats exactly for the same state of `random`.
 * @throws RangeError when the row does not exist in code of that size.
 */
export function generateInstruction(
  encoding: Encoding,
  codeSize: CodeSize,
  random: RandomSource,
  options: GeneratorOptions = {},
): Uint8Array {
  if (!isValidIn(encoding, codeSize))
    throw new RangeError(`${encoding.id} is not valid in ${codeSize}-bit code`);
  for (;;) {
    const bytes = new Generator(encoding, codeSize, random, options).attempt();
    if (bytes !== undefined) return bytes;
  }
}
