import { describe, expect, it } from 'vitest';
import { GPR, SEGMENT } from '../../src/architecture/registers.js';
import { RFLAGS } from '../../src/architecture/rflags.js';
import { VECTOR } from '../../src/architecture/vectors.js';
import { STATE } from '../../src/processor/state/layout.js';
import { skipNote } from '../support/tools.js';
import { descriptor, gate64, LAYOUT, SELECTOR, SystemGuest } from './system-guest.js';

const skipped = skipNote('nasm');
const { GP, NP, SS } = VECTOR;

describe.skipIf(skipped !== '')(
  `segment registers (SDM Vol. 2B, MOV; Vol. 3A, 5.6 and 5.7)${skipped}`,
  () => {
    it.each([
      ['ds', SELECTOR.DATA, undefined, undefined],
      ['ds', SELECTOR.READ_ONLY, undefined, undefined],
      ['es', SELECTOR.CODE64, undefined, undefined],
      ['es', 0, undefined, undefined],
      ['es', 3, undefined, undefined],
      ['ds', SELECTOR.CODE64 | 3, GP, SELECTOR.CODE64],
      ['ds', SELECTOR.CONFORMING | 3, undefined, undefined],
      ['ds', SELECTOR.EXECUTE_ONLY, GP, SELECTOR.EXECUTE_ONLY],
      ['ds', SELECTOR.TSS, GP, SELECTOR.TSS],
      ['ds', SELECTOR.BEYOND, GP, SELECTOR.BEYOND],
      ['ds', SELECTOR.ABSENT_DATA, NP, SELECTOR.ABSENT_DATA],
      ['ds', SELECTOR.DATA | 4, GP, SELECTOR.DATA | 4],
      ['ss', SELECTOR.DATA, undefined, undefined],
      ['ss', 0, undefined, undefined],
      ['ss', 1, GP, 0],
      ['ss', SELECTOR.USER_DATA, GP, SELECTOR.USER_DATA],
      ['ss', SELECTOR.READ_ONLY, GP, SELECTOR.READ_ONLY],
      ['ss', SELECTOR.ABSENT_DATA, SS, SELECTOR.ABSENT_DATA],
    ])('mov %s, 0x%x at CPL 0', (name, selector, vector, errorCode) => {
      const guest = new SystemGuest();
      guest.state.writeGpr(GPR.RAX, BigInt(selector));
      guest.step(`mov ${name}, ax`);
      const number = name === 'ds' ? SEGMENT.DS : name === 'es' ? SEGMENT.ES : SEGMENT.SS;
      if (vector === undefined) {
        expect(guest.state.segment(number).selector).toBe(selector);
        expect(guest.state.rip).toBe(BigInt(LAYOUT.CODE + 2));
        expect(guest.state.segment(number).unusable).toBe((selector & ~3) === 0);
        expect(guest.state.cpl).toBe(0);
      } else expect(guest.frame).toMatchObject({ vector, errorCode });
    });

    it('loads base, limit and attributes, and marks the descriptor accessed', () => {
      const guest = new SystemGuest();
      guest.write64(LAYOUT.GDT + 0xb0, descriptor(0x12345678, 0xabcdfff, 0xd0f2));
      guest.state.writeGpr(GPR.RAX, 0xb3n);
      guest.step('mov fs, ax');
      expect(guest.state.segment(SEGMENT.FS)).toMatchObject({
        base: 0x12345678n,
        limit: 0xabcdfff,
        accessRights: 0xd0f3,
      });
      expect(guest.read64(LAYOUT.GDT + 0xb0)).toBe(descriptor(0x12345678, 0xabcdfff, 0xd0f3));
    });

    it('MOV SS and POP SS hold interrupts off; MOV to CS is invalid', () => {
      const guest = new SystemGuest();
      guest.state.writeGpr(GPR.RAX, BigInt(SELECTOR.DATA));
      guest.step('mov ss, ax');
      expect(guest.processor.interruptShadow).toBe('mov-ss');
      const invalid = new SystemGuest();
      invalid.step('db 0x8e, 0xc8');
      expect(invalid.frame?.vector).toBe(VECTOR.UD);
    });

    it('MOV from a segment register zero-extends to a register and writes 16 bits to memory', () => {
      const guest = new SystemGuest();
      guest.write64(LAYOUT.DATA, -1n);
      guest.state.writeGpr(GPR.RAX, -1n);
      guest.run(`mov rbx, ${LAYOUT.DATA}; mov rax, ds; mov [rbx], ss; hlt`);
      expect(guest.state.readGpr(GPR.RAX)).toBe(BigInt(SELECTOR.DATA));
      expect(guest.read64(LAYOUT.DATA)).toBe(0xffffffffffff0010n);
    });

    it('PUSH and POP of FS and GS move eight bytes', () => {
      const guest = new SystemGuest();
      guest.run('push fs; pop gs; hlt');
      expect(guest.state.segment(SEGMENT.GS).selector).toBe(SELECTOR.DATA);
      expect(guest.state.readGpr(GPR.RSP)).toBe(BigInt(LAYOUT.STACK));
      expect(guest.read64(LAYOUT.STACK - 8)).toBe(BigInt(SELECTOR.DATA));
    });

    it('LSS loads selector and offset; a bad selector leaves the register alone', () => {
      const guest = new SystemGuest();
      guest.write64(LAYOUT.DATA, 0x123456789n);
      guest.write64(LAYOUT.DATA + 8, BigInt(SELECTOR.DATA));
      guest.run(`mov rbx, ${LAYOUT.DATA}; db 0x48; lss ecx, [rbx]; hlt`);
      expect(guest.state.readGpr(GPR.RCX)).toBe(0x123456789n);
      const bad = new SystemGuest();
      bad.write64(LAYOUT.DATA, (BigInt(SELECTOR.TSS) << 32n) | 5n);
      bad.run(`mov rbx, ${LAYOUT.DATA}; lfs ecx, [rbx]; hlt`);
      bad.state.rip -= 1n;
      expect(bad.frame).toMatchObject({ vector: GP, errorCode: SELECTOR.TSS });
      expect(bad.state.readGpr(GPR.RCX)).toBe(0n);
    });

    it('RDFSBASE … WRGSBASE need CR4.FSGSBASE', () => {
      const guest = new SystemGuest();
      guest.step('rdfsbase rax');
      expect(guest.frame?.vector).toBe(VECTOR.UD);
      const enabled = new SystemGuest();
      enabled.state.cr4 |= 1 << 16;
      enabled.state.writeGpr(GPR.RAX, 0x7fff12345678n);
      enabled.run('wrgsbase rax; rdgsbase rcx; wrfsbase ecx; hlt');
      expect(enabled.state.readGpr(GPR.RCX)).toBe(0x7fff12345678n);
      expect(enabled.state.segment(SEGMENT.FS).base).toBe(0x12345678n);
      const wild = new SystemGuest();
      wild.state.cr4 |= 1 << 16;
      wild.state.writeGpr(GPR.RAX, 1n << 47n);
      wild.step('wrgsbase rax');
      expect(wild.frame).toMatchObject({ vector: GP, errorCode: 0 });
    });
  },
);

describe.skipIf(skipped !== '')(`descriptor tables and system segments (SDM Vol. 2)${skipped}`, () => {
  it('LGDT and LIDT load ten bytes, SGDT and SIDT store them', () => {
    const guest = new SystemGuest();
    guest.write64(LAYOUT.DATA, 0x8000_0fffn | (0x1234n << 32n));
    guest.write64(LAYOUT.DATA + 8, 0xffffn);
    guest.run(`mov rbx, ${LAYOUT.DATA}; lidt [rbx]; sidt [rbx+32]; sgdt [rbx+48]; hlt`);
    guest.state.rip -= 1n;
    // 0xffff000012348000 is not canonical.
    expect(guest.frame).toMatchObject({ vector: GP, errorCode: 0 });
    const good = new SystemGuest();
    good.write64(LAYOUT.DATA, 0x8000_0fffn | (0x1234n << 32n));
    good.run(`mov rbx, ${LAYOUT.DATA}; lidt [rbx]; sidt [rbx+32]; sgdt [rbx+48]; hlt`);
    expect(good.state.read64(STATE.IDTR_BASE)).toBe(0x12348000n);
    expect(good.state.read32(STATE.IDTR_LIMIT)).toBe(0xfff);
    expect(good.read64(LAYOUT.DATA + 32)).toBe(0x1234_8000_0fffn);
    expect(good.read64(LAYOUT.DATA + 48)).toBe((BigInt(LAYOUT.GDT) << 16n) | 0xffn);
  });

  it('LTR loads a 16-byte descriptor and marks it busy', () => {
    const guest = new SystemGuest();
    guest.write64(LAYOUT.GDT + SELECTOR.TSS + 8, 0xffff8000n);
    guest.state.writeGpr(GPR.RAX, BigInt(SELECTOR.TSS));
    guest.step('ltr ax');
    expect(guest.state.segment(SEGMENT.TR)).toMatchObject({
      selector: SELECTOR.TSS,
      base: 0xffff800000000000n | BigInt(LAYOUT.TSS),
      accessRights: 0x8b,
      limit: 0x67,
    });
    expect((guest.read64(LAYOUT.GDT + SELECTOR.TSS) >> 40n) & 0xffn).toBe(0x8bn);
  });

  it.each([
    ['ltr ax', 0, 0],
    ['ltr ax', SELECTOR.BUSY_TSS, SELECTOR.BUSY_TSS],
    ['ltr ax', SELECTOR.LDT, SELECTOR.LDT],
    ['ltr ax', SELECTOR.TSS | 4, SELECTOR.TSS | 4],
    ['lldt ax', SELECTOR.TSS, SELECTOR.TSS],
    ['lldt ax', SELECTOR.BEYOND, SELECTOR.BEYOND],
  ])('%s with selector 0x%x raises #GP(0x%x)', (text, selector, errorCode) => {
    const guest = new SystemGuest();
    guest.state.writeGpr(GPR.RAX, BigInt(selector));
    guest.step(text);
    expect(guest.frame).toMatchObject({ vector: GP, errorCode });
  });

  it('LLDT loads the LDT, whose descriptors then count; a null selector makes it unusable', () => {
    const guest = new SystemGuest();
    guest.write64(LAYOUT.LDT + 8, descriptor(0x5000, 0xfff, 0x4092));
    guest.run(
      `mov ax, ${SELECTOR.LDT}; lldt ax; sldt rcx; mov ax, 12; mov gs, ax; xor eax, eax; lldt ax; hlt`,
    );
    expect(guest.state.segment(SEGMENT.GS).base).toBe(0x5000n);
    expect(guest.state.readGpr(GPR.RCX)).toBe(BigInt(SELECTOR.LDT));
    expect(guest.state.segment(SEGMENT.LDTR).unusable).toBe(true);
  });

  it.each([
    ['lar ecx, ax', SELECTOR.CODE64, 0x00af9a00n, true],
    ['lar ecx, ax', SELECTOR.TSS, 0x8900n, true],
    ['lar ecx, ax', SELECTOR.BEYOND, 7n, false],
    ['lar ecx, ax', 0, 7n, false],
    ['lsl ecx, ax', SELECTOR.DATA, 0xffffffffn, true],
    ['lsl ecx, ax', SELECTOR.TSS, 0x67n, true],
    ['lsl ecx, ax', SELECTOR.CALL_GATE, 7n, false],
    ['lsl ecx, ax', SELECTOR.DATA | 3, 7n, false],
    ['verr ax', SELECTOR.CODE64, 7n, true],
    ['verr ax', SELECTOR.EXECUTE_ONLY, 7n, false],
    ['verw ax', SELECTOR.DATA, 7n, true],
    ['verw ax', SELECTOR.READ_ONLY, 7n, false],
    ['verw ax', SELECTOR.CODE64, 7n, false],
  ])('%s for selector 0x%x', (text, selector, value, zero) => {
    const guest = new SystemGuest();
    guest.state.writeGpr(GPR.RAX, BigInt(selector));
    guest.state.writeGpr(GPR.RCX, 7n);
    guest.step(text);
    const rcx = guest.state.readGpr(GPR.RCX);
    // LAR: bits 19:16 are undefined.
    expect(text.startsWith('lar') && zero ? rcx & ~0xf0000n : rcx).toBe(
      text.startsWith('lar') && zero ? value & ~0xf0000n : value,
    );
    expect((guest.state.rflags & RFLAGS.ZF) !== 0).toBe(zero);
  });
});

describe.skipIf(skipped !== '')(`far transfers (SDM Vol. 2: JMP, CALL, RET, IRET)${skipped}`, () => {
  const far = (selector: number, offset: number) => `jmp far dword [rel p]; p: dd ${offset}; dw ${selector}`;

  it.each([
    ['a code segment', SELECTOR.CODE64, undefined],
    ['a conforming segment', SELECTOR.CONFORMING | 3, undefined],
    ['a call gate', SELECTOR.CALL_GATE, undefined],
    ['a null selector', 0, [GP, 0]],
    ['a data segment', SELECTOR.DATA, [GP, SELECTOR.DATA]],
    ['an outer segment', SELECTOR.USER_CODE64, [GP, SELECTOR.USER_CODE64]],
    ['a segment that is not present', SELECTOR.ABSENT_CODE, [NP, SELECTOR.ABSENT_CODE]],
    ['L and D both set', SELECTOR.LONG_AND_BIG, [GP, SELECTOR.LONG_AND_BIG]],
    ['a TSS', SELECTOR.TSS, [GP, SELECTOR.TSS]],
    ['a selector beyond the table', SELECTOR.BEYOND, [GP, SELECTOR.BEYOND]],
  ] as const)('far JMP to %s', (_name, selector, fault) => {
    const guest = new SystemGuest();
    guest.step(far(selector, LAYOUT.CALL_TARGET));
    if (fault === undefined) {
      expect(guest.state.rip).toBe(BigInt(LAYOUT.CALL_TARGET));
      const code = selector === SELECTOR.CALL_GATE ? SELECTOR.CODE64 : selector & ~3;
      expect(guest.state.segment(SEGMENT.CS).selector).toBe(code);
    } else expect(guest.frame).toMatchObject({ vector: fault[0], errorCode: fault[1] });
  });

  it('far CALL pushes CS and RIP, RETF comes back and drops parameters', () => {
    const guest = new SystemGuest();
    guest.load(LAYOUT.CALL_TARGET, [0x48, 0xca, 0x10, 0x00]);
    guest.prepare(`call far qword [rel p]; hlt; p: dq ${LAYOUT.CALL_TARGET}; dw ${SELECTOR.CODE64}`);
    guest.processor.step();
    expect(guest.read64(LAYOUT.STACK - 8)).toBe(BigInt(SELECTOR.CODE64));
    expect(guest.read64(LAYOUT.STACK - 16)).toBe(BigInt(LAYOUT.CODE + 7));
    guest.processor.step();
    expect(guest.state.rip).toBe(BigInt(LAYOUT.CODE + 7));
    expect(guest.state.readGpr(GPR.RSP)).toBe(BigInt(LAYOUT.STACK + 16));
  });

  it('a call gate switches to RSP0 and pushes SS, RSP, CS, RIP (Vol. 3A, 5.8.5.1); RETF returns to level 3', () => {
    const guest = new SystemGuest();
    guest.enterUser();
    guest.load(LAYOUT.CALL_TARGET, [0x48, 0xcb]);
    guest.prepare(`call far dword [rel p]; p: dd 0; dw ${SELECTOR.CALL_GATE | 3}`);
    guest.processor.step();
    expect(guest.state.cpl).toBe(0);
    expect(guest.state.readGpr(GPR.RSP)).toBe(BigInt(LAYOUT.RING0_STACK - 32));
    expect([0, 8, 16, 24].map((n) => guest.read64(LAYOUT.RING0_STACK - 32 + n))).toEqual([
      BigInt(LAYOUT.CODE + 6),
      BigInt(SELECTOR.USER_CODE64 | 3),
      BigInt(LAYOUT.USER_STACK),
      BigInt(SELECTOR.USER_DATA | 3),
    ]);
    expect(guest.state.segment(SEGMENT.SS).selector).toBe(0);
    guest.processor.step();
    expect(guest.state.cpl).toBe(3);
    expect(guest.state.readGpr(GPR.RSP)).toBe(BigInt(LAYOUT.USER_STACK));
    expect(guest.state.rip).toBe(BigInt(LAYOUT.CODE + 6));
  });

  it.each([
    ['gate privilege', 0x8c, SELECTOR.CODE64, GP, SELECTOR.CALL_GATE],
    ['gate not present', 0x6c, SELECTOR.CODE64, NP, SELECTOR.CALL_GATE],
    ['target not 64-bit code', 0xec, SELECTOR.CODE32, GP, SELECTOR.CODE32],
    ['target null', 0xec, 0, GP, 0],
  ])('call gate: %s', (_name, rights, selector, vector, errorCode) => {
    const guest = new SystemGuest();
    guest.enterUser();
    const [low, high] = gate64(selector, BigInt(LAYOUT.CALL_TARGET), rights);
    guest.write64(LAYOUT.GDT + SELECTOR.CALL_GATE, low);
    guest.write64(LAYOUT.GDT + SELECTOR.CALL_GATE + 8, high);
    guest.step(`call far dword [rel p]; p: dd 0; dw ${SELECTOR.CALL_GATE | 3}`);
    expect(guest.frame).toMatchObject({ vector, errorCode });
  });

  /** RIP, CS, RFLAGS, RSP, SS for IRETQ at CPL 0. */
  const frame = (guest: SystemGuest, ...words: readonly (number | bigint)[]): void => {
    const base = LAYOUT.STACK - 8 * words.length;
    for (const [n, word] of words.entries()) guest.write64(base + n * 8, BigInt(word));
    guest.state.writeGpr(GPR.RSP, BigInt(base));
  };
  const USER = [SELECTOR.USER_CODE64 | 3, 0x202, LAYOUT.USER_STACK, SELECTOR.USER_DATA | 3] as const;

  it('IRETQ to the same level pops SS:RSP as well, a null SS among them', () => {
    const guest = new SystemGuest();
    frame(guest, LAYOUT.DATA, SELECTOR.CODE64, 0x246, 0x12340, 0);
    guest.processor.nmiBlocked = true;
    guest.step('iretq');
    expect(guest.state.rip).toBe(BigInt(LAYOUT.DATA));
    expect(guest.state.readGpr(GPR.RSP)).toBe(0x12340n);
    expect(guest.state.segment(SEGMENT.SS)).toMatchObject({ selector: 0, unusable: true });
    expect(guest.state.rflags).toBe(0x246);
    expect(guest.processor.nmiBlocked).toBe(false);
  });

  it('IRETQ to level 3 makes inner data segments null and keeps their bases (5.8.6)', () => {
    const guest = new SystemGuest();
    guest.state.segment(SEGMENT.FS).base = 0x777n;
    const es = guest.state.segment(SEGMENT.ES);
    es.selector = SELECTOR.USER_DATA | 3;
    es.accessRights = 0xc0f3;
    frame(guest, LAYOUT.DATA, ...USER);
    guest.step('iretq');
    expect(guest.state.cpl).toBe(3);
    expect(guest.state.segment(SEGMENT.FS)).toMatchObject({ selector: 0, unusable: true, base: 0x777n });
    expect(guest.state.segment(SEGMENT.DS)).toMatchObject({ selector: 0, unusable: true });
    expect(guest.state.segment(SEGMENT.ES)).toMatchObject({
      selector: SELECTOR.USER_DATA | 3,
      unusable: false,
    });
  });

  it('IRETQ to compatibility mode', () => {
    const guest = new SystemGuest();
    frame(guest, LAYOUT.DATA, SELECTOR.USER_CODE32 | 3, 0x202, LAYOUT.USER_STACK, SELECTOR.USER_DATA | 3);
    guest.step('iretq');
    expect(guest.processor.codeSize).toBe(32);
    expect(guest.state.cpl).toBe(3);
  });

  it.each([
    ['RF, AC, ID and NT', 0, 0x254202, 0x254202],
    ['VM and reserved bits stay clear', 0, 0x2802a, 0x2],
  ])('IRETQ flags: %s', (_name, before, image, after) => {
    const guest = new SystemGuest();
    guest.state.rflags = before;
    frame(guest, LAYOUT.DATA, SELECTOR.CODE64, image, 0, SELECTOR.DATA);
    guest.step('iretq');
    expect(guest.state.rflags & ~RFLAGS.RF).toBe(after & ~RFLAGS.RF);
  });

  it.each([
    ['null CS', [LAYOUT.DATA, 0, 2, 0, 0], GP, 0],
    ['CS not code', [LAYOUT.DATA, SELECTOR.DATA, 2, 0, 0], GP, SELECTOR.DATA],
    ['DPL and RPL differ', [LAYOUT.DATA, SELECTOR.CODE64 | 3, 2, 0, 0], GP, SELECTOR.CODE64],
    ['CS not present', [LAYOUT.DATA, SELECTOR.ABSENT_CODE, 2, 0, 0], NP, SELECTOR.ABSENT_CODE],
    ['RIP not canonical', [1n << 50n, SELECTOR.CODE64, 2, 0, 0], GP, 0],
    ['null SS at level 3', [LAYOUT.DATA, SELECTOR.USER_CODE64 | 3, 2, 0, 3], GP, 0],
    ['SS of another level', [LAYOUT.DATA, SELECTOR.USER_CODE64 | 3, 2, 0, SELECTOR.DATA], GP, SELECTOR.DATA],
    ['SS not present', [LAYOUT.DATA, SELECTOR.CODE64, 2, 0, SELECTOR.ABSENT_DATA], NP, SELECTOR.ABSENT_DATA],
    ['null SS for 32-bit code', [LAYOUT.DATA, SELECTOR.CODE32, 2, 0, 0], GP, 0],
  ] as const)('IRETQ: %s', (_name, words, vector, errorCode) => {
    const guest = new SystemGuest();
    frame(guest, ...words);
    const pointer = guest.state.readGpr(GPR.RSP);
    guest.step('iretq');
    expect(guest.frame).toMatchObject({ vector, errorCode, rsp: pointer, rip: BigInt(LAYOUT.CODE) });
  });

  it('IRET with NT set raises #GP(0) in IA-32e mode', () => {
    const guest = new SystemGuest();
    guest.state.rflags = RFLAGS.FIXED | RFLAGS.NT;
    guest.step('iretq');
    expect(guest.frame).toMatchObject({ vector: GP, errorCode: 0 });
  });
});
