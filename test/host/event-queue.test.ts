import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EventQueue } from '../../src/host/event-queue.js';

describe('EventQueue', () => {
  it('gives events in order of time, and of insertion where times are equal', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 20 }), { maxLength: 60 }), (times) => {
        const queue = new EventQueue();
        const order: number[] = [];
        for (const [index, time] of times.entries()) queue.schedule(time, () => order.push(index));
        for (let event = queue.takeDue(100); event !== undefined; event = queue.takeDue(100)) event.action();
        const expected = times.map((_, index) => index).sort((a, b) => times[a]! - times[b]! || a - b);
        expect(order).toEqual(expected);
      }),
    );
  });

  it('holds back what is not due and forgets what is cancelled', () => {
    const queue = new EventQueue();
    const first = queue.schedule(10, () => {});
    const second = queue.schedule(20, () => {});
    expect(queue.takeDue(9)).toBeUndefined();
    first.cancel();
    expect(queue.nextTime).toBe(20);
    expect(queue.takeDue(20)).toBe(second);
    expect(queue.nextTime).toBe(Number.POSITIVE_INFINITY);
  });
});
