/** The rules of instruction format, one by one (SDM Vol. 2A, Chapter 2). */

import { describe, expect, it } from 'vitest';
import { REGISTER_NAMES } from '../../src/architecture/registers.js';
import { DecodeStatus, decode, sweep } from '../../src/decoder/index.js';
import { ENCODINGS, Instruction, PREFIX, RIP_BASE } from '../../src/instruction-set/index.js';
import { type CodeSize, codeSizesOf, generateInstruction } from '../support/instruction-generator.js';
import { RandomSource } from '../support/random-source.js';

const bytesOf = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'));

function decoded(text: string, codeSize: CodeSize = 64): Instruction {
  const bytes = bytesOf(text);
  const out = new Instruction();
  expect(decode(bytes, 0, bytes.length, codeSize, out), text).toBe(DecodeStatus.OK);
  expect(out.length, text).toBe(bytes.length);
  return out;
}

function statusOf(text: string, codeSize: CodeSize = 64): DecodeStatus {
  const bytes = bytesOf(text);
  return decode(bytes, 0, bytes.length, codeSize, new Instruction());
}

const idOf = (text: string, codeSize: CodeSize = 64): string => decoded(text, codeSize).encoding.id;

describe('operand size', () => {
  it.each([
    ['89 c8', 16, 'MOV_rm16_r16'],
    ['66 89 c8', 16, 'MOV_rm32_r32'],
    ['89 c8', 32, 'MOV_rm32_r32'],
    ['66 89 c8', 32, 'MOV_rm16_r16'],
    ['89 c8', 64, 'MOV_rm32_r32'],
    ['66 89 c8', 64, 'MOV_rm16_r16'],
    ['48 89 c8', 64, 'MOV_rm64_r64'],
    ['66 48 89 c8', 64, 'MOV_rm64_r64'],
    ['50', 64, 'PUSH_r64'],
    ['66 50', 64, 'PUSH_r16'],
    ['66 48 50', 64, 'PUSH_r64'],
    ['48 ed', 64, 'IN_EAX_DX'],
  ] as const)('%s in %i-bit code is %s', (text, codeSize, id) => {
    expect(idOf(text, codeSize)).toBe(id);
  });

  it('of near branches is 64 in 64-bit mode, 66 or not', () => {
    expect(decoded('66 e8 00 00 00 00')).toMatchObject({ operandSize: 64, length: 6 });
    expect(decoded('66 e8 00 00', 32)).toMatchObject({ operandSize: 16, length: 4 });
    expect(decoded('66 74 05')).toMatchObject({ operandSize: 64 });
    expect(decoded('66 c3')).toMatchObject({ operandSize: 64 });
  });
});

describe('REX', () => {
  it('counts only right before the opcode', () => {
    expect(decoded('48 66 89 c8')).toMatchObject({ rex: 0, operandSize: 16 });
    expect(decoded('48 41 89 c8')).toMatchObject({ rex: 0x41, operandSize: 32, register0: 8 });
    expect(decoded('66 48 89 c8')).toMatchObject({ rex: 0x48 });
  });

  it('chooses between SPL and AH', () => {
    const high = decoded('88 e0');
    expect([REGISTER_NAMES.gpr8[high.register0], REGISTER_NAMES.gpr8[high.register1]]).toEqual(['al', 'ah']);
    const low = decoded('40 88 e0');
    expect([REGISTER_NAMES.gpr8[low.register0], REGISTER_NAMES.gpr8[low.register1]]).toEqual(['al', 'spl']);
    expect(REGISTER_NAMES.gpr8[decoded('b7 01').register0]).toBe('bh');
    expect(REGISTER_NAMES.gpr8[decoded('41 b7 01').register0]).toBe('r15b');
  });

  it('is INC and DEC outside 64-bit mode', () => {
    expect(idOf('48', 32)).toBe('DEC_r32');
    expect(idOf('40', 16)).toBe('INC_r16');
  });

  it('makes 90 an exchange by REX.B', () => {
    expect(idOf('90')).toBe('NOP');
    expect(idOf('48 90')).toBe('NOP');
    expect(idOf('66 90')).toBe('NOP');
    expect(idOf('f3 90')).toBe('PAUSE');
    expect(idOf('49 90')).toBe('XCHG_r64_RAX');
    expect(decoded('41 91')).toMatchObject({ register0: 9, register1: 0 });
  });
});

describe('segments', () => {
  it('of memory operands default to SS for rSP and rBP, else DS', () => {
    expect(decoded('8b 45 08', 32).segment).toBe(2);
    expect(decoded('8b 04 24', 32).segment).toBe(2);
    expect(decoded('8b 00', 32).segment).toBe(3);
    expect(decoded('8b 02', 16).segment).toBe(2);
    expect(decoded('8b 06 34 12', 16).segment).toBe(3);
    // An index register chooses no segment; R13 is not RBP.
    expect(decoded('8b 04 6d 00 00 00 00', 32).segment).toBe(3);
    expect(decoded('41 8b 45 08').segment).toBe(3);
  });

  it('follow the last override', () => {
    expect(decoded('26 64 8b 00', 32)).toMatchObject({ segmentOverride: 4, segment: 4 });
    expect(decoded('64 26 8b 00', 32)).toMatchObject({ segmentOverride: 0, segment: 0 });
  });

  it('ignore ES, CS, SS and DS overrides in 64-bit mode', () => {
    expect(decoded('2e 8b 00')).toMatchObject({ segmentOverride: -1, segment: 3 });
    expect(decoded('65 2e 8b 00')).toMatchObject({ segmentOverride: 5, segment: 5 });
  });

  it('of strings can be overridden at the source', () => {
    expect(decoded('a4')).toMatchObject({ segment: 3, memoryOperand: -1 });
    expect(decoded('64 a4')).toMatchObject({ segment: 4 });
    expect(decoded('64 aa')).toMatchObject({ segment: -1 });
  });
});

describe('memory operands', () => {
  it('take base, index, scale and displacement from SIB', () => {
    expect(decoded('46 8b 94 a5 78 56 34 f2')).toMatchObject({
      baseRegister: 5,
      indexRegister: 12,
      scale: 2,
      displacement: 0xf2345678 | 0,
      displacementSize: 4,
      register0: 10,
      memoryOperand: 1,
    });
    expect(decoded('8b 04 24')).toMatchObject({ baseRegister: 4, indexRegister: -1, displacementSize: 0 });
    expect(decoded('42 8b 04 20')).toMatchObject({ baseRegister: 0, indexRegister: 12 });
    expect(decoded('8b 04 25 10 00 00 00')).toMatchObject({
      baseRegister: -1,
      indexRegister: -1,
      displacement: 16,
    });
    expect(decoded('41 8b 45 f8')).toMatchObject({ baseRegister: 13, displacement: -8, displacementSize: 1 });
  });

  it('are relative to RIP in 64-bit mode only', () => {
    expect(decoded('8b 05 fc ff ff ff')).toMatchObject({ baseRegister: RIP_BASE, displacement: -4 });
    expect(decoded('41 8b 05 fc ff ff ff')).toMatchObject({ baseRegister: RIP_BASE });
    expect(decoded('8b 05 fc ff ff ff', 32)).toMatchObject({ baseRegister: -1, displacement: -4 });
    expect(decoded('67 8b 05 00 00 00 00')).toMatchObject({ baseRegister: RIP_BASE, addressSize: 32 });
  });

  it('have the eight 16-bit forms', () => {
    const forms = [0, 1, 2, 3, 4, 5, 6, 7].map((rm) => {
      const { baseRegister, indexRegister, segment } = decoded(`8b 4${rm} 80`, 16);
      return [baseRegister, indexRegister, segment];
    });
    expect(forms).toEqual([
      [3, 6, 3],
      [3, 7, 3],
      [5, 6, 2],
      [5, 7, 2],
      [6, -1, 3],
      [7, -1, 3],
      [5, -1, 2],
      [3, -1, 3],
    ]);
    expect(decoded('8b 86 fe ff', 16)).toMatchObject({ displacement: -2, displacementSize: 2 });
    expect(decoded('67 8b 1e 34 12', 32)).toMatchObject({
      baseRegister: -1,
      displacement: 0x1234,
      addressSize: 16,
    });
  });

  it('can be offsets of the address size', () => {
    expect(decoded('48 a1 88 77 66 55 44 33 22 11')).toMatchObject({
      memoryOperand: 1,
      displacement: 0x55667788,
      displacementHigh: 0x11223344,
      displacementSize: 8,
      segment: 3,
    });
    expect(decoded('67 a0 88 77 66 55')).toMatchObject({ displacementSize: 4, displacementHigh: 0 });
    expect(decoded('a2 34 12', 16)).toMatchObject({ displacementSize: 2, memoryOperand: 0 });
  });
});

describe('immediates', () => {
  it('are extended as their operand form says', () => {
    expect(decoded('83 c0 ff').immediate).toBe(-1n);
    expect(decoded('48 81 c0 00 00 00 80').immediate).toBe(-0x80000000n);
    expect(decoded('81 c0 00 00 00 80')).toMatchObject({ immediateLow: 0x80000000 | 0, immediateHigh: 0 });
    expect(decoded('b0 ff').immediate).toBe(0xffn);
    expect(decoded('48 b8 ff ff ff ff ff ff ff 7f').immediate).toBe(0x7fffffffffffffffn);
    expect(decoded('66 68 00 80').immediate).toBe(0x8000n);
    expect(decoded('eb fe').immediate).toBe(-2n);
    expect(decoded('e8 fe ff', 16).immediate).toBe(-2n);
  });

  it('come in pairs for ENTER and far pointers', () => {
    expect(decoded('c8 34 12 05')).toMatchObject({ immediateLow: 0x1234, secondImmediate: 5 });
    expect(decoded('ea 78 56 34 12 08 00', 32)).toMatchObject({
      immediateLow: 0x12345678,
      secondImmediate: 8,
    });
    expect(decoded('9a 78 56 08 00', 16)).toMatchObject({ immediateLow: 0x5678, secondImmediate: 8 });
  });
});

describe('prefixes that belong to the opcode', () => {
  it('select among rows of one opcode', () => {
    expect(idOf('0f bc c1')).toBe('BSF_r32_rm32');
    expect(idOf('f3 0f bc c1')).toBe('TZCNT_r32_rm32');
    expect(idOf('66 f3 0f bd c1')).toBe('LZCNT_r16_rm16');
    expect(idOf('f3 0f c7 30')).toBe('VMXON_m64');
    expect(idOf('66 0f c7 30')).toBe('VMCLEAR_m64');
    expect(idOf('0f c7 30')).toBe('VMPTRLD_m64');
    expect(idOf('0f ae e8')).toBe('LFENCE');
    expect(idOf('f3 48 0f ae c0')).toBe('RDFSBASE_r64');
  });

  it('let the last of F2 and F3 win', () => {
    expect(idOf('f2 f3 0f b8 c1')).toBe('POPCNT_r32_rm32');
    expect(statusOf('f3 f2 0f b8 c1')).toBe(DecodeStatus.INVALID);
    expect(decoded('f2 f3 a4').prefixes & (PREFIX.REP | PREFIX.REPNE)).toBe(PREFIX.REP);
    expect(decoded('f3 f2 a6').prefixes & (PREFIX.REP | PREFIX.REPNE)).toBe(PREFIX.REPNE);
  });

  it('must be absent where the manual says NP or NFx', () => {
    expect(statusOf('66 0f 01 c2')).toBe(DecodeStatus.INVALID);
    expect(statusOf('f3 0f 78 c1')).toBe(DecodeStatus.INVALID);
    expect(statusOf('66 0f ae 00')).toBe(DecodeStatus.INVALID);
    expect(statusOf('f2 0f c7 f0')).toBe(DecodeStatus.INVALID);
    expect(idOf('66 0f c7 f0')).toBe('RDRAND_r16');
  });

  it('LOCK wants a lockable row and a memory destination', () => {
    expect(decoded('f0 48 01 08').prefixes & PREFIX.LOCK).toBe(PREFIX.LOCK);
    expect(idOf('f0 0f b1 08')).toBe('CMPXCHG_rm32_r32');
    expect(statusOf('f0 48 01 c8')).toBe(DecodeStatus.INVALID);
    expect(statusOf('f0 48 03 08')).toBe(DecodeStatus.INVALID);
    expect(statusOf('f0 89 08')).toBe(DecodeStatus.INVALID);
    expect(statusOf('f0 39 08')).toBe(DecodeStatus.INVALID);
    expect(statusOf('f0 90')).toBe(DecodeStatus.INVALID);
  });
});

describe('registers that do not exist', () => {
  it.each(['8e c8', '8e f0', '8c f0', '0f 20 c8', '0f 20 e8', '44 0f 20 c8', '44 0f 21 c0', '0f 22 f8'])(
    '%s is invalid',
    (text) => {
      expect(statusOf(text)).toBe(DecodeStatus.INVALID);
    },
  );

  it('leave CR8 to REX.R and the mod field of MOV CR without meaning', () => {
    expect(decoded('44 0f 20 c0')).toMatchObject({ register0: 0, register1: 8 });
    expect(decoded('0f 20 18')).toMatchObject({ register0: 0, register1: 3, memoryOperand: -1, length: 3 });
    expect(decoded('0f 22 1d')).toMatchObject({ register0: 3, register1: 5, length: 3 });
  });
});

describe('code sizes', () => {
  it.each([
    '06',
    '27',
    '37',
    '60',
    '62 00',
    '82 c0 01',
    '9a 00 00 00 00 00 00',
    'c4 00',
    'ce',
    'd4 0a',
    'd6',
  ])('%s does not exist in 64-bit mode', (text) => {
    expect(statusOf(text)).toBe(DecodeStatus.INVALID);
    expect(statusOf(text, 32)).toBe(DecodeStatus.OK);
  });

  it.each(['0f 05', '0f 07', '0f 01 f8', 'f3 0f ae c0'])('%s exists in 64-bit mode only', (text) => {
    expect(statusOf(text)).toBe(DecodeStatus.OK);
    expect(statusOf(text, 32)).toBe(DecodeStatus.INVALID);
    expect(statusOf(text, 16)).toBe(DecodeStatus.INVALID);
  });

  it('choose JCXZ by address size', () => {
    expect(['e3 00', '67 e3 00'].map((text) => idOf(text, 16))).toEqual(['JCXZ_rel8', 'JECXZ_rel8']);
    expect(['e3 00', '67 e3 00'].map((text) => idOf(text, 32))).toEqual(['JECXZ_rel8', 'JCXZ_rel8']);
    expect(['e3 00', '67 e3 00'].map((text) => idOf(text, 64))).toEqual(['JRCXZ_rel8', 'JECXZ_rel8']);
  });
});

describe('length', () => {
  it('ends at fifteen bytes', () => {
    expect(statusOf('66'.repeat(14) + '90')).toBe(DecodeStatus.OK);
    expect(statusOf('66'.repeat(15) + '90')).toBe(DecodeStatus.INVALID);
    expect(statusOf('66'.repeat(12) + '81 c0 34 12', 32)).toBe(DecodeStatus.INVALID);
    expect(statusOf('66'.repeat(11) + '81 c0 34 12', 32)).toBe(DecodeStatus.OK);
  });

  it('asks for more while the instruction may still become one', () => {
    expect(statusOf('')).toBe(DecodeStatus.NEEDS_MORE);
    expect(statusOf('66'.repeat(14))).toBe(DecodeStatus.NEEDS_MORE);
    expect(statusOf('66'.repeat(15))).toBe(DecodeStatus.INVALID);
    expect(statusOf('0f')).toBe(DecodeStatus.NEEDS_MORE);
    expect(statusOf('0f 38')).toBe(DecodeStatus.NEEDS_MORE);
    expect(statusOf('48 8b 05 00 00')).toBe(DecodeStatus.NEEDS_MORE);
  });

  it('never reads past the end that it was given', () => {
    const bytes = bytesOf('90 48 8b 05 00 00 00 00');
    expect(decode(bytes, 1, 7, 64, new Instruction())).toBe(DecodeStatus.NEEDS_MORE);
    expect(decode(bytes, 1, 8, 64, new Instruction())).toBe(DecodeStatus.OK);
  });
});

describe('the record', () => {
  it('keeps nothing of the instructions decoded into it before', () => {
    const random = new RandomSource(11);
    const reused = new Instruction();
    for (let n = 0; n < 20_000; n++) {
      const encoding = random.pick(ENCODINGS);
      const codeSize = random.pick(codeSizesOf(encoding));
      const bytes = generateInstruction(encoding, codeSize, random);
      const fresh = new Instruction();
      decode(bytes, 0, bytes.length, codeSize, fresh);
      decode(bytes, 0, bytes.length, codeSize, reused);
      for (const key of Object.keys(fresh) as (keyof Instruction)[])
        if (reused[key] !== fresh[key])
          expect.fail(`${encoding.id}: ${key} ${reused[key]}, not ${fresh[key]}`);
    }
  });

  it('is independent after clone', () => {
    const out = decoded('48 01 c8');
    const copy = out.clone();
    const bytes = bytesOf('90');
    decode(bytes, 0, 1, 64, out);
    expect(copy.encoding.id).toBe('ADD_rm64_r64');
    expect(out.encoding.id).toBe('NOP');
  });
});

describe('sweep', () => {
  it('cuts bytes into instructions and single undecodable bytes', () => {
    const pieces = [...sweep(bytesOf('48 01 c8 06 90 0f'), 64)];
    expect(
      pieces.map(({ offset, length, instruction }) => [offset, length, instruction?.encoding.id]),
    ).toEqual([
      [0, 3, 'ADD_rm64_r64'],
      [3, 1, undefined],
      [4, 1, 'NOP'],
      [5, 1, undefined],
    ]);
  });
});
