/** The local APIC, by the sections of SDM Vol. 3A, Chapter 11 Advanced Programmable Interrupt Controller (APIC). */

import { beforeEach, describe, expect, it } from 'vitest';
import { DELIVERY_MODE, type InterruptMessage, SHORTHAND } from '../../src/devices/interrupt-message.js';
import { LocalApic } from '../../src/devices/local-apic.js';
import type { LocalApicOptions } from '../../src/devices/local-apic-options.js';
import { APIC_REGISTER as REGISTER } from '../../src/devices/local-apic-registers.js';
import { TestClock } from './alarm-clock.js';

const ENABLE = 0x1ff;
const MASK = 0x10000;
let clock: TestClock;
let sent: InterruptMessage[];
let ended: number[];
let events: string[];
let apic: LocalApic;

function create(options: Partial<LocalApicOptions> = {}): LocalApic {
  return new LocalApic({
    id: 1,
    clock,
    timerFrequency: 1000,
    tscDeadline: true,
    connections: {
      send: (message) => sent.push(message),
      broadcastEndOfInterrupt: (vector) => ended.push(vector),
      interruptArrived: () => {},
      nonMaskableInterrupt: () => events.push('NMI'),
      init: () => events.push('INIT'),
      startup: (vector) => events.push(`SIPI ${vector}`),
    },
    ...options,
  });
}

const write = (register: number, value: number) => apic.write(register, 4, value);
const read = (register: number) => apic.read(register, 4);

beforeEach(() => {
  // Five clock ticks per timer tick.
  clock = new TestClock(5000);
  sent = [];
  ended = [];
  events = [];
  apic = create();
  write(REGISTER.SPURIOUS_VECTOR, ENABLE);
});

describe('11.4.7.1 Local APIC State After Power-Up or Reset', () => {
  it('is software disabled with everything masked', () => {
    const fresh = create();
    expect(fresh.read(REGISTER.SPURIOUS_VECTOR, 4)).toBe(0xff);
    expect(fresh.read(REGISTER.DESTINATION_FORMAT, 4)).toBe(0xffffffff);
    for (const register of [REGISTER.LVT_TIMER, REGISTER.LVT_LINT0, REGISTER.LVT_LINT1, REGISTER.LVT_ERROR])
      expect(fresh.read(register, 4)).toBe(MASK);
    expect(fresh.read(REGISTER.ID, 4)).toBe(0x01000000);
    expect(fresh.read(REGISTER.VERSION, 4)).toBe(0x00050014);
    expect(fresh.accept(0x40, false)).toBe(false);
  });
});

describe('11.4.7.2 Local APIC State After It Has Been Software Disabled', () => {
  it('masks all LVT entries and keeps them masked', () => {
    write(REGISTER.LVT_ERROR, 0x31);
    expect(read(REGISTER.LVT_ERROR)).toBe(0x31);
    write(REGISTER.SPURIOUS_VECTOR, 0xff);
    expect(read(REGISTER.LVT_ERROR)).toBe(0x31 | MASK);
    write(REGISTER.LVT_ERROR, 0x32);
    expect(read(REGISTER.LVT_ERROR)).toBe(0x32 | MASK);
  });
});

describe('11.8.3.1 Task and Processor Priorities', () => {
  it('dispatches the highest vector above the processor priority', () => {
    for (const vector of [0x31, 0x52, 0x4f]) apic.accept(vector, false);
    expect(apic.pendingVector).toBe(0x52);
    write(REGISTER.TASK_PRIORITY, 0x50);
    expect(apic.pendingVector).toBe(-1);
    expect(apic.highestRequest).toBe(0x52);
    write(REGISTER.TASK_PRIORITY, 0x4f);
    expect(apic.acknowledge()).toBe(0x52);
    expect(apic.pendingVector).toBe(-1);
  });

  it('computes PPR from TPR and the highest vector in service', () => {
    apic.accept(0x52, false);
    apic.acknowledge();
    expect(read(REGISTER.PROCESSOR_PRIORITY)).toBe(0x50);
    write(REGISTER.TASK_PRIORITY, 0x57);
    expect(read(REGISTER.PROCESSOR_PRIORITY)).toBe(0x57);
    write(REGISTER.TASK_PRIORITY, 0x68);
    expect(read(REGISTER.PROCESSOR_PRIORITY)).toBe(0x68);
    write(REGISTER.TASK_PRIORITY, 0x4f);
    expect(read(REGISTER.PROCESSOR_PRIORITY)).toBe(0x50);
  });

  it('lets only a higher class interrupt', () => {
    apic.accept(0x52, false);
    apic.acknowledge();
    apic.accept(0x5f, false);
    expect(apic.pendingVector).toBe(-1);
    apic.accept(0x60, false);
    expect(apic.acknowledge()).toBe(0x60);
    apic.endOfInterrupt();
    expect(apic.pendingVector).toBe(-1);
    apic.endOfInterrupt();
    expect(apic.pendingVector).toBe(0x5f);
  });
});

describe('11.8.4 Interrupt Acceptance for Fixed Interrupts', () => {
  it('shows request, service and trigger mode in their registers', () => {
    expect(apic.accept(0x71, true)).toBe(true);
    expect(read(REGISTER.REQUEST + 0x30)).toBe(1 << 17);
    expect(read(REGISTER.TRIGGER_MODE + 0x30)).toBe(1 << 17);
    expect(apic.accept(0x71, true)).toBe(false);
    apic.acknowledge();
    expect(read(REGISTER.REQUEST + 0x30)).toBe(0);
    expect(read(REGISTER.IN_SERVICE + 0x30)).toBe(1 << 17);
    // One more may wait while the first is in service.
    expect(apic.accept(0x71, true)).toBe(true);
  });

  it('reports vectors below 16 as an error', () => {
    write(REGISTER.LVT_ERROR, 0xfe);
    expect(apic.accept(15, false)).toBe(false);
    expect(apic.pendingVector).toBe(0xfe);
    expect(read(REGISTER.ERROR_STATUS)).toBe(0);
    write(REGISTER.ERROR_STATUS, 0);
    expect(read(REGISTER.ERROR_STATUS)).toBe(0x40);
    write(REGISTER.ERROR_STATUS, 0);
    expect(read(REGISTER.ERROR_STATUS)).toBe(0);
  });
});

describe('11.8.5 Signaling Interrupt Servicing Completion', () => {
  it('clears the highest vector in service, and broadcasts level-triggered ones', () => {
    for (const [vector, level] of [
      [0x31, false],
      [0x42, true],
    ] as const) {
      apic.accept(vector, level);
      apic.acknowledge();
    }
    write(REGISTER.EOI, 0);
    expect(ended).toEqual([0x42]);
    expect(apic.priority.inService.highest()).toBe(0x31);
    write(REGISTER.EOI, 0);
    expect(ended).toEqual([0x42]);
    write(REGISTER.EOI, 0); // without anything in service: no effect
    expect(apic.priority.inService.highest()).toBe(-1);
  });

  it('suppresses the broadcast on demand, where that exists', () => {
    apic = create({ directedEndOfInterrupt: true });
    write(REGISTER.SPURIOUS_VECTOR, ENABLE | 0x1000);
    expect(read(REGISTER.VERSION)).toBe(0x01050014);
    apic.accept(0x42, true);
    apic.acknowledge();
    write(REGISTER.EOI, 0);
    expect(ended).toEqual([]);
  });
});

describe('11.9 Spurious Interrupt', () => {
  it('is given when the request is masked by the time of the acknowledge, without service', () => {
    write(REGISTER.SPURIOUS_VECTOR, 0x1ef);
    apic.accept(0x31, false);
    write(REGISTER.TASK_PRIORITY, 0x30);
    expect(apic.acknowledge()).toBe(0xef);
    expect(apic.priority.inService.highest()).toBe(-1);
    expect(apic.priority.request.has(0x31)).toBe(true);
  });
});

describe('11.6.1 Interrupt Command Register', () => {
  it('sends on a write of the low half', () => {
    write(REGISTER.INTERRUPT_COMMAND_HIGH, 0x07000000);
    expect(sent).toEqual([]);
    write(REGISTER.INTERRUPT_COMMAND_LOW, 0x4841); // logical, assert
    expect(sent).toEqual([
      {
        vector: 0x41,
        deliveryMode: DELIVERY_MODE.FIXED,
        destination: 7,
        logicalDestination: true,
        shorthand: SHORTHAND.NONE,
        levelTriggered: false,
        assert: true,
      },
    ]);
    expect(read(REGISTER.INTERRUPT_COMMAND_LOW)).toBe(0x4841);
  });

  it('sends INIT and start-up, and takes them', () => {
    write(REGISTER.INTERRUPT_COMMAND_LOW, 0xc4500); // all but self
    write(REGISTER.INTERRUPT_COMMAND_LOW, 0xc4608);
    expect(sent.map(({ deliveryMode, shorthand }) => [deliveryMode, shorthand])).toEqual([
      [5, 3],
      [6, 3],
    ]);
    for (const message of sent) apic.receive(message);
    apic.receive({ ...sent[0]!, levelTriggered: true, assert: false });
    expect(events).toEqual(['INIT', 'SIPI 8']);
  });

  it('refuses illegal vectors with an error bit', () => {
    write(REGISTER.INTERRUPT_COMMAND_LOW, 0x4005);
    write(REGISTER.ERROR_STATUS, 0);
    expect(sent).toEqual([]);
    expect(read(REGISTER.ERROR_STATUS)).toBe(0x20);
  });
});

describe('11.6.2 Determining IPI Destination', () => {
  it('compares physical IDs', () => {
    expect(apic.matches(1, false)).toBe(true);
    expect(apic.matches(2, false)).toBe(false);
    expect(apic.matches(0xff, false)).toBe(true);
  });

  it('uses one bit per APIC in the flat model', () => {
    write(REGISTER.LOGICAL_DESTINATION, 0x04000000);
    expect(apic.matches(0x0c, true)).toBe(true);
    expect(apic.matches(0x03, true)).toBe(false);
  });

  it('uses cluster and member in the cluster model', () => {
    write(REGISTER.DESTINATION_FORMAT, 0);
    expect(read(REGISTER.DESTINATION_FORMAT)).toBe(0x0fffffff);
    write(REGISTER.LOGICAL_DESTINATION, 0x32000000);
    expect(apic.matches(0x33, true)).toBe(true);
    expect(apic.matches(0x43, true)).toBe(false);
    expect(apic.matches(0x3d, true)).toBe(false);
  });
});

describe('11.5.1 Local Vector Table', () => {
  it('delivers NMI and fixed interrupts from the pins', () => {
    write(REGISTER.LVT_LINT1, DELIVERY_MODE.NMI << 8);
    apic.setLint(1, true);
    expect(events).toEqual(['NMI']);
    write(REGISTER.LVT_LINT0, 0x35);
    apic.setLint(0, true);
    expect(apic.pendingVector).toBe(0x35);
  });

  it('passes the 8259s on only where LINT0 is ExtINT and not masked', () => {
    expect(apic.acceptsExternalInterrupts).toBe(false);
    write(REGISTER.LVT_LINT0, DELIVERY_MODE.EXTINT << 8);
    expect(apic.acceptsExternalInterrupts).toBe(true);
    write(REGISTER.LVT_LINT0, (DELIVERY_MODE.EXTINT << 8) | MASK);
    expect(apic.acceptsExternalInterrupts).toBe(false);
    expect(create({ virtualWire: true }).acceptsExternalInterrupts).toBe(true);
  });

  it('keeps only bits that can be written', () => {
    write(REGISTER.LVT_TIMER, 0xffffffff);
    // Both mode bits set is reserved; here it is kept as written.
    expect(read(REGISTER.LVT_TIMER)).toBe(0x700ff);
    write(REGISTER.LVT_LINT0, 0xffffffff);
    expect(read(REGISTER.LVT_LINT0)).toBe(0x1a7ff);
  });
});

describe('11.5.4 APIC Timer', () => {
  const start = (lvt: number, divide: number, count: number) => {
    write(REGISTER.LVT_TIMER, lvt);
    write(REGISTER.DIVIDE_CONFIGURATION, divide);
    write(REGISTER.INITIAL_COUNT, count);
  };
  const PERIODIC = 0x20000;
  const DEADLINE = 0x40000;

  it.each([
    [0, 2],
    [1, 4],
    [2, 8],
    [3, 16],
    [8, 32],
    [9, 64],
    [10, 128],
    [11, 1],
  ])('divide configuration %i divides by %i', (configuration, divisor) => {
    start(0x40, configuration, 10);
    clock.advance(5 * divisor * 4);
    expect(read(REGISTER.CURRENT_COUNT)).toBe(6);
    clock.advance(5 * divisor * 6 - 1);
    expect(apic.pendingVector).toBe(-1);
    clock.advance(1);
    expect(apic.pendingVector).toBe(0x40);
    expect(read(REGISTER.CURRENT_COUNT)).toBe(0);
  });

  it('one-shot fires once', () => {
    start(0x40, 11, 10);
    clock.advance(50);
    apic.acknowledge();
    write(REGISTER.EOI, 0);
    clock.advance(500);
    expect(apic.pendingVector).toBe(-1);
    expect(clock.pending).toBe(0);
  });

  it('periodic reloads', () => {
    start(0x40 | PERIODIC, 11, 10);
    let fired = 0;
    for (let tick = 0; tick < 175; tick++) {
      clock.advance(1);
      if (apic.pendingVector === 0x40) {
        apic.acknowledge();
        apic.endOfInterrupt();
        fired++;
      }
    }
    expect(fired).toBe(3);
    expect(read(REGISTER.CURRENT_COUNT)).toBe(5);
  });

  it('a count of zero stops it', () => {
    start(0x40, 11, 10);
    write(REGISTER.INITIAL_COUNT, 0);
    clock.advance(100);
    expect(apic.pendingVector).toBe(-1);
    expect(read(REGISTER.CURRENT_COUNT)).toBe(0);
  });

  it('a masked entry lets it expire in silence', () => {
    start(0x40 | MASK, 11, 10);
    clock.advance(100);
    expect(apic.pendingVector).toBe(-1);
  });

  it('TSC-deadline mode: armed by a deadline, disarmed by zero, cleared at expiry', () => {
    start(0x40 | DEADLINE, 11, 10);
    expect(read(REGISTER.INITIAL_COUNT)).toBe(0);
    apic.timer.deadline = 100n;
    apic.timer.deadline = 0n;
    clock.advance(200);
    expect(apic.pendingVector).toBe(-1);
    apic.timer.deadline = 300n;
    expect(apic.timer.deadline).toBe(300n);
    clock.advance(99);
    expect(apic.pendingVector).toBe(-1);
    clock.advance(1);
    expect(apic.pendingVector).toBe(0x40);
    expect(apic.timer.deadline).toBe(0n);
  });

  it('leaving TSC-deadline mode disarms, and other modes ignore the deadline', () => {
    start(0x40 | DEADLINE, 11, 0);
    apic.timer.deadline = 100n;
    write(REGISTER.LVT_TIMER, 0x40);
    clock.advance(200);
    expect(apic.pendingVector).toBe(-1);
    apic.timer.deadline = 300n;
    expect(apic.timer.deadline).toBe(0n);
  });

  it('lengthens periods that are too short', () => {
    apic = create({ minimumTimerPeriod: 1000 });
    write(REGISTER.SPURIOUS_VECTOR, ENABLE);
    let fired = 0;
    start(0x40 | PERIODIC, 11, 1);
    for (let tick = 0; tick < 3100; tick++) {
      clock.advance(1);
      if (apic.pendingVector === 0x40) {
        apic.acknowledge();
        apic.endOfInterrupt();
        fired++;
      }
    }
    expect(fired).toBe(4);
  });
});

describe('11.4.1 register accesses', () => {
  it('answers bytes of a register, and sets an error for unknown ones', () => {
    write(REGISTER.LOGICAL_DESTINATION, 0x42000000);
    expect(apic.read(REGISTER.LOGICAL_DESTINATION + 3, 1)).toBe(0x42);
    apic.peek(0x3a0, 4);
    write(REGISTER.ERROR_STATUS, 0);
    expect(read(REGISTER.ERROR_STATUS)).toBe(0);
    read(0x3a0);
    write(REGISTER.ERROR_STATUS, 0);
    expect(read(REGISTER.ERROR_STATUS)).toBe(0x80);
  });

  it('ignores writes that are not 32 bits wide and aligned', () => {
    apic.write(REGISTER.TASK_PRIORITY, 1, 0x50);
    apic.write(REGISTER.TASK_PRIORITY + 4, 4, 0x50);
    expect(read(REGISTER.TASK_PRIORITY)).toBe(0);
  });
});
