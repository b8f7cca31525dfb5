/** Halt polling: the vCPU's thread keeps its CPU for a while after HLT. */

import { describe, expect, it } from 'vitest';
import type { Policies } from '../../src/index.js';
import { HaltPolling } from '../../src/kvm/halt-polling.js';
import { countingHandler, type InterruptRun, runInterruptGuest } from './irqchip/interrupt-guest.js';

const CLOCK = 2_600_000_000;

/** Halts 12 times, woken by a one-shot timer after so many nanoseconds. */
const naps = (nanoseconds: number): string => `
        set_gate 0x40, tick
        load_idt
        begin
        xor     ebx, ebx
        write_apic APIC_TIMER_DIVIDE, APIC_DIVIDE_BY_1
        write_apic APIC_LVT_TIMER, 0x40
.next:  write_apic APIC_TIMER_INITIAL, ${nanoseconds}
        sti
        hlt
        cli
        cmp     ebx, 12
        jb      .next
        finish_with bl
${countingHandler('tick')}`;

function run(haltPolling: Policies['haltPolling'], nanoseconds: number): InterruptRun {
  const result = runInterruptGuest(naps(nanoseconds), { end: 'x2APIC', policies: { haltPolling } });
  expect(result.result.end).toEqual({ reason: 'guest-exit', exitCode: 25 });
  expect(result.result.statistics.haltWakeups).toBe(12);
  return result;
}

describe('halt polling', () => {
  it('saves the switches to the idle task and back when the wake-up comes soon', () => {
    const off = run('off', 50_000);
    const always = run('always', 50_000);
    const dynamic = run('dynamic', 50_000);
    expect(off.result.statistics.haltAttemptedPolls).toBe(0);
    expect(always.result.statistics.haltSuccessfulPolls).toBe(12);
    // 10, 20, 40 and 80 µs: the first halts are too long for the window.
    expect(dynamic.result.statistics.haltSuccessfulPolls).toBeGreaterThanOrEqual(7);
    expect(dynamic.result.statistics.haltSuccessfulPolls).toBeLessThan(12);
    // Two context switches of 3380 cycles and a wake-up less for each of twelve halts.
    expect(off.result.cycles - always.result.cycles).toBeGreaterThan(12 * 3380);
    expect(dynamic.result.cycles).toBeGreaterThan(always.result.cycles);
    expect(dynamic.result.cycles).toBeLessThan(off.result.cycles);
  });

  it('burns its window and sleeps when the wake-up comes late; dynamic polling gives up', () => {
    const always = run('always', 600_000);
    const dynamic = run('dynamic', 600_000);
    expect(always.result.statistics.haltSuccessfulPolls).toBe(0);
    expect(always.result.statistics.haltAttemptedPolls).toBe(12);
    expect(dynamic.result.statistics.haltAttemptedPolls).toBe(0);
    const burnt = ({ exits }: InterruptRun): number =>
      exits
        .flatMap(({ stages }) => stages)
        .flatMap(({ operations }) => operations)
        .filter(({ name }) => name === 'halt polling')
        .reduce((sum, { cycles }) => sum + cycles, 0);
    // 200 µs each.
    expect(burnt(always)).toBe(12 * 520_000);
    expect(burnt(dynamic)).toBe(0);
  });

  it('grows from 10 µs by doubling to 200 µs, and shrinks to nothing', () => {
    const polling = new HaltPolling('dynamic', CLOCK);
    const microseconds = (): number => polling.window / (CLOCK / 1e6);
    const windows: number[] = [];
    for (let n = 0; n < 7; n++) {
      polling.adjust(199 * (CLOCK / 1e6));
      windows.push(microseconds());
    }
    expect(windows).toEqual([10, 20, 40, 80, 160, 200, 200]);
    polling.adjust(50 * (CLOCK / 1e6));
    expect(microseconds()).toBe(200);
    polling.adjust(1000 * (CLOCK / 1e6));
    expect(microseconds()).toBe(0);
    expect(new HaltPolling('always', CLOCK).window).toBe(520_000);
    expect(new HaltPolling('off', CLOCK).window).toBe(0);
  });
});
