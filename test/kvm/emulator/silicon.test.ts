/** The emulator against the CPU itself: the same instruction, registers, flags and memory must come out alike. */

import { describe, expect, it } from 'vitest';
import { decode } from '../../../src/decoder/index.js';
import { Instruction } from '../../../src/instruction-set/index.js';
import { RandomSource } from '../../support/random-source.js';
import { EMULATION_POLICIES, TestGuest } from './guest.js';
import { CODE, DATA, DATA_SIZE, type NativeCase, runNatively, SLOT, toolsAreThere } from './native-oracle.js';

const CASES = Number(process.env.EXITSCOPE_EMULATOR_CASES ?? 2000);
const ARITHMETIC_FLAGS = 0x8d5;
const DF = 0x400;
/** Where the guest keeps code and data in its physical memory. */
const DATA_GPA = 0x10000;
const CODE_GPA = 0x40000;

const REGISTERS: Readonly<Record<number, readonly string[]>> = {
  8: ['al', 'cl', 'dl', 'bl', 'spl', 'bpl', 'sil', 'dil', 'r8b', 'r9b', 'r15b'],
  16: ['ax', 'cx', 'dx', 'bx', 'sp', 'bp', 'si', 'di', 'r8w', 'r9w', 'r15w'],
  32: ['eax', 'ecx', 'edx', 'ebx', 'esp', 'ebp', 'esi', 'edi', 'r8d', 'r9d', 'r15d'],
  64: ['rax', 'rcx', 'rdx', 'rbx', 'rsp', 'rbp', 'rsi', 'rdi', 'r8', 'r9', 'r15'],
};
const HIGH_BYTES = ['ah', 'ch', 'dh', 'bh'];
const SIZE_NAMES: Readonly<Record<number, string>> = { 8: 'byte', 16: 'word', 32: 'dword', 64: 'qword' };
const CONDITIONS = ['o', 'no', 'b', 'ae', 'z', 'nz', 'be', 'a', 's', 'ns', 'p', 'np', 'l', 'ge', 'le', 'g'];
const VALUES = [
  0n,
  1n,
  2n,
  0x7fn,
  0x80n,
  0xffn,
  0x7fffn,
  0x8000n,
  0xffffn,
  0x7fffffffn,
  0x80000000n,
  0xffffffffn,
];
const WIDE = [...VALUES, (1n << 63n) - 1n, 1n << 63n, (1n << 64n) - 1n];

class CaseMaker {
  readonly pick: (limit: number) => number;
  private registers = new BigUint64Array(16);
  constructor(seed: number) {
    const source = new RandomSource(seed);
    this.pick = (limit) => source.below(limit);
  }

  private value(): bigint {
    if (this.pick(3) === 0) return WIDE[this.pick(WIDE.length)]!;
    return (BigInt(this.pick(2 ** 32)) << 32n) | BigInt(this.pick(2 ** 32));
  }

  /** A memory operand of `width` bits somewhere in the data, page crossing included; sets the registers it needs. */
  private memory(width: number, size = true): string {
    const address = DATA + 0x100 + this.pick(DATA_SIZE - 0x200);
    const displacement = this.pick(256) - 128;
    const scale = 1 << this.pick(4);
    const prefix = size ? `${SIZE_NAMES[width]} ` : '';
    switch (this.pick(5)) {
      case 0:
        this.registers[3] = BigInt(address - displacement);
        return `${prefix}[rbx + ${displacement}]`;
      case 1:
        this.registers[1] = BigInt.asUintN(64, BigInt(this.pick(64) - 32));
        this.registers[12] = BigInt(address) - BigInt.asIntN(64, this.registers[1]!) * BigInt(scale);
        return `${prefix}[r12 + rcx*${scale}]`;
      case 2:
        return `${prefix}[rel $$ + ${address - CODE}]`;
      case 3:
        // A 32-bit address: the upper half of the base is ignored.
        this.registers[6] = BigInt(address) | 0xdead_0000_0000_0000n;
        return `${prefix}[esi]`;
      default:
        return `${prefix}[abs ${address}]`;
    }
  }

  private register(width: number): string {
    const names = REGISTERS[width]!;
    return names[this.pick(names.length)]!;
  }
  private width(): number {
    return 8 << this.pick(4);
  }
  private wideWidth(): number {
    return 16 << this.pick(3);
  }
  private immediate(width: number): string {
    const limit = width >= 32 ? 2 ** 31 : 2 ** (width - 1);
    return String(this.pick(2) ? this.pick(limit) : -this.pick(Math.min(limit, 129)));
  }

  private readonly forms: readonly (() => string)[] = [
    () => this.binary(['add', 'adc', 'sub', 'sbb', 'cmp', 'and', 'or', 'xor', 'test', 'mov']),
    () => this.binary(['add', 'adc', 'sub', 'sbb', 'cmp', 'and', 'or', 'xor', 'mov']),
    () => this.unary(['inc', 'dec', 'neg', 'not']),
    () => this.unary(['mul', 'imul', 'div', 'idiv']),
    () => this.shift(),
    () => this.shift(),
    () => {
      const width = this.wideWidth();
      const operation = ['shld', 'shrd'][this.pick(2)];
      const count = this.pick(2) ? 'cl' : String(this.pick(width === 64 ? 64 : width + 1));
      if (count !== 'cl') return `${operation} ${this.place(width)}, ${this.register(width)}, ${count}`;
      this.limitCount(width);
      return `${operation} ${this.register(width)}, ${this.register(width)}, cl`;
    },
    () => {
      const width = this.width();
      const operation = ['xchg', 'xadd', 'cmpxchg'][this.pick(3)];
      return `${operation} ${this.memory(width)}, ${this.register(width)}`;
    },
    () => {
      const width = this.wideWidth();
      const operation = ['bt', 'bts', 'btr', 'btc'][this.pick(4)];
      if (this.pick(2)) return `${operation} ${this.place(width)}, ${this.pick(256)}`;
      // As a bit string: up to 100 bits in both directions.
      const memory = this.memory(width);
      this.registers[15] = BigInt.asUintN(64, BigInt(this.pick(200) - 100));
      return `${operation} ${memory}, r15${width === 64 ? '' : width === 32 ? 'd' : 'w'}`;
    },
    () => {
      const width = this.wideWidth();
      return `${['bsf', 'bsr'][this.pick(2)]} ${this.register(width)}, ${this.place(width)}`;
    },
    () => {
      const from = 8 << this.pick(2);
      const to = from === 8 ? this.wideWidth() : 32 << this.pick(2);
      return `${['movzx', 'movsx'][this.pick(2)]} ${this.register(to)}, ${this.place(from)}`;
    },
    () => `movsxd ${this.register(64)}, ${this.place(32)}`,
    () => {
      const width = this.wideWidth();
      const condition = CONDITIONS[this.pick(16)];
      return this.pick(2)
        ? `cmov${condition} ${this.register(width)}, ${this.place(width)}`
        : `set${condition} ${this.place(8)}`;
    },
    () => {
      const width = this.wideWidth();
      return `imul ${this.register(width)}, ${this.place(width)}${this.pick(2) ? `, ${this.immediate(width)}` : ''}`;
    },
    () => `lea ${this.register(this.wideWidth())}, ${this.memory(64, false)}`,
    () => {
      this.registers[4] = BigInt(DATA + 0x800 + 8 * this.pick(64));
      const operand = this.pick(2) ? this.memory(64) : this.register(64);
      return ['push', 'pop'][this.pick(2)] + ` ${operand}`;
    },
    () => {
      this.registers[4] = BigInt(DATA + 0x800);
      return `push ${this.immediate(32)}`;
    },
    () => {
      // moffs: an absolute 64-bit address and the accumulator.
      const width = this.width();
      const accumulator = REGISTERS[width]![0];
      const address = `[abs qword ${DATA + this.pick(DATA_SIZE - 8)}]`;
      return this.pick(2) ? `mov ${accumulator}, ${address}` : `mov ${address}, ${accumulator}`;
    },
    () => `bswap ${this.register(32 << this.pick(2))}`,
    () => ['cbw', 'cwde', 'cdqe', 'cwd', 'cdq', 'cqo', 'lahf', 'sahf', 'clc', 'stc', 'cmc'][this.pick(11)]!,
    () => {
      this.registers[3] = BigInt(DATA + 0x200);
      return 'xlatb';
    },
    () => {
      this.registers[3] = 0x1122334455667788n;
      const address = DATA + 16 * (4 + this.pick(400));
      const [operation, size] = this.pick(2) ? ['cmpxchg8b', 'qword'] : ['cmpxchg16b', 'oword'];
      return `lock ${operation} ${size} [abs ${address}]`;
    },
    () => this.string(),
    () => this.string(),
  ];

  private place(width: number): string {
    return this.pick(3) ? this.memory(width) : this.register(width);
  }

  private binary(operations: readonly string[]): string {
    const width = this.width();
    const operation = operations[this.pick(operations.length)]!;
    switch (this.pick(4)) {
      case 0:
        return `${operation} ${this.memory(width)}, ${this.register(width)}`;
      case 1:
        return operation === 'test'
          ? `test ${this.register(width)}, ${this.register(width)}`
          : `${operation} ${this.register(width)}, ${this.memory(width)}`;
      case 2:
        return `${operation} ${this.place(width)}, ${this.immediate(width)}`;
      default:
        return `${operation} ${HIGH_BYTES[this.pick(4)]}, ${HIGH_BYTES[this.pick(4)]}`;
    }
  }

  private unary(operations: readonly string[]): string {
    return `${operations[this.pick(operations.length)]} ${this.place(this.width())}`;
  }

  private shift(): string {
    const width = this.width();
    const operation = ['shl', 'shr', 'sar', 'rol', 'ror', 'rcl', 'rcr'][this.pick(7)];
    const count = ['1', 'cl', String(this.pick(70))][this.pick(3)];
    return `${operation} ${this.place(width)}, ${count}`;
  }

  /** SHLD and SHRD by more than the operand's width have an undefined result. */
  private limitCount(width: number): void {
    this.registers[1] = BigInt(this.pick(width === 64 ? 64 : width + 1));
  }

  private string(): string {
    const letter = 'bwdq'[this.pick(4)]!;
    const stem = ['movs', 'stos', 'lods', 'cmps', 'scas'][this.pick(5)]!;
    const compares = stem === 'cmps' || stem === 'scas';
    const repeat = ['', 'rep ', compares ? 'repne ' : 'rep '][this.pick(3)];
    this.registers[6] = BigInt(DATA + 0x400 + this.pick(0x400));
    this.registers[7] = BigInt(DATA + 0xc00 + this.pick(0x800));
    this.registers[1] = BigInt(this.pick(20));
    return `${repeat}${stem}${letter}`;
  }

  make(): NativeCase {
    this.registers = new BigUint64Array(16);
    for (let number = 0; number < 16; number++) this.registers[number] = this.value();
    const text = this.forms[this.pick(this.forms.length)]!();
    // Small bytes in between make equal values, and so the other branches, likely.
    const data = Uint8Array.from({ length: DATA_SIZE }, () => (this.pick(2) ? this.pick(256) : this.pick(2)));
    const flags = 0x202 | (this.pick(0x1000) & ARITHMETIC_FLAGS) | (this.pick(2) ? DF : 0);
    return { text, registers: this.registers, flags, data };
  }
}

const hex = (value: bigint | number): string => `0x${value.toString(16)}`;

describe.skipIf(!toolsAreThere())(
  'instruction emulator against the CPU (needs gcc and nasm on x86-64 Linux)',
  () => {
    const maker = new CaseMaker(0x2545f491);
    const cases = Array.from({ length: CASES }, () => maker.make());
    let native: ReturnType<typeof runNatively> | undefined;

    it.each(EMULATION_POLICIES)(`agrees on ${CASES} generated instructions with %s emulation`, (policy) => {
      native ??= runNatively(cases);
      const { code, results } = native;
      const guest = new TestGuest(undefined, policy);
      guest.map(BigInt(DATA), DATA_GPA, DATA_SIZE / 4096);
      guest.map(BigInt(CODE), CODE_GPA, Math.ceil(code.length / 4096) + 1);
      guest.ram(CODE_GPA, code.length).set(code);
      const { vcpu, emulator } = guest;
      const instruction = new Instruction();
      const differences: string[] = [];
      const covered = new Set<string>();

      for (const [index, { text, registers, flags, data }] of cases.entries()) {
        const expected = results[index]!;
        const start = BigInt(CODE + SLOT * index);
        guest.ram(DATA_GPA, DATA_SIZE).set(data);
        vcpu.registers.set(registers);
        vcpu.rflags = flags;
        vcpu.rip = start;
        decode(code, SLOT * index, code.length, 64, instruction);
        covered.add(instruction.encoding.mnemonic);
        let result = emulator.emulate();
        while (result.kind === 'done' && vcpu.rip === start) result = emulator.emulate();

        const report = (what: string, found: bigint | number, wanted: bigint | number): void => {
          if (found !== wanted) differences.push(`${text}: ${what} ${hex(found)}, CPU ${hex(wanted)}`);
        };
        if (expected.divideError) {
          if (result.kind !== 'fault' || vcpu.takeException()?.vector !== 0)
            differences.push(`${text}: no #DE`);
          report('rip', vcpu.rip, start);
          continue;
        }
        if (result.kind !== 'done') {
          differences.push(`${text}: ${result.kind}`);
          continue;
        }
        report('rip', vcpu.rip, start + BigInt(instruction.length));
        for (let number = 0; number < 16; number++)
          report(`register ${number}`, vcpu.registers[number]!, expected.registers[number]!);
        const defined = (ARITHMETIC_FLAGS | DF) & ~instruction.encoding.flagsUndefined;
        report('flags', vcpu.rflags & defined, expected.flags & defined);
        if (Buffer.compare(guest.ram(DATA_GPA, DATA_SIZE), expected.data) !== 0)
          differences.push(`${text}: memory differs`);
      }
      expect(differences).toEqual([]);
      expect(covered.size).toBeGreaterThan(80);
    });
  },
);
