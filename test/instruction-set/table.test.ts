import { describe, expect, it } from 'vitest';
import {
  ENCODINGS,
  encodingById,
  encodingsByMnemonic,
  FAMILIES,
  MalformedRowError,
} from '../../src/instruction-set/index.js';
import { parseFamilies } from '../../src/instruction-set/row-parser.js';

const parse = (...rows: string[]) => parseFamilies([{ family: 'arithmetic', rows }]);

describe('the table of encodings', () => {
  it('numbers its rows densely and names each of them once', () => {
    expect(ENCODINGS.map((encoding) => encoding.index)).toEqual(ENCODINGS.map((_, index) => index));
    expect(new Set(ENCODINGS.map((encoding) => encoding.id)).size).toBe(ENCODINGS.length);
  });

  it('has rows in every family', () => {
    const families = new Set(ENCODINGS.map((encoding) => encoding.family));
    expect([...families].sort()).toEqual([...FAMILIES].sort());
  });

  it('finds rows by id, by mnemonic and by alias', () => {
    expect(encodingById('ADD_rm64_r64')?.pattern).toBe('o64 01 /r');
    expect(encodingById('ADD_rm128_r128')).toBeUndefined();
    expect(encodingsByMnemonic('JZ')).toEqual(encodingsByMnemonic('JE'));
    expect(encodingsByMnemonic('JE').map((encoding) => encoding.id)).toEqual([
      'JE_rel8',
      'JE_rel16',
      'JE_rel32_o32',
      'JE_rel32_o64',
    ]);
    expect(encodingsByMnemonic('IRET').map((encoding) => encoding.mnemonic)).toEqual(['IRETW', 'IRETD']);
    expect(encodingsByMnemonic('NONSENSE')).toEqual([]);
  });

  it('covers the instructions that the manual lists for these families', () => {
    const missing = REQUIRED_MNEMONICS.filter((mnemonic) => encodingsByMnemonic(mnemonic).length === 0);
    expect(missing).toEqual([]);
  });
});

describe('expansion of a row', () => {
  it('makes one row per operand size, 64 bits only for 64-bit code', () => {
    const rows = parse('ADD r/mv, immz | ov 81 /0 iz | rw,r lock | w:oszapc');
    expect(rows.map((row) => row.id)).toEqual(['ADD_rm16_imm16', 'ADD_rm32_imm32', 'ADD_rm64_imm32']);
    expect(rows.map((row) => row.pattern)).toEqual(['o16 81 /0 iw', 'o32 81 /0 id', 'o64 81 /0 id']);
    expect(rows.map((row) => [row.valid16, row.valid32, row.valid64])).toEqual([
      [true, true, true],
      [true, true, true],
      [false, false, true],
    ]);
    expect(rows[2]!.operands[1]).toMatchObject({ width: 64, encodedWidth: 32, signExtended: true });
    expect(rows[1]!.operands[1]).toMatchObject({ width: 32, encodedWidth: 32, signExtended: false });
  });

  it('leaves out sizes that a default of 64 bits makes unreachable', () => {
    const rows = parse('PUSH rv | ov 50+r | r d64');
    expect(rows.map((row) => [row.operandSize, row.valid32, row.valid64])).toEqual([
      [16, true, true],
      [32, true, false],
      [64, false, true],
    ]);
  });

  it('makes sixteen rows of a condition, with synonyms and flags', () => {
    const rows = parse('SETcc r/m8 | 0F 90+cc /r | w @aliases | r:cc');
    expect(rows.length).toBe(16);
    expect(rows[4]).toMatchObject({ mnemonic: 'SETE', aliases: ['SETZ'], opcode: 0x94, flagsRead: 0x40 });
    expect(rows[15]).toMatchObject({ mnemonic: 'SETG', aliases: ['SETNLE'], opcode: 0x9f, flagsRead: 0x8c0 });
  });

  it('tells ModRM.reg from ModRM.rm', () => {
    const [fromControl] = parse('MOV r64, CRn | 0F 20 /r | w,r only64 f64 anymod');
    expect(fromControl!.operands.map((operand) => operand.slot)).toEqual(['rm', 'reg']);
    const [compare] = parse('CMPXCHG8B m64 | 0F C7 /1 | rw');
    expect(compare).toMatchObject({ map: 1, opcode: 0xc7, modrmReg: 1, modrmMode: 'memory' });
    const [launch] = parse('VMLAUNCH | NP 0F 01 C2 | cpl0');
    expect(launch).toMatchObject({ opcode: 0x01, modrmFixed: 0xc2, noPrefix: true, privilege: 'cpl0' });
  });
});

describe('a malformed row', () => {
  it.each([
    ['ADD r/m32, r32', 'two to four fields'],
    ['ADD r/m33, r32 | o32 01 /r | rw,r', "unknown operand 'r/m33'"],
    ['ADD r/m32, r32 | o32 01 /r | rw', 'one access per operand'],
    ['ADD r/m32, r32 | o32 01 /r | rw,x', "unknown access 'x'"],
    ['ADD r/m32, r32 | o32 01 /q | rw,r', "unknown pattern token '/q'"],
    ['ADD r/m32, r32 | o32 01 /r | rw,r lokc', "unknown attribute 'lokc'"],
    ['ADD r/m32, r32 | o32 01 /r | rw,r | w:q', "unknown flag 'q'"],
    ['ADD r/m32, r32 | o32 01 /r | rw,r | x:c', "unknown flag field 'x:c'"],
    ['ADD r/m32, imm8 | o32 83 /0 | rw,r', 'immediates of operands and pattern differ'],
    ['ADD r/m32, imm8 | o32 83 /0 iw | rw,r', 'immediates of operands and pattern differ'],
    ['ADD r/m32, r32 | o32 01 | rw,r', 'operands do not fit ModRM'],
    ['PUSH r32 | o32 50 | r', 'operands do not fit ModRM'],
    ['PUSH imm8 | 6A+r ib | r', 'operands do not fit +r'],
    ['NOP | o32', 'opcode expected'],
    ['NOP | 0F 01 C0 /0', 'two ModRM bytes'],
  ])('%s: %s', (row, reason) => {
    expect(() => parse(row)).toThrow(MalformedRowError);
    expect(() => parse(row)).toThrow(reason);
    expect(() => parse(row)).toThrow(row);
  });

  it('may not take the id of another row', () => {
    expect(() => parse('CLC | F8', 'CLC | F9')).toThrow('id CLC is taken');
  });
});

const REQUIRED_MNEMONICS = `
  MOV MOVZX MOVSX MOVSXD XCHG BSWAP XADD CMPXCHG CMPXCHG8B CMPXCHG16B CBW CWDE CDQE CWD CDQ CQO MOVBE
  PUSH POP PUSHA PUSHAD POPA POPAD PUSHF PUSHFD PUSHFQ POPF POPFD POPFQ ENTER LEAVE
  ADD ADC SUB SBB CMP INC DEC NEG MUL IMUL DIV IDIV DAA DAS AAA AAS AAM AAD AND OR XOR NOT TEST
  SAR SHR SAL SHL SHRD SHLD ROR ROL RCR RCL BT BTS BTR BTC BSF BSR TZCNT LZCNT POPCNT
  CMOVA CMOVNBE CMOVAE CMOVNB CMOVB CMOVNAE CMOVBE CMOVNA CMOVC CMOVNC CMOVE CMOVZ CMOVNE CMOVNZ CMOVG CMOVGE
  CMOVL CMOVLE CMOVO CMOVNO CMOVP CMOVPE CMOVNP CMOVPO CMOVS CMOVNS SETO SETNC SETZ SETNLE JO JC JNC JPO JNGE
  MOVSB MOVSW MOVSD MOVSQ CMPSB CMPSW CMPSD CMPSQ SCASB SCASW SCASD SCASQ LODSB LODSW LODSD LODSQ
  STOSB STOSW STOSD STOSQ INSB INSW INSD OUTSB OUTSW OUTSD IN OUT
  JMP CALL RET RETF LOOP LOOPE LOOPZ LOOPNE LOOPNZ JCXZ JECXZ JRCXZ INT INT3 INTO INT1 IRET IRETD IRETQ BOUND
  CLC STC CMC CLD STD CLI STI LAHF SAHF LDS LES LFS LGS LSS ARPL LAR LSL VERR VERW
  RDFSBASE RDGSBASE WRFSBASE WRGSBASE LEA XLAT XLATB CPUID NOP PAUSE UD0 UD1 UD2
  PREFETCHNTA PREFETCHT0 PREFETCHT1 PREFETCHT2 PREFETCHW CLFLUSH CLFLUSHOPT LFENCE MFENCE SFENCE RDRAND RDSEED
  CLTS LMSW SMSW LGDT LIDT SGDT SIDT LLDT SLDT LTR STR INVLPG INVPCID INVD WBINVD HLT RSM RDMSR WRMSR RDTSC
  RDTSCP RDPMC XGETBV XSETBV MONITOR MWAIT CLAC STAC SYSCALL SYSRET SYSENTER SYSEXIT SWAPGS
  VMXON VMXOFF VMCLEAR VMPTRLD VMPTRST VMREAD VMWRITE VMLAUNCH VMRESUME VMCALL VMFUNC INVEPT INVVPID
  FXSAVE FXSAVE64 FXRSTOR FXRSTOR64 LDMXCSR STMXCSR XSAVE XSAVE64 XRSTOR XRSTOR64 XSAVEOPT XSAVEC XSAVES XRSTORS
  FLD FST FSTP FILD FIST FISTP FISTTP FBLD FBSTP FXCH FCMOVE FCMOVNE FCMOVB FCMOVBE FCMOVNB FCMOVNBE FCMOVU FCMOVNU
  FADD FADDP FIADD FSUB FSUBP FISUB FSUBR FSUBRP FISUBR FMUL FMULP FIMUL FDIV FDIVP FIDIV FDIVR FDIVRP FIDIVR
  FPREM FPREM1 FABS FCHS FRNDINT FSCALE FSQRT FXTRACT FCOM FCOMP FCOMPP FUCOM FUCOMP FUCOMPP FICOM FICOMP FCOMI
  FUCOMI FCOMIP FUCOMIP FTST FXAM FSIN FCOS FSINCOS FPTAN FPATAN F2XM1 FYL2X FYL2XP1 FLD1 FLDZ FLDPI FLDL2E FLDLN2
  FLDL2T FLDLG2 FINCSTP FDECSTP FFREE FNINIT FNCLEX FNSTCW FLDCW FNSTENV FLDENV FNSAVE FRSTOR FNSTSW WAIT FWAIT FNOP
`
  .trim()
  .split(/\s+/);
