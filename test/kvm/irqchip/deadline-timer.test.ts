/** TSC-deadline mode: the same guest, its timer run by the host or by the VMX-preemption timer. */

import { describe, expect, it } from 'vitest';
import type { Policies } from '../../../src/index.js';
import { type InterruptRun, runInterruptGuest } from './interrupt-guest.js';

const WAIT = 40_000;
const ROUNDS = 20;

/** Arms the timer ${ROUNDS} times; EBP sums how late the handler is, in cycles. `wait` is what it does meanwhile. */
const deadlines = (wait: string): string => `
        set_gate 0x40, tick
        load_idt
        begin
        xor     ebx, ebx
        xor     ebp, ebp
        write_apic APIC_LVT_TIMER, 0x40040
.next:  rdtsc
        shl     rdx, 32
        or      rax, rdx
        add     rax, ${WAIT}
        mov     r8, rax
        mov     rdx, rax
        shr     rdx, 32
        mov     ecx, MSR_TSC_DEADLINE
        mov     r9d, ebx
        wrmsr
.wait:  ${wait}
        cmp     ebx, r9d
        je      .wait
        cmp     ebx, ${ROUNDS}
        jb      .next
        ; The mode's rules: the deadline is zero once it has expired.
        mov     ecx, MSR_TSC_DEADLINE
        rdmsr
        or      eax, edx
        jnz     .bad
        cli
        mov     [result], rbp
        finish_with bl
.bad:   finish_with 1
result: dq      0
tick:   push    rax
        push    rcx
        push    rdx
        rdtsc
        shl     rdx, 32
        or      rax, rdx
        sub     rax, r8
        js      early
        add     rbp, rax
        inc     ebx
        end_interrupt
        pop     rdx
        pop     rcx
        pop     rax
        iretq
early:  finish_with 2`;

const BUSY = 'sti\n nop';
const HALT = 'sti\n hlt\n cli';

function run(policies: Partial<Policies>, wait = BUSY): InterruptRun {
  const result = runInterruptGuest(deadlines(wait), { end: 'x2APIC', policies });
  expect(result.result.end).toEqual({ reason: 'guest-exit', exitCode: 2 * ROUNDS + 1 });
  return result;
}

describe('TSC-deadline mode', () => {
  it('is not offered in 2.6.32', () => {
    const { output } = runInterruptGuest(`
        set_gate VECTOR_GP, fault
        load_idt
        mov     eax, 1
        cpuid
        test    ecx, 1 << 24
        jnz     .bad
        mov     ecx, MSR_TSC_DEADLINE
        rdmsr
.bad:   finish
fault:  print   "#GP", 10
        finish`);
    expect(output).toBe('#GP\n');
  });

  it('interrupts a guest that computes, by a host interrupt or by the preemption timer', () => {
    const host = run({ deadlineTimer: 'hrtimer' });
    const hardware = run({ deadlineTimer: 'preemption-timer' });
    const fast = run({ deadlineTimer: 'preemption-timer', exitDispatch: 'fast-path' });
    expect(host.count('EXTERNAL_INTERRUPT')).toBe(ROUNDS);
    expect(host.count('PREEMPTION_TIMER')).toBe(0);
    expect(hardware.count('PREEMPTION_TIMER')).toBe(ROUNDS);
    expect(hardware.count('EXTERNAL_INTERRUPT')).toBe(0);
    // Each round of the guest lasts 40,000 cycles and what the timer costs.
    const perRound = ({ result }: InterruptRun): number => result.cycles / ROUNDS;
    const saved = perRound(host) - perRound(hardware);
    expect(saved).toBeGreaterThan(300);
    expect(perRound(fast)).toBeLessThan(perRound(hardware));
  });

  it('wakes a guest that halts, by a host timer', () => {
    const host = run({ deadlineTimer: 'hrtimer' }, HALT);
    const hardware = run({ deadlineTimer: 'preemption-timer', exitDispatch: 'fast-path' }, HALT);
    expect(host.result.statistics.haltWakeups).toBe(ROUNDS);
    expect(hardware.result.statistics.haltWakeups).toBe(ROUNDS);
  });

  it.each(['hrtimer', 'preemption-timer', 'posted'] as const)(
    'expires at once for a past deadline, is disarmed by zero, and is idle in other modes (%s)',
    (deadlineTimer) => {
      for (const exitDispatch of ['full-loop', 'fast-path'] as const) {
        const { output } = runInterruptGuest(
          `
        set_gate 0x40, tick
        load_idt
        begin
        xor     ebx, ebx
        sti
        write_msr MSR_TSC_DEADLINE, 1   ; the timer is not in this mode
        nop
        print   "a"
        write_apic APIC_LVT_TIMER, 0x40040
        write_msr MSR_TSC_DEADLINE, 1
        nop
        print   "b"
        rdtsc
        add     eax, 20000
        mov     ecx, MSR_TSC_DEADLINE
        wrmsr
        write_msr MSR_TSC_DEADLINE, 0
        mov     ecx, 40000
.wait:  loop    .wait
        print   "c"
        finish
tick:   push    rax
        push    rcx
        push    rdx
        print   "!"
        end_interrupt
        pop     rdx
        pop     rcx
        pop     rax
        iretq`,
          { end: 'x2APIC', policies: { deadlineTimer, exitDispatch } },
        );
        expect(output).toBe('a!bc');
      }
    },
  );
});
