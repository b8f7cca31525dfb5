/** Ends of interrupt: the same guest results, and the exits and cycles that each way takes. */

import { describe, expect, it } from 'vitest';
import { runInterruptGuest, SERIAL_THROUGH_IO_APIC } from './interrupt-guest.js';

/** 20 timer interrupts in a guest that computes, periodic or one-shot. */
const ticks = (mode: 'periodic' | 'one-shot'): string => `
        set_gate 0x40, tick
        load_idt
        begin
        xor     ebx, ebx
        xor     ebp, ebp
        write_apic APIC_TIMER_DIVIDE, APIC_DIVIDE_BY_1
        write_apic APIC_LVT_TIMER, ${mode === 'periodic' ? '0x20040' : '0x40'}
        write_apic APIC_TIMER_INITIAL, 600000
        sti
.wait:  inc     rbp
        cmp     ebx, 20
        jb      .wait
        cli
        finish_with bl
tick:   push    rax
        push    rcx
        push    rdx
        inc     ebx
        ${mode === 'one-shot' ? 'write_apic APIC_TIMER_INITIAL, 600000' : ''}
        end_interrupt
        pop     rdx
        pop     rcx
        pop     rax
        iretq`;

describe('an end of interrupt through the xAPIC page', () => {
  it('is recognised by its exit qualification at about the cost of an MSR write', () => {
    const emulated = runInterruptGuest(ticks('periodic'));
    const fast = runInterruptGuest(ticks('periodic'), { policies: { apicAccess: 'fast-eoi' } });
    const msr = runInterruptGuest(ticks('periodic'), { end: 'x2APIC' });
    for (const { result } of [emulated, fast, msr])
      expect(result.end).toEqual({ reason: 'guest-exit', exitCode: 41 });
    const cyclesOf = (run: typeof fast, name: string): number =>
      run.exits.filter(({ reasonName }) => reasonName === name).at(-1)!.cycles;
    expect(cyclesOf(emulated, 'APIC_ACCESS')).toBeGreaterThan(4600);
    // Validation V9, predicted: fast EOI as x2APIC EOI, within 100 cycles.
    expect(Math.abs(cyclesOf(fast, 'APIC_ACCESS') - cyclesOf(msr, 'MSR_WRITE'))).toBeLessThanOrEqual(100);
    expect(fast.result.statistics.instructionEmulations).toBeLessThan(10);
    expect(fast.count('APIC_ACCESS')).toBe(emulated.count('APIC_ACCESS'));
  });

  it('is emulated all the same when it is no plain write', () => {
    const { output } = runInterruptGuest(
      `
        begin
        mov     dword [rdi + APIC_TPR], 0x20
        xchg    eax, [rdi + APIC_EOI]
        cmp     dword [rdi + APIC_TPR], 0x20
        jne     .bad
        print   "as before", 10
.bad:   finish`,
      { policies: { apicAccess: 'fast-eoi' } },
    );
    expect(output).toBe('as before\n');
  });
});

describe('PV EOI', () => {
  it.each(['periodic', 'one-shot'] as const)('saves an exit per interrupt (%s timer)', (mode) => {
    const before = runInterruptGuest(ticks(mode), { end: 'x2APIC', policies: { pvEoi: 'on' } });
    const after = runInterruptGuest(ticks(mode), { end: 'PV EOI', policies: { pvEoi: 'on' } });
    expect(after.result.end).toEqual(before.result.end);
    expect(after.result.statistics.irqInjections).toBe(before.result.statistics.irqInjections);
    const writes = (run: typeof before): number => run.count('MSR_WRITE');
    // 20 ends of interrupt, all of them through memory.
    expect(writes(before) - writes(after)).toBeGreaterThanOrEqual(19);
    // Validation V7, predicted: entries fall by 40 % ± 10 points.
    // Counted from the first interrupt on: what the guest does to set itself up is no part of it.
    const entries = ({ exits }: typeof before): number =>
      exits.length - exits.findIndex(({ reasonName }) => reasonName === 'EXTERNAL_INTERRUPT');
    const fall = 1 - entries(after) / entries(before);
    expect(fall).toBeGreaterThan(0.3);
    expect(fall).toBeLessThan(0.5);
  });

  it('is offered by CPUID, and takes an aligned address only', () => {
    const code = `
        set_gate VECTOR_GP, fault
        load_idt
        mov     eax, 0x40000001
        cpuid
        test    al, 1 << 6
        jz      .no
        print   "offered", 10
.no:    write_msr MSR_PV_EOI, 0x9003
        print   "taken", 10
        finish
fault:  print   "#GP", 10
        finish`;
    expect(runInterruptGuest(code, { policies: { pvEoi: 'on' } }).output).toBe('offered\n#GP\n');
    expect(runInterruptGuest(code.replace('0x9003', '0x9005'), { policies: { pvEoi: 'on' } }).output).toBe(
      'offered\ntaken\n',
    );
    expect(runInterruptGuest(code.replace('0x9003', '0x9005')).output).toBe('#GP\n');
  });

  it('is not offered while another interrupt waits, nor for one that nests in another', () => {
    // The outer handler finds a lower interrupt requested by itself: the end of the outer one must be signalled.
    const code = `
        set_gate 0x60, outer
        set_gate 0x50, inner
        load_idt
        begin
        xor     ebx, ebx
        sti
        write_apic 0x3f0, 0x60
        nop
        nop
        cmp     ebx, 0x1202
        jne     .bad
        print   "in order", 10
.bad:   finish
outer:  write_apic 0x3f0, 0x50
        shl     ebx, 8
        or      ebx, 0x12
        end_interrupt
        iretq
inner:  shl     ebx, 8
        or      ebx, 2
        end_interrupt
        iretq`;
    for (const end of ['x2APIC', 'PV EOI'] as const)
      expect(runInterruptGuest(code, { end, policies: { pvEoi: 'on' } }).output).toBe('in order\n');
  });

  it('is not offered for a level-triggered interrupt: the I/O APIC must hear of its end', () => {
    const { result, output } = runInterruptGuest(SERIAL_THROUGH_IO_APIC, {
      end: 'PV EOI',
      policies: { pvEoi: 'on' },
    });
    expect(output).toBe('xxx');
    expect(result.end).toEqual({ reason: 'guest-exit', exitCode: 9 });
  });
});
