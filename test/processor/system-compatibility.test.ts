import { describe, expect, it } from 'vitest';
import { GPR, SEGMENT } from '../../src/architecture/registers.js';
import { RFLAGS } from '../../src/architecture/rflags.js';
import { VECTOR } from '../../src/architecture/vectors.js';
import { skipNote } from '../support/tools.js';
import { LAYOUT, SELECTOR, SystemGuest } from './system-guest.js';

const skipped = skipNote('nasm');

/** Compatibility mode at CPL 0: 32-bit code under a 64-bit kernel's tables. */
function compatibilityGuest(): SystemGuest {
  const guest = new SystemGuest();
  const code = guest.state.segment(SEGMENT.CS);
  code.selector = SELECTOR.CODE32;
  code.accessRights = 0xc09b;
  guest.processor.caches.modeChanged();
  return guest;
}

describe.skipIf(skipped !== '')(`system instructions of 32-bit code (SDM Vol. 2)${skipped}`, () => {
  it('INTO traps when OF is set, through a 64-bit gate', () => {
    const guest = compatibilityGuest();
    guest.step('into', 32);
    expect(guest.state.rip).toBe(BigInt(LAYOUT.CODE + 1));
    guest.state.rflags = RFLAGS.FIXED | RFLAGS.OF;
    guest.state.rip = BigInt(LAYOUT.CODE);
    guest.processor.step();
    expect(guest.frame).toMatchObject({
      vector: VECTOR.OF,
      rip: BigInt(LAYOUT.CODE + 1),
      cs: SELECTOR.CODE32,
      ss: SELECTOR.DATA,
    });
    expect(guest.processor.codeSize).toBe(64);
  });

  it('PUSH and POP of segment registers move four bytes', () => {
    const guest = compatibilityGuest();
    guest.step('push ds; pop es', 32);
    expect(guest.state.readGpr(GPR.RSP)).toBe(BigInt(LAYOUT.STACK - 4));
    guest.state.segment(SEGMENT.ES).selector = 0;
    guest.processor.step();
    expect(guest.state.segment(SEGMENT.ES).selector).toBe(SELECTOR.DATA);
    expect(guest.state.readGpr(GPR.RSP)).toBe(BigInt(LAYOUT.STACK));
  });

  it.each([
    ['lds ecx, [eax]', SEGMENT.DS],
    ['les ecx, [eax]', SEGMENT.ES],
  ])('%s', (text, number) => {
    const guest = compatibilityGuest();
    guest.state.writeGpr(GPR.RAX, BigInt(LAYOUT.DATA));
    guest.write64(LAYOUT.DATA, (BigInt(SELECTOR.USER_DATA) << 32n) | 0x1234567n);
    guest.step(text, 32);
    expect(guest.state.readGpr(GPR.RCX)).toBe(0x1234567n);
    expect(guest.state.segment(number).selector).toBe(SELECTOR.USER_DATA);
  });

  it.each([
    [0x10, 0x13, 0x13, true],
    [0x13, 0x10, 0x13, false],
    [0x11, 0x21, 0x11, false],
  ])('ARPL of 0x%x with 0x%x', (target, source, result, zero) => {
    const guest = compatibilityGuest();
    guest.state.writeGpr(GPR.RAX, BigInt(target));
    guest.state.writeGpr(GPR.RCX, BigInt(source));
    guest.step('arpl ax, cx', 32);
    expect(guest.state.readGpr(GPR.RAX)).toBe(BigInt(result));
    expect((guest.state.rflags & RFLAGS.ZF) !== 0).toBe(zero);
  });

  it('JMP ptr16:32 enters 64-bit mode', () => {
    const guest = compatibilityGuest();
    guest.step(`jmp ${SELECTOR.CODE64}:${LAYOUT.CALL_TARGET}`, 32);
    expect(guest.state.rip).toBe(BigInt(LAYOUT.CALL_TARGET));
    expect(guest.processor.codeSize).toBe(64);
  });

  it('CALL ptr16:32 pushes CS:EIP as doublewords', () => {
    const guest = compatibilityGuest();
    guest.step(`call ${SELECTOR.CODE64}:${LAYOUT.CALL_TARGET}`, 32);
    expect(guest.state.readGpr(GPR.RSP)).toBe(BigInt(LAYOUT.STACK - 8));
    expect(guest.read64(LAYOUT.STACK - 8)).toBe((BigInt(SELECTOR.CODE32) << 32n) | BigInt(LAYOUT.CODE + 7));
  });

  it('data accesses check type and limit of their segment', () => {
    const guest = compatibilityGuest();
    guest.state.segment(SEGMENT.DS).limit = LAYOUT.DATA + 5;
    guest.state.writeGpr(GPR.RAX, BigInt(LAYOUT.DATA));
    guest.step('sgdt [eax]', 32);
    expect(guest.state.rip).toBe(BigInt(LAYOUT.CODE + 3));
    guest.state.segment(SEGMENT.DS).limit = LAYOUT.DATA + 4;
    guest.state.rip = BigInt(LAYOUT.CODE);
    guest.processor.step();
    expect(guest.frame).toMatchObject({ vector: VECTOR.GP, errorCode: 0 });
  });

  it('SYSCALL is invalid in compatibility mode on Intel processors, SYSENTER is not', () => {
    const guest = compatibilityGuest();
    guest.step('db 0x0f, 0x05', 32);
    expect(guest.frame?.vector).toBe(VECTOR.UD);
    const entering = compatibilityGuest();
    entering.writeMsr('SYSENTER_CS', BigInt(SELECTOR.CODE64));
    entering.writeMsr('SYSENTER_EIP', BigInt(LAYOUT.CALL_TARGET));
    entering.step('sysenter', 32);
    expect(entering.state.rip).toBe(BigInt(LAYOUT.CALL_TARGET));
    expect(entering.processor.codeSize).toBe(64);
  });

  it('VMX instructions are invalid in compatibility mode', () => {
    const guest = compatibilityGuest();
    guest.state.cr4 |= 1 << 13;
    guest.processor.vmx = { active: true, capability: () => undefined, execute: () => 0 };
    guest.step('vmlaunch', 32);
    expect(guest.frame?.vector).toBe(VECTOR.UD);
  });
});
