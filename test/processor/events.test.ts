import { describe, expect, it } from 'vitest';
import { GPR, SEGMENT } from '../../src/architecture/registers.js';
import { RFLAGS } from '../../src/architecture/rflags.js';
import { VECTOR } from '../../src/architecture/vectors.js';
import { GuestFault, OUTCOME, VmExitSignal } from '../../src/processor/core.js';
import {
  DELIVERY,
  deliverEvent,
  deliverInterrupt,
  injectEvent,
  raiseFault,
} from '../../src/processor/events/delivery.js';
import { exceptionEvent } from '../../src/processor/events/event.js';
import { combine } from '../../src/processor/events/nesting.js';
import { STATE } from '../../src/processor/state/layout.js';
import { skipNote } from '../support/tools.js';
import { gate64, LAYOUT, RecordingIntercepts, SELECTOR, SystemGuest } from './system-guest.js';

const RIP = 0x123450n;

function guestAt(rip: bigint = RIP): SystemGuest {
  const guest = new SystemGuest();
  guest.state.rip = rip;
  return guest;
}

describe('delivery in 64-bit mode (SDM Vol. 3A, 6.14)', () => {
  it('pushes SS, RSP, RFLAGS, CS, RIP on a stack aligned to 16 bytes, whatever the level', () => {
    const guest = guestAt();
    guest.state.writeGpr(GPR.RSP, BigInt(LAYOUT.STACK - 5));
    guest.state.rflags = RFLAGS.FIXED | RFLAGS.IF | RFLAGS.CF;
    expect(deliverInterrupt(guest.processor, 0x40)).toBe(DELIVERY.DELIVERED);
    expect(guest.frame).toEqual({
      vector: 0x40,
      errorCode: undefined,
      rip: RIP,
      cs: SELECTOR.CODE64,
      rflags: RFLAGS.FIXED | RFLAGS.IF | RFLAGS.CF,
      rsp: BigInt(LAYOUT.STACK - 5),
      ss: SELECTOR.DATA,
    });
    expect(guest.state.readGpr(GPR.RSP)).toBe(BigInt(LAYOUT.STACK - 16 - 40));
    expect(guest.state.segment(SEGMENT.SS).selector).toBe(SELECTOR.DATA);
  });

  it('switches to RSP0 and a null SS with RPL 0 when the level changes', () => {
    const guest = guestAt();
    guest.enterUser();
    raiseFault(guest.processor, new GuestFault(VECTOR.GP, 0x18));
    expect(guest.frame).toMatchObject({
      vector: VECTOR.GP,
      errorCode: 0x18,
      cs: SELECTOR.USER_CODE64 | 3,
      rsp: BigInt(LAYOUT.USER_STACK),
      ss: SELECTOR.USER_DATA | 3,
    });
    expect(guest.state.readGpr(GPR.RSP)).toBe(BigInt(LAYOUT.RING0_STACK - 48));
    expect(guest.state.cpl).toBe(0);
    expect(guest.state.segment(SEGMENT.SS)).toMatchObject({ selector: 0, unusable: true });
    expect(guest.state.segment(SEGMENT.CS).selector).toBe(SELECTOR.CODE64);
  });

  it('uses the interrupt stack table without a change of level', () => {
    const guest = guestAt();
    guest.setGate(2, gate64(SELECTOR.CODE64, BigInt(LAYOUT.HANDLERS + 32), 0x8e, 1));
    deliverInterrupt(guest.processor, 2, 'nmi');
    expect(guest.state.readGpr(GPR.RSP)).toBe(BigInt(LAYOUT.IST1 - 40));
    expect(guest.frame?.rsp).toBe(BigInt(LAYOUT.STACK));
    expect(guest.processor.nmiBlocked).toBe(true);
  });

  it('clears TF, NT and RF; IF only through an interrupt gate (6.12.1.3)', () => {
    const all = RFLAGS.FIXED | RFLAGS.IF | RFLAGS.TF | RFLAGS.NT | RFLAGS.RF | RFLAGS.AC;
    const guest = guestAt();
    guest.state.rflags = all;
    deliverInterrupt(guest.processor, 0x40);
    expect(guest.state.rflags).toBe(RFLAGS.FIXED | RFLAGS.AC);
    const trapped = guestAt();
    trapped.setGate(0x40, gate64(SELECTOR.CODE64, BigInt(LAYOUT.HANDLERS), 0x8f));
    trapped.state.rflags = all;
    deliverInterrupt(trapped.processor, 0x40);
    expect(trapped.state.rflags).toBe(RFLAGS.FIXED | RFLAGS.AC | RFLAGS.IF);
  });

  it.each([
    ['a fault', exceptionEvent(VECTOR.UD), true],
    ['a single-step trap', exceptionEvent(VECTOR.DB, undefined, 0x4000n), false],
    ['general detect', exceptionEvent(VECTOR.DB, undefined, 0x2000n), true],
  ])('pushes RF of %s as the manual says (Vol. 3B, 17.3.1.1)', (_name, event, set) => {
    const guest = guestAt();
    deliverEvent(guest.processor, event);
    expect((guest.frame!.rflags & RFLAGS.RF) !== 0).toBe(set);
  });

  it('stores the address of a page fault in CR2, and debug conditions in DR6 with DR7.GD cleared', () => {
    const guest = guestAt();
    raiseFault(guest.processor, new GuestFault(VECTOR.PF, 2, 0xabcdefn));
    expect(guest.state.cr2).toBe(0xabcdefn);
    expect(guest.frame).toMatchObject({ vector: VECTOR.PF, errorCode: 2 });
    guest.state.write64(STATE.DEBUG + 7 * 8, 0x2400n);
    deliverEvent(guest.processor, exceptionEvent(VECTOR.DB, undefined, 0x4000n));
    expect(guest.state.read64(STATE.DEBUG + 6 * 8) & 0x4000n).toBe(0x4000n);
    expect(guest.state.read64(STATE.DEBUG + 7 * 8)).toBe(0x400n);
  });

  it('keeps CPL in a conforming code segment', () => {
    const guest = guestAt();
    guest.enterUser();
    guest.setGate(0x40, gate64(SELECTOR.CONFORMING, BigInt(LAYOUT.HANDLERS + 0x400), 0x8e));
    deliverInterrupt(guest.processor, 0x40);
    expect(guest.state.cpl).toBe(3);
    expect(guest.state.segment(SEGMENT.CS).selector).toBe(SELECTOR.CONFORMING | 3);
    expect(guest.state.readGpr(GPR.RSP)).toBe(BigInt(LAYOUT.USER_STACK - 40));
  });

  it('ends the interrupt shadow and the halt state, and marks the code segment accessed', () => {
    const guest = guestAt();
    guest.processor.halted = true;
    guest.processor.interruptShadow = 'sti';
    deliverInterrupt(guest.processor, 0x40);
    expect(guest.processor.halted).toBe(false);
    expect(guest.processor.interruptShadow).toBe('none');
    expect((guest.read64(LAYOUT.GDT + SELECTOR.CODE64) >> 40n) & 1n).toBe(1n);
  });
});

/** A first event, what is broken, and the fault that comes of it. EXT is bit 0 of the error code. */
describe('faults during delivery (SDM Vol. 2A, INT n: 64-bit mode exceptions)', () => {
  const cases: readonly [string, (guest: SystemGuest) => void, number, number][] = [
    ['vector beyond the IDT limit', (g) => g.state.write32(STATE.IDTR_LIMIT, 0x40 * 16 + 14), 13, 0x203],
    ['gate of another type', (g) => g.setGate(0x40, gate64(8, 0n, 0x8c)), 13, 0x203],
    ['gate not present', (g) => g.setGate(0x40, gate64(8, 0n, 0x0e)), 11, 0x203],
    ['null selector', (g) => g.setGate(0x40, gate64(0, 0n, 0x8e)), 13, 1],
    ['selector beyond the GDT', (g) => g.setGate(0x40, gate64(0x200, 0n, 0x8e)), 13, 0x201],
    ['data segment', (g) => g.setGate(0x40, gate64(SELECTOR.DATA, 0n, 0x8e)), 13, 0x11],
    ['32-bit code segment', (g) => g.setGate(0x40, gate64(SELECTOR.CODE32, 0n, 0x8e)), 13, 0x81],
    ['outer code segment', (g) => g.setGate(0x40, gate64(SELECTOR.USER_CODE64, 0n, 0x8e)), 13, 0x29],
    ['code segment not present', (g) => g.setGate(0x40, gate64(SELECTOR.ABSENT_CODE, 0n, 0x8e)), 11, 0x69],
    ['entry point not canonical', (g) => g.setGate(0x40, gate64(8, 1n << 60n, 0x8e)), 13, 1],
    [
      'TSS too short for the interrupt stack',
      (g) => {
        g.setGate(0x40, gate64(8, 0n, 0x8e, 1));
        g.state.segment(SEGMENT.TR).limit = 42;
      },
      10,
      0x31,
    ],
    [
      'interrupt stack not canonical',
      (g) => {
        g.setGate(0x40, gate64(8, 0n, 0x8e, 1));
        g.write64(LAYOUT.TSS + 36, 1n << 50n);
      },
      12,
      1,
    ],
  ];
  it.each(cases)('%s', (_name, spoil, vector, errorCode) => {
    const guest = guestAt();
    spoil(guest);
    const before = guest.state.readGpr(GPR.RSP);
    expect(deliverInterrupt(guest.processor, 0x40)).toBe(DELIVERY.DELIVERED);
    expect(guest.frame).toMatchObject({ vector, errorCode, rip: RIP, rsp: before });
  });

  it('software interrupts check the DPL of the gate and leave EXT clear', () => {
    const guest = guestAt();
    guest.enterUser();
    const event = {
      type: 'software-interrupt',
      vector: 0x40,
      errorCode: undefined,
      instructionLength: 2,
      payload: undefined,
    } as const;
    deliverEvent(guest.processor, event);
    expect(guest.frame).toMatchObject({ vector: VECTOR.GP, errorCode: 0x202, rip: RIP });
    const allowed = guestAt();
    allowed.enterUser();
    allowed.setGate(0x40, gate64(SELECTOR.CODE64, BigInt(LAYOUT.HANDLERS + 0x400), 0xee));
    deliverEvent(allowed.processor, event);
    expect(allowed.frame).toMatchObject({ vector: 0x40, rip: RIP + 2n });
  });

  it('a page fault on the new stack is delivered with its address', () => {
    const guest = guestAt();
    guest.enterUser();
    guest.write64(LAYOUT.TSS + 4, 0x3ff000n);
    guest.setGate(VECTOR.PF, gate64(SELECTOR.CODE64, BigInt(LAYOUT.HANDLERS + 14 * 16), 0x8e, 1));
    guest.unmap(0x3ff000);
    deliverInterrupt(guest.processor, 0x40);
    expect(guest.frame).toMatchObject({ vector: VECTOR.PF, errorCode: 2 });
    expect(guest.state.cr2).toBe(0x3feff8n);
  });
});

describe('double and triple faults (SDM Vol. 3A, Table 6-5)', () => {
  const { DE, DB, UD, DF, TS, NP, SS, GP, PF, AC } = VECTOR;
  it.each([
    [DE, GP, 'double-fault'],
    [GP, NP, 'double-fault'],
    [TS, SS, 'double-fault'],
    [GP, PF, 'serially'],
    [PF, GP, 'double-fault'],
    [PF, PF, 'double-fault'],
    [PF, UD, 'serially'],
    [UD, GP, 'serially'],
    [AC, PF, 'serially'],
    [GP, DB, 'serially'],
    [DF, GP, 'shutdown'],
    [DF, PF, 'shutdown'],
    [DF, UD, 'serially'],
  ] as const)('vector %i, then %i: %s', (first, second, result) => {
    expect(combine(exceptionEvent(first), exceptionEvent(second))).toBe(result);
  });

  it('interrupts and software interrupts are benign', () => {
    const common = { vector: GP, errorCode: undefined, instructionLength: 0, payload: undefined };
    expect(combine({ ...common, type: 'external-interrupt' }, exceptionEvent(PF))).toBe('serially');
    expect(combine({ ...common, type: 'software-interrupt' }, exceptionEvent(GP))).toBe('serially');
  });

  it('a contributory fault while #GP is delivered gives #DF with error code 0', () => {
    const guest = guestAt();
    guest.setGate(VECTOR.GP, gate64(SELECTOR.CODE64, 0n, 0x0e));
    expect(raiseFault(guest.processor, new GuestFault(VECTOR.GP, 0))).toBe(DELIVERY.DELIVERED);
    expect(guest.frame).toMatchObject({ vector: VECTOR.DF, errorCode: 0, rip: RIP });
  });

  it('a fault while #DF is delivered shuts the processor down', () => {
    const guest = guestAt();
    guest.state.write32(STATE.IDTR_LIMIT, 0);
    expect(raiseFault(guest.processor, new GuestFault(VECTOR.UD))).toBe(DELIVERY.SHUTDOWN);
    expect(guest.processor.eventInDelivery).toBeUndefined();
  });
});

describe('interception (SDM Vol. 3C, 25.2 and 27.2.4)', () => {
  it('asks for exceptions before anything changes', () => {
    const guest = guestAt();
    const intercepts = new RecordingIntercepts('exception');
    guest.processor.intercepts = intercepts.face;
    expect(raiseFault(guest.processor, new GuestFault(VECTOR.PF, 4, 0x1000n))).toBe(DELIVERY.EXITED);
    expect(guest.state.cr2).toBe(0n);
    expect(intercepts.events).toEqual([exceptionEvent(VECTOR.PF, 4, 0x1000n)]);
    expect(guest.processor.eventInDelivery).toBeUndefined();
  });

  it('does not ask for external interrupts and INT n, but for NMIs', () => {
    const guest = guestAt();
    const intercepts = new RecordingIntercepts('exception');
    guest.processor.intercepts = intercepts.face;
    const common = { vector: 0x40, errorCode: undefined, instructionLength: 2, payload: undefined };
    expect(deliverInterrupt(guest.processor, 0x40)).toBe(DELIVERY.DELIVERED);
    expect(deliverEvent(guest.processor, { ...common, type: 'software-interrupt' })).toBe(DELIVERY.DELIVERED);
    expect(intercepts.calls).toEqual([]);
    expect(deliverInterrupt(guest.processor, 2, 'nmi')).toBe(DELIVERY.EXITED);
    expect(guest.processor.nmiBlocked).toBe(false);
  });

  it('names the first event while a nested exception exits', () => {
    const guest = guestAt();
    guest.setGate(0x40, gate64(SELECTOR.CODE64, 0n, 0x0e));
    const intercepts = new RecordingIntercepts('exception');
    let first: number | undefined;
    const { exception } = intercepts.face;
    intercepts.face.exception = (event) => {
      first = guest.processor.eventInDelivery?.vector;
      return exception(event);
    };
    guest.processor.intercepts = intercepts.face;
    expect(deliverInterrupt(guest.processor, 0x40)).toBe(DELIVERY.EXITED);
    expect(first).toBe(0x40);
    expect(intercepts.events).toEqual([exceptionEvent(VECTOR.NP, 0x203)]);
  });

  it('asks for the second exception, then for the double fault without an event in delivery', () => {
    const guest = guestAt();
    guest.setGate(VECTOR.GP, gate64(SELECTOR.CODE64, 0n, 0x0e));
    const seen: [number, number | undefined][] = [];
    const intercepts = new RecordingIntercepts();
    intercepts.face.exception = (event) => {
      seen.push([event.vector, guest.processor.eventInDelivery?.vector]);
      return event.vector === VECTOR.DF;
    };
    guest.processor.intercepts = intercepts.face;
    expect(raiseFault(guest.processor, new GuestFault(VECTOR.GP, 0))).toBe(DELIVERY.EXITED);
    expect(seen).toEqual([
      [VECTOR.GP, undefined],
      [VECTOR.NP, VECTOR.GP],
      [VECTOR.DF, undefined],
    ]);
  });

  it('turns a triple fault into an exit', () => {
    const guest = guestAt();
    guest.state.write32(STATE.IDTR_LIMIT, 0);
    const intercepts = new RecordingIntercepts('tripleFault');
    guest.processor.intercepts = intercepts.face;
    expect(raiseFault(guest.processor, new GuestFault(VECTOR.UD))).toBe(DELIVERY.EXITED);
    expect(intercepts.calls.at(-1)).toBe('tripleFault');
  });

  it('completes an exit that is thrown from a memory access, with the event in delivery', () => {
    const guest = guestAt();
    const intercepts = new RecordingIntercepts();
    let vector: number | undefined;
    intercepts.face.exit = () => {
      vector = guest.processor.eventInDelivery?.vector;
    };
    guest.processor.intercepts = intercepts.face;
    guest.processor.secondLevel = {
      translate: () => {
        throw new VmExitSignal(48, 0n);
      },
    };
    guest.processor.caches.flushAll();
    expect(deliverInterrupt(guest.processor, 0x40)).toBe(DELIVERY.EXITED);
    expect(vector).toBe(0x40);
    expect(guest.state.rip).toBe(RIP);
  });

  it('injection asks nothing, keeps CR2 and pushes RF as it is (26.6.1.1)', () => {
    const guest = guestAt();
    guest.state.cr2 = 7n;
    const intercepts = new RecordingIntercepts('exception');
    guest.processor.intercepts = intercepts.face;
    expect(injectEvent(guest.processor, exceptionEvent(VECTOR.PF, 2, 0x5000n))).toBe(DELIVERY.DELIVERED);
    expect(guest.state.cr2).toBe(7n);
    expect(guest.frame).toMatchObject({ vector: VECTOR.PF, errorCode: 2 });
    expect(guest.frame!.rflags & RFLAGS.RF).toBe(0);
    expect(intercepts.calls).toEqual([]);
  });
});

describe.skipIf(skipNote('nasm') !== '')(`software interrupts${skipNote('nasm')}`, () => {
  it.each([
    ['int 0x40', 0x40, 2n],
    ['int3', VECTOR.BP, 1n],
    ['int1', VECTOR.DB, 1n],
  ])('%s pushes the address of the next instruction', (text, vector, length) => {
    const guest = new SystemGuest();
    expect(guest.run(text)).toBe('halt');
    guest.state.rip -= 1n;
    expect(guest.frame).toMatchObject({ vector, rip: BigInt(LAYOUT.CODE) + length });
    expect(guest.frame!.rflags & RFLAGS.RF).toBe(0);
  });

  it('IRETQ leads back, from a handler at level 0 to user code', () => {
    const guest = new SystemGuest();
    guest.enterUser();
    guest.setGate(0x80, gate64(SELECTOR.CODE64, BigInt(LAYOUT.CALL_TARGET), 0xee));
    guest.load(LAYOUT.CALL_TARGET, [0x48, 0xcf]);
    guest.state.rflags = RFLAGS.FIXED | RFLAGS.IF;
    guest.run('int 0x80; mov eax, 5; ud2');
    guest.state.rip -= 1n;
    expect(guest.frame).toMatchObject({
      vector: VECTOR.UD,
      rip: BigInt(LAYOUT.CODE) + 7n,
      cs: SELECTOR.USER_CODE64 | 3,
      ss: SELECTOR.USER_DATA | 3,
      rsp: BigInt(LAYOUT.USER_STACK),
      rflags: RFLAGS.FIXED | RFLAGS.IF | RFLAGS.RF,
    });
    expect(guest.state.readGpr(GPR.RAX)).toBe(5n);
    expect(OUTCOME.JUMPED).toBe(DELIVERY.DELIVERED);
  });
});
