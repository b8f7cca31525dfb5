import { describe, expect, it } from 'vitest';
import { CR0 } from '../../src/architecture/control-registers.js';
import { GPR, SEGMENT } from '../../src/architecture/registers.js';
import { RFLAGS } from '../../src/architecture/rflags.js';
import { VECTOR } from '../../src/architecture/vectors.js';
import { GuestFault } from '../../src/processor/core.js';
import { UnimplementedFeatureError } from '../../src/processor/errors.js';
import { DELIVERY, deliverEvent, deliverInterrupt, raiseFault } from '../../src/processor/events/delivery.js';
import { loadDataSegment } from '../../src/processor/segmentation/data-segment.js';
import { farCall } from '../../src/processor/segmentation/far-call.js';
import { farJump } from '../../src/processor/segmentation/far-jump.js';
import { farReturn } from '../../src/processor/segmentation/far-return.js';
import { interruptReturn } from '../../src/processor/segmentation/interrupt-return.js';
import { STATE } from '../../src/processor/state/layout.js';
import { descriptor, LAYOUT, SELECTOR, SystemGuest } from './system-guest.js';

const { CODE32, DATA, USER_CODE32, USER_DATA, TSS } = SELECTOR;
const HANDLER = 0x110400n;

/** 32-bit protected mode without paging. */
function protectedGuest(): SystemGuest {
  const guest = new SystemGuest();
  const { state } = guest;
  state.cr0 = CR0.PE | CR0.ET | CR0.NE;
  state.efer = 0;
  const code = state.segment(SEGMENT.CS);
  code.selector = CODE32;
  code.accessRights = 0xc09b;
  state.rip = 0x12345n;
  state.write32(STATE.IDTR_LIMIT, 0x7ff);
  guest.processor.caches.modeChanged();
  guest.write64(LAYOUT.TSS + 4, (BigInt(DATA) << 32n) | BigInt(LAYOUT.RING0_STACK));
  setGate(guest, 0x40, CODE32, HANDLER, 0x8e);
  return guest;
}

function setGate(guest: SystemGuest, vector: number, selector: number, offset: bigint, rights: number): void {
  guest.write64(
    LAYOUT.IDT + vector * 8,
    (offset & 0xffffn) |
      (BigInt(selector) << 16n) |
      (BigInt(rights) << 40n) |
      (((offset >> 16n) & 0xffffn) << 48n),
  );
}

function enterUser(guest: SystemGuest): void {
  const code = guest.state.segment(SEGMENT.CS);
  code.selector = USER_CODE32 | 3;
  code.accessRights = 0xc0fb;
  const stack = guest.state.segment(SEGMENT.SS);
  stack.selector = USER_DATA | 3;
  stack.accessRights = 0xc0f3;
  guest.state.writeGpr(GPR.RSP, BigInt(LAYOUT.USER_STACK));
  guest.processor.caches.modeChanged();
}

const words = (guest: SystemGuest, count: number, size: 2 | 4 = 4): number[] => {
  const base = Number(guest.state.readGpr(GPR.RSP) + guest.state.segment(SEGMENT.SS).base);
  return Array.from({ length: count }, (_, n) =>
    Number(guest.processor.linear.read(BigInt(base + n * size), size, 'system')),
  );
};

describe('delivery in protected mode (SDM Vol. 3A, 6.12)', () => {
  it('pushes EFLAGS, CS, EIP on the same stack', () => {
    const guest = protectedGuest();
    guest.state.rflags = RFLAGS.FIXED | RFLAGS.IF;
    expect(deliverInterrupt(guest.processor, 0x40)).toBe(DELIVERY.DELIVERED);
    expect(guest.state.rip).toBe(HANDLER);
    expect(words(guest, 3)).toEqual([0x12345, CODE32, 0x202]);
    expect(guest.state.rflags & RFLAGS.IF).toBe(0);
  });

  it('switches to SS0:ESP0 and pushes SS:ESP as well, IRETD returns', () => {
    const guest = protectedGuest();
    enterUser(guest);
    setGate(guest, VECTOR.GP, CODE32, HANDLER, 0x8f);
    raiseFault(guest.processor, new GuestFault(VECTOR.GP, 0x18));
    expect(words(guest, 6)).toEqual([
      0x18,
      0x12345,
      USER_CODE32 | 3,
      RFLAGS.FIXED | RFLAGS.RF,
      LAYOUT.USER_STACK,
      USER_DATA | 3,
    ]);
    expect(guest.state.segment(SEGMENT.SS)).toMatchObject({ selector: DATA, accessRights: 0xc093 });
    expect(guest.state.cpl).toBe(0);
    guest.state.writeGpr(GPR.RSP, guest.state.readGpr(GPR.RSP) + 4n);
    interruptReturn(guest.processor, 4);
    expect([guest.state.rip, guest.state.readGpr(GPR.RSP), guest.state.cpl]).toEqual([
      0x12345n,
      BigInt(LAYOUT.USER_STACK),
      3,
    ]);
    expect(guest.state.segment(SEGMENT.DS)).toMatchObject({ selector: 0, unusable: true });
  });

  it('a 16-bit gate pushes words', () => {
    const guest = protectedGuest();
    setGate(guest, 0x40, CODE32, 0x1234n, 0x86);
    deliverInterrupt(guest.processor, 0x40);
    expect(guest.state.rip).toBe(0x1234n);
    expect(words(guest, 3, 2)).toEqual([0x2345, CODE32, 2]);
  });

  it.each([
    [
      'an entry point beyond the limit',
      VECTOR.GP,
      1,
      (g: SystemGuest) => g.write64(LAYOUT.GDT + CODE32, descriptor(0, 0xfff, 0x409a)),
    ],
    [
      'a stack selector of another level',
      VECTOR.TS,
      (USER_DATA & ~3) | 1,
      (g: SystemGuest) => {
        enterUser(g);
        g.write64(LAYOUT.TSS + 4, (BigInt(USER_DATA) << 32n) | 0x1000n);
      },
    ],
    [
      'a TSS that is too short',
      VECTOR.TS,
      TSS | 1,
      (g: SystemGuest) => {
        enterUser(g);
        g.state.segment(SEGMENT.TR).limit = 8;
      },
    ],
    [
      'a stack that is not present',
      VECTOR.SS,
      SELECTOR.ABSENT_DATA | 1,
      (g: SystemGuest) => {
        enterUser(g);
        g.write64(LAYOUT.TSS + 4, (BigInt(SELECTOR.ABSENT_DATA) << 32n) | 0x1000n);
      },
    ],
  ] as const)('%s', (_name, vector, errorCode, spoil) => {
    const guest = protectedGuest();
    // A handler of the same level takes the second fault.
    setGate(guest, vector, SELECTOR.CONFORMING, 0x2000n, 0x8e);
    guest.write64(LAYOUT.GDT + SELECTOR.CONFORMING, descriptor(0, 0xffffffff, 0xc09e));
    spoil(guest);
    deliverInterrupt(guest.processor, 0x40);
    expect(guest.state.rip).toBe(0x2000n);
    expect(words(guest, 2)).toEqual([errorCode, 0x12345]);
  });

  it('task gates are a typed error', () => {
    const guest = protectedGuest();
    setGate(guest, 0x40, TSS, 0n, 0x85);
    expect(() => deliverInterrupt(guest.processor, 0x40)).toThrow(UnimplementedFeatureError);
    expect(guest.processor.eventInDelivery).toBeUndefined();
  });
});

describe('far transfers in protected mode (SDM Vol. 3A, 5.8)', () => {
  it('a 32-bit call gate copies parameters to the inner stack, RETF n drops them on both', () => {
    const guest = protectedGuest();
    enterUser(guest);
    guest.write64(LAYOUT.GDT + SELECTOR.CALL_GATE, 0x0000_ec02_0080_5000n);
    guest.state.writeGpr(GPR.RSP, BigInt(LAYOUT.USER_STACK - 8));
    guest.write64(LAYOUT.USER_STACK - 8, 0x2222_0000_1111n << 0n);
    farCall(guest.processor, SELECTOR.CALL_GATE | 3, 0n, 4, 0x9999n);
    expect(guest.state.rip).toBe(0x5000n);
    expect(words(guest, 6)).toEqual([
      0x9999,
      USER_CODE32 | 3,
      0x1111,
      0x2222,
      LAYOUT.USER_STACK - 8,
      USER_DATA | 3,
    ]);
    farReturn(guest.processor, 4, 8);
    expect([guest.state.rip, guest.state.readGpr(GPR.RSP), guest.state.cpl]).toEqual([
      0x9999n,
      BigInt(LAYOUT.USER_STACK),
      3,
    ]);
  });

  it('a target beyond the limit raises #GP(0)', () => {
    const guest = protectedGuest();
    guest.write64(LAYOUT.GDT + CODE32, descriptor(0, 0xfff, 0x409a));
    expect(() => farJump(guest.processor, CODE32, 0x1000n)).toThrow(
      expect.objectContaining({ vector: VECTOR.GP, errorCode: 0 }),
    );
    farJump(guest.processor, CODE32, 0xfffn);
    expect(guest.state.rip).toBe(0xfffn);
  });

  it('a null selector may not be loaded into SS', () => {
    const guest = protectedGuest();
    expect(() => loadDataSegment(guest.processor, SEGMENT.SS, 0)).toThrow(
      expect.objectContaining({ vector: VECTOR.GP, errorCode: 0 }),
    );
  });
});

describe('real-address mode (SDM Vol. 3B, 20.1)', () => {
  function realGuest(): SystemGuest {
    const guest = new SystemGuest();
    const { state } = guest;
    state.cr0 = CR0.ET;
    state.efer = 0;
    for (let n = 0; n < 6; n++) {
      const segment = state.segment(n);
      segment.selector = 0x100;
      segment.base = 0x1000n;
      segment.limit = 0xffff;
      segment.accessRights = n === SEGMENT.CS ? 0x9b : 0x93;
    }
    state.write64(STATE.IDTR_BASE, 0n);
    state.write32(STATE.IDTR_LIMIT, 0x3ff);
    state.rip = 0x200n;
    state.writeGpr(GPR.RSP, 0xabcd_8000n);
    guest.processor.caches.modeChanged();
    guest.write64(0x40 * 4, 0x0300_0400n);
    return guest;
  }

  it('delivers through the vector table with FLAGS, CS, IP, and IRET returns', () => {
    const guest = realGuest();
    guest.state.rflags = RFLAGS.FIXED | RFLAGS.IF | RFLAGS.TF | RFLAGS.CF;
    expect(deliverInterrupt(guest.processor, 0x40)).toBe(DELIVERY.DELIVERED);
    expect(guest.state.rip).toBe(0x400n);
    expect(guest.state.segment(SEGMENT.CS)).toMatchObject({ selector: 0x300, base: 0x3000n, limit: 0xffff });
    expect(guest.state.rflags).toBe(RFLAGS.FIXED | RFLAGS.CF);
    expect(guest.state.readGpr(GPR.RSP)).toBe(0xabcd_7ffan);
    expect(guest.read64(0x1000 + 0x7ffa) & 0xffffffffffffn).toBe(0x0303_0100_0200n);
    interruptReturn(guest.processor, 2);
    expect([guest.state.rip, guest.state.segment(SEGMENT.CS).base]).toEqual([0x200n, 0x1000n]);
    expect(guest.state.rflags).toBe(0x303);
  });

  it('exceptions push no error code; a vector beyond the limit ends in #GP', () => {
    const guest = realGuest();
    guest.write64(VECTOR.GP * 4, 0x0300_0500n);
    const common = { errorCode: undefined, instructionLength: 2, payload: undefined };
    guest.state.write32(STATE.IDTR_LIMIT, 0x3f);
    deliverEvent(guest.processor, { ...common, type: 'software-interrupt', vector: 0x40 });
    expect(guest.state.rip).toBe(0x500n);
    expect(guest.state.readGpr(GPR.RSP)).toBe(0xabcd_7ffan);
  });

  it('far CALL and RETF use segment bases of selector × 16', () => {
    const guest = realGuest();
    farCall(guest.processor, 0x2000, 0x10n, 2, 0x205n);
    expect([guest.state.segment(SEGMENT.CS).base, guest.state.rip]).toEqual([0x20000n, 0x10n]);
    farReturn(guest.processor, 2, 4);
    expect([guest.state.segment(SEGMENT.CS).base, guest.state.rip]).toEqual([0x1000n, 0x205n]);
    expect(guest.state.readGpr(GPR.RSP)).toBe(0xabcd_8004n);
  });
});

describe('virtual-8086 mode (SDM Vol. 3B, 20.3)', () => {
  it('an interrupt leaves it with all segment registers on the stack, IRETD returns to it', () => {
    const guest = protectedGuest();
    const { state } = guest;
    for (let n = 0; n < 6; n++) {
      const segment = state.segment(n);
      segment.selector = 0x100 + n;
      segment.base = BigInt(0x100 + n) << 4n;
      segment.limit = 0xffff;
      segment.accessRights = 0xf3;
    }
    state.rflags = RFLAGS.FIXED | RFLAGS.VM | RFLAGS.IOPL | RFLAGS.IF;
    state.writeGpr(GPR.RSP, 0x800n);
    state.rip = 0x300n;
    deliverInterrupt(guest.processor, 0x40);
    expect(words(guest, 9)).toEqual([0x300, 0x101, 0x23202, 0x800, 0x102, 0x100, 0x103, 0x104, 0x105]);
    expect(state.rflags & RFLAGS.VM).toBe(0);
    expect(state.segment(SEGMENT.DS)).toMatchObject({ selector: 0, unusable: true });
    interruptReturn(guest.processor, 4);
    expect(state.rflags).toBe(0x23202);
    expect([0, 1, 2, 3, 4, 5].map((n) => state.segment(n).selector)).toEqual([
      0x100, 0x101, 0x102, 0x103, 0x104, 0x105,
    ]);
    expect([state.cpl, state.rip, state.readGpr(GPR.RSP)]).toEqual([3, 0x300n, 0x800n]);
  });

  it('INT n and IRET need IOPL 3', () => {
    const guest = protectedGuest();
    guest.state.rflags = RFLAGS.FIXED | RFLAGS.VM;
    expect(() => interruptReturn(guest.processor, 4)).toThrow(expect.objectContaining({ vector: VECTOR.GP }));
  });
});
