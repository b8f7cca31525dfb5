import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { CR0, CR4 } from '../../src/architecture/control-registers.js';
import { FXSAVE } from '../../src/architecture/floating-point.js';
import { GPR } from '../../src/architecture/registers.js';
import { RFLAGS } from '../../src/architecture/rflags.js';
import { VECTOR } from '../../src/architecture/vectors.js';
import { UnimplementedInstructionError } from '../../src/processor/errors.js';
import {
  DOUBLE,
  extendBinary,
  extendInteger,
  SINGLE,
} from '../../src/processor/floating-point/conversion.js';
import { loadFxsaveImage, storeFxsaveImage } from '../../src/processor/floating-point/index.js';
import type { Extended } from '../../src/processor/floating-point/x87-state.js';
import { X87State } from '../../src/processor/floating-point/x87-state.js';
import { STATE } from '../../src/processor/state/layout.js';
import { RandomSource } from '../support/random-source.js';
import { inTemporaryFolder, runTool, skipNote } from '../support/tools.js';
import { LAYOUT, SystemGuest } from './system-guest.js';

const skipped = skipNote('nasm');
const { NM, UD, GP, MF } = VECTOR;
const D = LAYOUT.DATA;

function run(text: string, prepare?: (guest: SystemGuest) => void): SystemGuest {
  const guest = new SystemGuest();
  guest.state.writeGpr(GPR.RBX, BigInt(D));
  prepare?.(guest);
  guest.run(`${text}; hlt`);
  return guest;
}

/** The exception of the first instruction of `text`. */
function faultOf(text: string, prepare: (guest: SystemGuest) => void): number | undefined {
  const guest = new SystemGuest();
  guest.state.writeGpr(GPR.RBX, BigInt(D));
  prepare(guest);
  guest.processor.caches.modeChanged();
  guest.step(text);
  return guest.frame?.vector;
}

const setCr0 = (bits: number) => (guest: SystemGuest) => {
  guest.state.cr0 |= bits;
};

describe.skipIf(skipped !== '')(`availability (SDM Vol. 3A, Table 9-3 and 2.5)${skipped}`, () => {
  it.each([
    // text, CR0.EM, CR0.TS, CR0.MP with TS, all of them with CR4.OSFXSR set
    ['fld1', NM, NM, NM],
    ['fninit', NM, NM, NM],
    ['fnstsw ax', NM, NM, NM],
    ['fsin', NM, NM, NM],
    ['fwait', undefined, undefined, NM],
    ['fxsave [rbx]', NM, NM, NM],
    ['fxrstor [rbx]', NM, NM, NM],
    ['ldmxcsr [rbx]', UD, NM, NM],
    ['stmxcsr [rbx]', UD, NM, NM],
  ])('%s', (text, em, ts, mp) => {
    expect(faultOf(text, setCr0(CR0.EM))).toBe(em);
    expect(faultOf(text, setCr0(CR0.TS))).toBe(ts);
    expect(faultOf(text, setCr0(CR0.TS | CR0.MP))).toBe(mp);
  });

  it('MXCSR needs CR4.OSFXSR; FXSAVE an aligned address', () => {
    const withoutSse = (guest: SystemGuest): void => {
      guest.state.cr4 &= ~CR4.OSFXSR;
    };
    expect(faultOf('ldmxcsr [rbx]', withoutSse)).toBe(UD);
    expect(faultOf('fxsave [rbx+8]', () => {})).toBe(GP);
    expect(faultOf('fxrstor [rbx+1]', () => {})).toBe(GP);
  });

  it('an instruction without a meaning yet is a typed error with its bytes', () => {
    const guest = new SystemGuest();
    expect(() => guest.step('fsin')).toThrow(UnimplementedInstructionError);
    try {
      guest.step('fsin');
    } catch (problem) {
      expect(problem).toMatchObject({
        code: 'unimplemented-instruction',
        mnemonic: 'FSIN',
        rip: BigInt(LAYOUT.CODE),
        bytes: Uint8Array.of(0xd9, 0xfe),
        message: 'FSIN (d9 fe) at 0x100000 is not implemented',
      });
    }
  });
});

describe('an instruction without a meaning at the end of RAM', () => {
  it('is still a typed error: the bytes behind RAM are those of an open bus', () => {
    const guest = new SystemGuest();
    guest.load(0x3fffff, [0xd9]);
    guest.state.rip = 0x3fffffn;
    expect(() => guest.processor.step()).toThrow('FCOS (d9 ff) at 0x3fffff is not implemented');
  });
});

describe.skipIf(skipped !== '')(`control (SDM Vol. 1, 8.1)${skipped}`, () => {
  it('FNINIT: control 37FH, status 0, all empty', () => {
    const x87 = new X87State(run('fld1; fninit').state);
    expect([x87.controlWord, x87.statusWord, x87.tags]).toEqual([0x37f, 0, 0]);
  });

  it('FNSTCW, FLDCW, FNSTSW', () => {
    const guest = run('fld1; fnstsw ax; mov word [rbx], 0x0c20; fldcw [rbx]; fnstcw [rbx+2]; fnstsw [rbx+4]');
    expect(guest.state.readGpr(GPR.RAX)).toBe(0x3800n);
    expect(guest.read64(D)).toBe(0x3800_0c60_0c20n);
  });

  it('an exception that is unmasked later is pending: ES, then #MF at the next waiting instruction', () => {
    const prepare = (guest: SystemGuest): void => {
      const x87 = new X87State(guest.state);
      x87.statusWord = 1;
      x87.controlWord = 0x37e;
    };
    expect(new X87State(run('nop', prepare).state).statusWord).toBe(0x8081);
    for (const text of ['fwait', 'fld1', 'fldcw [rbx]']) expect(faultOf(text, prepare)).toBe(MF);
    for (const text of ['fnstsw ax', 'fnclex', 'fninit', 'fnstcw [rbx]'])
      expect(faultOf(text, prepare)).toBeUndefined();
    const cleared = run('fnclex; fld1', prepare);
    expect(new X87State(cleared.state).statusWord).toBe(0x3800);
  });

  it('LDMXCSR refuses reserved bits; STMXCSR stores', () => {
    expect(faultOf('ldmxcsr [rbx]', (guest) => guest.write64(D, 0x10000n))).toBe(GP);
    const guest = run('mov dword [rbx], 0x7f80; ldmxcsr [rbx]; stmxcsr [rbx+4]');
    expect(guest.read64(D)).toBe(0x7f80_0000_7f80n);
  });
});

describe.skipIf(skipped !== '')(`moves (SDM Vol. 2A)${skipped}`, () => {
  const st = (guest: SystemGuest, index: number): Extended => new X87State(guest.state).read(index);
  const ONE = { significand: 1n << 63n, signExponent: 0x3fff };
  const MINUS_ONE = { significand: 1n << 63n, signExponent: 0xbfff };

  it('FLD1, FLDZ, FXCH, FCHS, FABS', () => {
    const guest = run('fld1; fldz; fxch; fchs; fld st0; fabs');
    expect([0, 1, 2].map((n) => st(guest, n))).toEqual([
      ONE,
      MINUS_ONE,
      { significand: 0n, signExponent: 0 },
    ]);
    expect(new X87State(guest.state).tags).toBe(0xe0);
  });

  it('FLD and FSTP m80 move any bits', () => {
    const guest = run('fld tword [rbx]; fstp tword [rbx+16]', (other) => {
      other.write64(D, 0x0123456789abcdefn);
      other.write64(D + 8, 0xffffn);
    });
    expect(guest.read64(D + 16)).toBe(0x0123456789abcdefn);
    expect(guest.read64(D + 24) & 0xffffn).toBe(0xffffn);
    expect(new X87State(guest.state).tags).toBe(0);
  });

  it('FST to a register overwrites it, FSTP pops, FFREE empties, FINCSTP turns', () => {
    const guest = run('fldz; fld1; fst st1; ffree st0; fincstp');
    const x87 = new X87State(guest.state);
    expect(st(guest, 0)).toEqual(ONE);
    expect([x87.top, x87.tags]).toEqual([7, 0x80]);
    const popped = run('fldz; fld1; fstp st1');
    expect([st(popped, 0), new X87State(popped.state).tags]).toEqual([ONE, 0x80]);
  });

  it('a ninth push overflows: indefinite, IE, SF and C1 (Vol. 1, 8.5.1.1)', () => {
    const guest = run('times 9 fld1');
    expect(st(guest, 0)).toEqual({ significand: 0xc000000000000000n, signExponent: 0xffff });
    expect(new X87State(guest.state).statusWord).toBe(0x0241 | (7 << 11));
  });

  it('an empty source underflows: C1 clear', () => {
    const guest = run('fchs');
    expect(st(guest, 0).signExponent).toBe(0xffff);
    expect(new X87State(guest.state).statusWord).toBe(0x41);
  });

  it('an unmasked stack fault leaves the stack alone', () => {
    const guest = run('times 9 fld1', (other) => {
      new X87State(other.state).controlWord = 0x37e;
    });
    const x87 = new X87State(guest.state);
    expect([x87.statusWord & 0x80ff, x87.top, st(guest, 0)]).toEqual([0x80c1, 0, ONE]);
  });

  it.each([
    ['fcmovb st0, st1', RFLAGS.CF, true],
    ['fcmovnb st0, st1', RFLAGS.CF, false],
    ['fcmove st0, st1', RFLAGS.ZF, true],
    ['fcmovbe st0, st1', RFLAGS.ZF, true],
    ['fcmovu st0, st1', RFLAGS.PF, true],
    ['fcmovnu st0, st1', 0, true],
    ['fcmovnbe st0, st1', RFLAGS.CF, false],
  ])('%s with flags 0x%x', (text, flags, moves) => {
    const guest = run(`fld1; fldz; push ${flags | 2}; popfq; ${text}`);
    expect(st(guest, 0)).toEqual(moves ? ONE : { significand: 0n, signExponent: 0 });
  });

  it.each([
    ['fldz', 0x4000],
    ['fld1', 0x400],
    ['fld1; fchs', 0x600],
    ['nop', 0x4100],
  ])('FXAM after %s', (text, conditions) => {
    const { statusWord } = new X87State(run(`${text}; fxam`).state);
    expect(statusWord & 0x4700).toBe(conditions);
  });
});

describe.skipIf(skipped !== '')(`saving the state (SDM Vol. 1, 8.1.10 and 10.5)${skipped}`, () => {
  /** An FXSAVE area with recognizable contents. */
  function image(): Uint8Array {
    const bytes = Uint8Array.from({ length: 512 }, (_, n) => (n * 37 + 5) & 0xff);
    const view = new DataView(bytes.buffer);
    view.setUint16(FXSAVE.CONTROL_WORD, 0x27f, true);
    view.setUint16(FXSAVE.STATUS_WORD, 0x3a00, true);
    view.setUint16(FXSAVE.TAGS, 0xc3, true);
    view.setUint16(FXSAVE.OPCODE, 0x123, true);
    view.setUint32(FXSAVE.MXCSR, 0x1fa0, true);
    view.setUint32(FXSAVE.MXCSR_MASK, 0xffff, true);
    return bytes;
  }

  it('FXRSTOR64 and FXSAVE64 round-trip 416 bytes and leave the rest of the area alone', () => {
    const guest = run('fxrstor64 [rbx]; fxsave64 [rbx+0x400]', (other) => {
      other.load(D, image());
      other.load(D + 0x400, new Uint8Array(512).fill(0xee));
    });
    const saved = guest.machine.memory.bytes.slice(D + 0x400, D + 0x600);
    expect(saved.slice(0, 416)).toEqual(image().slice(0, 416));
    expect(saved.slice(416)).toEqual(new Uint8Array(96).fill(0xee));
  });

  it('without REX.W the pointers have 32 bits', () => {
    const guest = run('fxrstor64 [rbx]; fxsave [rbx+0x400]', (other) => other.load(D, image()));
    const view = new DataView(image().buffer);
    expect(guest.read64(D + 0x408)).toBe(BigInt(view.getUint32(8, true)));
    expect(guest.read64(D + 0x410)).toBe(BigInt(view.getUint32(16, true)));
  });

  it('FXRSTOR with reserved MXCSR bits raises #GP and changes nothing', () => {
    const guest = new SystemGuest();
    guest.state.writeGpr(GPR.RBX, BigInt(D));
    guest.load(D, image());
    guest.load(D + FXSAVE.MXCSR + 2, [1]);
    const before = guest.state.bytes.slice(STATE.FXSAVE_IMAGE, STATE.FXSAVE_IMAGE + 512);
    guest.step('fxrstor [rbx]');
    expect(guest.frame).toMatchObject({ vector: GP, errorCode: 0 });
    expect(guest.state.bytes.slice(STATE.FXSAVE_IMAGE, STATE.FXSAVE_IMAGE + 512)).toEqual(before);
  });

  it('the helpers for physical memory do the same', () => {
    const { state } = new SystemGuest();
    expect(loadFxsaveImage(state, image())).toBe(true);
    const target = new Uint8Array(512);
    storeFxsaveImage(state, target);
    expect(target.slice(0, 416)).toEqual(image().slice(0, 416));
    const bad = image();
    bad[FXSAVE.MXCSR + 3] = 1;
    expect(loadFxsaveImage(state, bad)).toBe(false);
  });

  it('FNSTENV writes full tags and masks exceptions; FLDENV brings them back', () => {
    const guest = run('fldz; fld1; fnstenv [rbx]; fnstcw [rbx+64]; fninit; fldenv [rbx]', (other) => {
      new X87State(other.state).controlWord = 0x340;
    });
    // ST0 = 1 is physical register 6 (valid), ST1 = 0 is register 7 (zero), the others are empty.
    expect(guest.read64(D)).toBe(0xffff3000_ffff0340n);
    expect(Number(guest.read64(D + 8) & 0xffffffffn)).toBe(0xffff4fff);
    expect(guest.read64(D + 64) & 0xffffn).toBe(0x37fn);
    const x87 = new X87State(guest.state);
    expect([x87.controlWord, x87.top, x87.tags]).toEqual([0x340, 6, 0xc0]);
  });

  it('FNSAVE initializes, FRSTOR brings registers back', () => {
    const guest = run('fldz; fld1; fnsave [rbx]; fnstsw [rbx+256]; frstor [rbx]');
    const x87 = new X87State(guest.state);
    expect(guest.read64(D + 256) & 0xffffn).toBe(0n);
    expect([x87.top, x87.tags]).toEqual([6, 0xc0]);
    expect(x87.read(0)).toEqual({ significand: 1n << 63n, signExponent: 0x3fff });
    expect(guest.read64(D + 28)).toBe(1n << 63n);
  });
});

/** The processor itself: reads kind and bits, loads and stores as 80 bits. */
const NATIVE = `
#include <stdio.h>
#include <stdint.h>
int main(void) {
  int kind; uint64_t bits;
  while (scanf("%d %lx", &kind, &bits) == 2) {
    unsigned char out[16] = {0}; uint16_t status;
    asm volatile("fninit");
    if (kind == 0) asm volatile("flds %0" :: "m"(*(float*)&bits));
    if (kind == 1) asm volatile("fldl %0" :: "m"(*(double*)&bits));
    if (kind == 2) asm volatile("fildll %0" :: "m"(*(int64_t*)&bits));
    asm volatile("fnstsw %0" : "=m"(status));
    asm volatile("fstpt %0" : "=m"(out));
    printf("%lx %x %x\\n", *(uint64_t*)out, *(uint16_t*)(out + 8), status & 0x3f);
  }
}`;

function nativeResults(input: string): string[] {
  return inTemporaryFolder((folder) => {
    writeFileSync(join(folder, 'load.c'), NATIVE);
    runTool('gcc', '-O1', '-o', join(folder, 'load'), join(folder, 'load.c'));
    return spawnSync(join(folder, 'load'), { input, encoding: 'utf8' }).stdout.trim().split('\n');
  });
}

const noCompiler = process.arch === 'x64' ? skipNote('gcc') : ' (skipped: not an x86-64 host)';

describe.skipIf(noCompiler !== '')(`conversions beside the host's processor${noCompiler}`, () => {
  it('FLD m32, FLD m64 and FILD m64 agree on values, NaNs, denormals and flags', () => {
    const random = new RandomSource(8087);
    const edges: [number, bigint][] = [
      [0, 0n],
      [0, 0x80000000n],
      [0, 1n],
      [0, 0x7f800000n],
      [0, 0x7f800001n],
      [0, 0xffc00000n],
      [1, 1n],
      [1, 0x7ff0000000000000n],
      [1, 0xfff0000000000001n],
      [1, 0x000fffffffffffffn],
      [2, 0n],
      [2, 1n << 63n],
      [2, (1n << 64n) - 1n],
    ];
    const cases = [...edges];
    for (let n = 0; n < 3000; n++) {
      const bits = (BigInt(random.below(0x100000000)) << 32n) | BigInt(random.below(0x100000000));
      const kind = n % 3;
      cases.push([kind, kind === 0 ? bits & 0xffffffffn : bits >> BigInt(n % 60)]);
    }
    const expected = nativeResults(cases.map(([kind, bits]) => `${kind} ${bits.toString(16)}`).join('\n'));
    expect(expected.length).toBe(cases.length);
    const actual = cases.map(([kind, bits]) => {
      const { value, exceptions } =
        kind === 2
          ? { value: extendInteger(BigInt.asIntN(64, bits)), exceptions: 0 }
          : extendBinary(bits, kind === 0 ? SINGLE : DOUBLE);
      return `${value.significand.toString(16)} ${value.signExponent.toString(16)} ${exceptions.toString(16)}`;
    });
    expect(actual).toEqual(expected);
  });
});
