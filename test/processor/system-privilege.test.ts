import { describe, expect, it } from 'vitest';
import { RFLAGS } from '../../src/architecture/rflags.js';
import { VECTOR } from '../../src/architecture/vectors.js';
import { skipNote } from '../support/tools.js';
import { LAYOUT, RecordingIntercepts, SystemGuest } from './system-guest.js';

const skipped = skipNote('nasm');

/** Instructions of CPL 0, with the intercept that they ask in VMX non-root operation. */
const PRIVILEGED: readonly (readonly [string, string | undefined])[] = [
  ['hlt', 'hlt'],
  ['invd', 'invd'],
  ['wbinvd', 'wbinvd'],
  ['invlpg [rax]', 'invlpg'],
  ['rdmsr', 'readMsr'],
  ['wrmsr', 'writeMsr'],
  ['mov cr0, rax', 'writeCr0'],
  ['mov cr3, rax', 'writeCr3'],
  ['mov rax, cr3', 'readCr3'],
  ['mov cr4, rax', 'writeCr4'],
  ['mov cr8, rax', 'writeCr8'],
  ['mov rax, cr8', 'readCr8'],
  ['mov rax, cr0', undefined],
  ['mov rax, dr7', 'readDebugRegister'],
  ['mov dr7, rax', 'writeDebugRegister'],
  ['clts', 'clts'],
  ['lmsw ax', 'lmsw'],
  ['lgdt [rax]', 'descriptorTable'],
  ['lidt [rax]', 'descriptorTable'],
  ['lldt ax', 'descriptorTable'],
  ['ltr ax', 'descriptorTable'],
  ['swapgs', undefined],
  ['o64 sysret', undefined],
  ['in al, 0x80', 'io'],
  ['out dx, eax', 'io'],
  ['insb', 'io'],
  ['outsd', 'io'],
];

/** Unprivileged ones that may exit. */
const ALWAYS: readonly (readonly [string, string])[] = [
  ['cpuid', 'cpuid'],
  ['rdtsc', 'rdtsc'],
  ['rdtscp', 'rdtscp'],
  ['rdpmc', 'rdpmc'],
  ['pause', 'pause'],
  ['sgdt [rax]', 'descriptorTable'],
  ['str ax', 'descriptorTable'],
];

describe.skipIf(skipped !== '')(`privilege before interception (SDM Vol. 3C, 25.1.1)${skipped}`, () => {
  it.each(PRIVILEGED)('%s raises #GP(0) at CPL 3, and asks nobody', (text) => {
    const guest = new SystemGuest();
    guest.enterUser();
    const intercepts = new RecordingIntercepts();
    guest.processor.intercepts = intercepts.face;
    guest.step(text);
    expect(intercepts.calls).toEqual(['exception']);
    expect(guest.frame).toMatchObject({ vector: VECTOR.GP, errorCode: 0, rip: BigInt(LAYOUT.CODE) });
  });

  it.each([...PRIVILEGED.filter((entry) => entry[1] !== undefined), ...ALWAYS])(
    '%s at CPL 0 exits through %s with nothing changed',
    (text, name) => {
      const guest = new SystemGuest();
      const intercepts = new RecordingIntercepts(name as string);
      guest.processor.intercepts = intercepts.face;
      guest.state.writeGpr(0, 0x11223344n);
      guest.prepare(text);
      const before = guest.state.bytes.slice(0, 0x88);
      expect(guest.processor.step().kind).toBe('vm-exit');
      expect(intercepts.calls).toEqual([name]);
      expect(guest.state.bytes.slice(0, 0x88)).toEqual(before);
      expect(guest.state.rip).toBe(BigInt(LAYOUT.CODE));
    },
  );

  it.each([
    ['vmcall', 'vmxInstruction'],
    ['vmlaunch', 'vmxInstruction'],
    ['vmread rax, rcx', 'vmxInstruction'],
    ['invept rax, [rbx]', 'vmxInstruction'],
  ])('%s exits in non-root operation at any CPL', (text, name) => {
    const guest = new SystemGuest();
    guest.enterUser();
    guest.state.cr4 |= 1 << 13;
    guest.processor.vmx = { active: true, capability: () => undefined, execute: () => 0 };
    const intercepts = new RecordingIntercepts(name);
    guest.processor.intercepts = intercepts.face;
    expect(guest.step(text)).toBe('vm-exit');
  });

  it('VMX instructions raise #UD without VT-x, without CR4.VMXE, and outside of VMX operation', () => {
    for (const [vmxe, active] of [
      [0, false],
      [1 << 13, false],
    ] as const) {
      const guest = new SystemGuest();
      guest.state.cr4 |= vmxe;
      if (vmxe !== 0) guest.processor.vmx = { active, capability: () => undefined, execute: () => 0 };
      guest.step('vmcall');
      expect(guest.frame?.vector).toBe(VECTOR.UD);
    }
  });

  it.each([
    ['cli', RFLAGS.IF],
    ['sti', 0],
  ])('%s needs CPL <= IOPL', (text, flags) => {
    const refused = new SystemGuest();
    refused.enterUser();
    refused.state.rflags = RFLAGS.FIXED | flags | (2 << 12);
    refused.step(text);
    expect(refused.frame).toMatchObject({ vector: VECTOR.GP, errorCode: 0 });
    const allowed = new SystemGuest();
    allowed.enterUser();
    allowed.state.rflags = RFLAGS.FIXED | flags | RFLAGS.IOPL;
    allowed.step(text);
    expect(allowed.state.rflags & RFLAGS.IF).toBe(flags ^ RFLAGS.IF);
  });

  it('STI holds interrupts off for one instruction, only when IF was clear', () => {
    const guest = new SystemGuest();
    guest.step('sti; nop');
    expect(guest.processor.interruptShadow).toBe('sti');
    guest.processor.step();
    expect(guest.processor.interruptShadow).toBe('none');
    guest.step('sti');
    expect(guest.processor.interruptShadow).toBe('none');
  });

  it.each([
    // RFLAGS before, CPL, image, RFLAGS after
    ['CPL 0 changes IF and IOPL', 0, RFLAGS.FIXED, 0x3000 | RFLAGS.IF | RFLAGS.CF, 0x3203],
    ['CPL 3 with IOPL 0 changes neither', 3, RFLAGS.FIXED | RFLAGS.IF, 0x3000 | RFLAGS.CF, 0x203],
    ['CPL 3 with IOPL 3 changes IF only', 3, RFLAGS.FIXED | RFLAGS.IOPL, RFLAGS.IF, 0x3202],
    ['VM, RF, VIF and VIP stay clear', 0, RFLAGS.FIXED, 0x1b0000, 2],
    ['AC, ID, NT and DF change at any level', 3, RFLAGS.FIXED, 0x244400, 0x244402],
  ])('POPFQ: %s', (_name, privilege, before, image, after) => {
    const guest = new SystemGuest();
    if (privilege === 3) guest.enterUser();
    guest.state.rflags = before;
    const stack = guest.state.readGpr(4) - 8n;
    guest.write64(Number(stack), BigInt(image));
    guest.state.writeGpr(4, stack);
    guest.step('popfq');
    expect(guest.state.rflags).toBe(after);
    expect(guest.state.readGpr(4)).toBe(stack + 8n);
  });

  it('HLT waits, with RIP behind it, and an interrupt ends it', () => {
    let pending = false;
    const guest = new SystemGuest({
      interrupts: { pending: () => pending, acknowledge: () => 0x40 },
    });
    expect(guest.run('sti; hlt; nop')).toBe('halt');
    expect(guest.processor.halted).toBe(true);
    pending = true;
    guest.processor.step();
    expect(guest.frame === undefined ? guest.state.rip : guest.frame.rip).toBe(
      guest.frame === undefined ? BigInt(LAYOUT.HANDLERS + 0x401) : BigInt(LAYOUT.CODE + 2),
    );
    expect(guest.read64(guest.state.readGpr(4))).toBe(BigInt(LAYOUT.CODE + 2));
  });
});
