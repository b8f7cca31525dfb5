import { describe, expect, it } from 'vitest';
import type { HostThread, ThreadRequest } from '../../src/host/host-thread.js';
import { HostInvariantError } from '../../src/host/user-mode.js';
import { compute } from '../../src/host/workload.js';
import { MemorySlots } from '../../src/kvm/memory-slots.js';
import type { Policies } from '../../src/kvm/policies.js';
import { SlotsProtection } from '../../src/kvm/slots-protection.js';
import { guestPhysical } from '../../src/memory/addresses.js';
import { createHost } from '../host/host-machine.js';
import { RandomSource } from '../support/random-source.js';

const region = (userspaceAddress: number, sizeInBytes = 0x10000) => ({
  slot: 0,
  guestPhysicalAddress: guestPhysical(0x10000),
  sizeInBytes,
  userspaceAddress,
});
const FREE = { charge: () => {} };

describe('a freed memory slot', () => {
  it('can not be used any more', () => {
    const slots = new MemorySlots((address) => address);
    slots.setRegion(region(0x100000));
    const slot = slots.find(0x10, FREE)!;
    expect(slots.addressInSlot(slot, guestPhysical(0x10123))).toBe(0x100123);
    slots.setRegion(region(0, 0));
    slots.setRegion(region(0x200000));
    expect(slots.addressInSlot(slot, guestPhysical(0x10123))).toBe(0x100123);
    slots.freeRetired();
    expect(() => slots.addressInSlot(slot, guestPhysical(0x10123))).toThrow(HostInvariantError);
    expect(slots.peek(guestPhysical(0x10123))).toBe(0x200123);
  });
});

const POLICIES: Policies['slotsProtection'][] = ['rwsem', 'srcu', 'srcu-expedited'];

describe.each(POLICIES)('memory slots under %s', (policy) => {
  it.each([1, 2, 3, 4, 5, 6])('are freed only when no reader holds them (seed %i)', (seed) => {
    const random = new RandomSource(seed);
    // Grace periods of 10 ms are long when 1,300 cycles at a time are simulated.
    const updates = policy === 'srcu' ? 1 : 4;
    const cpus = 1 + random.below(4);
    const { host } = createHost({ cpus, timeSliceInCycles: 40_000 });
    const { scheduler } = host;
    const slots = new MemorySlots((address) => address);
    slots.setRegion(region(0x100000));
    const protection = new SlotsProtection(host, policy, () => slots.freeRetired());
    let over = false;
    let sections = 0;
    const inOrder = function* (thread: HostThread): Generator<ThreadRequest, undefined, void> {
      while (!scheduler.cpuOf(thread).cpu.isInOrder) yield 'pause';
      return undefined;
    };
    for (let number = 0; number < 6; number++)
      host.startThread({
        name: `reader ${number}`,
        cpu: host.cpus[number % cpus]!,
        isKernelThread: true,
        *body(thread) {
          const reader = protection.addReader(thread.name);
          while (!over) {
            yield* compute(scheduler, thread, 1 + random.below(30_000));
            yield* inOrder(thread);
            if (!protection.tryReadLock(scheduler.cpuOf(thread), reader))
              yield* protection.waitToRead(thread, reader);
            const slot = slots.find(0x10, FREE);
            for (let step = 0; step < 3; step++) {
              yield* compute(scheduler, thread, 1 + random.below(30_000));
              if (slot !== undefined) slots.addressInSlot(slot, guestPhysical(0x10000));
            }
            sections++;
            yield* inOrder(thread);
            protection.readUnlock(scheduler.cpuOf(thread), reader);
          }
        },
      });
    host.startThread({
      name: 'writer',
      cpu: host.cpus[0]!,
      isKernelThread: true,
      *body(thread) {
        for (let update = 1; update <= updates; update++) {
          yield* compute(scheduler, thread, 1 + random.below(200_000));
          yield* protection.update(thread, () => slots.setRegion(region(0, 0)));
          yield* protection.update(thread, () => slots.setRegion(region(0x100000 * update)));
        }
        over = true;
      },
    });
    expect(scheduler.run()).toBe('finished');
    host.verifyLedger();
    expect(sections).toBeGreaterThan(10);
    expect(protection.readersInside).toBe(0);
    expect(slots.peek(guestPhysical(0x10000))).toBe(0x100000 * updates);
  });
});

it('a section that outlives what it may use is noticed', () => {
  const { host, cpu } = createHost();
  const protection = new SlotsProtection(host, 'srcu-expedited', () => {});
  const reader = protection.addReader('careless reader');
  host.startThread({
    name: 'writer',
    cpu,
    isKernelThread: true,
    *body(thread) {
      protection.tryReadLock(cpu, reader);
      // SRCU is told that the reader has left, the reader goes on.
      protection.readUnlock(cpu, reader);
      reader.inside = true;
      yield* protection.update(thread, () => {});
    },
  });
  expect(() => host.scheduler.run()).toThrow(/careless reader is freed/);
});
