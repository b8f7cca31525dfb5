/** APIC virtualisation: the same guests with the same results, and the exits that each alternative leaves. */

import { describe, expect, it } from 'vitest';
import type { Policies, VmOptions } from '../../../src/index.js';
import {
  countingHandler,
  type EndOfInterrupt,
  type InterruptRun,
  runInterruptGuest,
  SERIAL_THROUGH_IO_APIC,
} from './interrupt-guest.js';

type Alternative = Policies['apicVirtualisation'];
const ALTERNATIVES: readonly Alternative[] = [
  'none',
  'register',
  'register+virtual-interrupt-delivery',
  'posted-interrupts',
];

const run = (
  code: string,
  apicVirtualisation: Alternative,
  end: EndOfInterrupt,
  more: Partial<VmOptions> = {},
): InterruptRun =>
  runInterruptGuest(code, {
    end,
    processor: 'ivy-bridge-ep',
    ...more,
    policies: { apicVirtualisation, ...more.policies },
  });

/** Self-IPIs of rising and falling priority behind TPR and CR8, in-service nesting, reads of registers. */
const PRIORITIES = `
%macro  remember 1
        shl     r15, 4
        or      r15, %1
%endmacro
        set_gate 0x51, first
        set_gate 0x62, second
        set_gate 0x73, third
        load_idt
        begin
        xor     r15, r15
        sti
        mov     eax, 7
        mov     cr8, rax
        write_self 0x51
        write_self 0x73
        write_self 0x62
        remember 1
        mov     eax, 6
        mov     cr8, rax                ; 0x73 comes
        nop
        remember 2
        write_apic APIC_TPR, 0x50       ; 0x62 comes, and then nothing
        nop
        remember 3
        read_apic APIC_TPR
        cmp     eax, 0x50
        jne     .bad
        mov     rax, cr8
        cmp     eax, 5
        jne     .bad
        xor     eax, eax
        mov     cr8, rax                ; 0x51 comes
        nop
        remember 4
        read_apic APIC_SPURIOUS
        cmp     eax, 0x1ff
        jne     .bad
        read_apic 0x30
        and     eax, 0xff
        cmp     eax, 0x14
        jne     .bad
        write_self 0x51                 ; interrupted by 0x73
        nop
        remember 5
        print_result
        finish
.bad:   print   "bad register", 10
        finish
first:  save
        remember 0xa
        cmp     r14, 1
        je      .done
        mov     r14, 1
        jmp     .end
.done:  write_self 0x73
        sti
        nop
        cli
        remember 0xd
.end:   end_interrupt
        restore
        iretq
second: save
        remember 0xb
        end_interrupt
        restore
        iretq
third:  save
        remember 0xc
        end_interrupt
        restore
        iretq`;

const LIBRARY = (x2apic: boolean): string => `
%macro  save 0
        push    rax
        push    rcx
        push    rdx
%endmacro
%macro  restore 0
        pop     rdx
        pop     rcx
        pop     rax
%endmacro
%macro  write_self 1
        ${x2apic ? 'write_apic 0x3f0, %1' : 'write_apic 0x300, 0x40000 + %1'}
        nop
%endmacro
%macro  read_apic 1
        ${x2apic ? 'mov ecx, 0x800 + (%1 >> 4)\n rdmsr' : 'mov eax, [rdi + %1]'}
%endmacro
%macro  print_result 0
        mov     r13, 16
%%next: rol     r15, 4
        mov     eax, r15d
        and     eax, 15
        add     eax, 'A'
        mov     edx, 0x3f8
        out     dx, al
        dec     r13
        jnz     %%next
%endmacro`;

const ticks = `
        set_gate 0x40, tick
        load_idt
        begin
        xor     ebx, ebx
        write_apic APIC_TIMER_DIVIDE, APIC_DIVIDE_BY_1
        write_apic APIC_LVT_TIMER, 0x20040
        write_apic APIC_TIMER_INITIAL, 600000
        sti
.wait:  cmp     ebx, 10
        jb      .wait
        cli
        finish_with bl
${countingHandler('tick')}`;

describe('a policy that the processor can not follow', () => {
  it('is refused', () => {
    expect(() => run('\n finish', 'register', 'xAPIC', { processor: 'nehalem' })).toThrow(/Ivy Bridge/);
  });
});

describe.each(['xAPIC', 'x2APIC'] as const)('%s', (end) => {
  it('priorities, self-IPIs and registers are the same under all alternatives', () => {
    const runs = ALTERNATIVES.map((alternative) =>
      run(LIBRARY(end === 'x2APIC') + PRIORITIES, alternative, end),
    );
    // 1, 0x73 (c), 2, 0x62 (b), 3, 0x51 (a), 4, 0x51 (a) with 0x73 (c) in it (d), 5; A stands for the digit 0.
    expect(runs[0]!.output).toMatch(/^A+BMCLDKEKMNF$/);
    for (const { output } of runs) expect(output).toBe(runs[0]!.output);
    // With virtual-interrupt delivery only what an EPT violation stopped on its way is injected again.
    const injected = runs.map(({ result }) => result.statistics.irqInjections);
    expect(injected[1]).toBe(injected[0]);
    expect(injected[0]).toBeGreaterThanOrEqual(5);
    for (const count of injected.slice(2)) expect(count).toBeLessThanOrEqual(1);
  });

  it('ends of timer interrupts need no exit with virtual-interrupt delivery', () => {
    const runs = ALTERNATIVES.map((alternative) => run(ticks, alternative, end));
    for (const { result } of runs) expect(result.end).toEqual({ reason: 'guest-exit', exitCode: 21 });
    const apicExits = runs.map(
      (one) => one.count('APIC_ACCESS') + one.count('APIC_WRITE') + one.count('MSR_WRITE'),
    );
    expect(apicExits[0]! - apicExits[2]!).toBeGreaterThanOrEqual(10);
    expect(apicExits[3]).toBe(apicExits[2]);
    if (end === 'xAPIC') {
      // Writes are no longer decoded.
      expect(runs[1]!.count('APIC_WRITE')).toBeGreaterThanOrEqual(10);
      expect(runs[1]!.result.cycles).toBeLessThan(runs[0]!.result.cycles);
    }
  });
});

describe('a level-triggered interrupt', () => {
  it.each(ALTERNATIVES)('has its end announced to the I/O APIC (%s)', (alternative) => {
    const one = run(SERIAL_THROUGH_IO_APIC, alternative, 'x2APIC');
    expect(one.output).toBe('xxx');
    expect(one.result.end).toEqual({ reason: 'guest-exit', exitCode: 9 });
    expect(one.count('EOI_INDUCED')).toBe(
      alternative.includes('posted') || alternative.includes('+') ? 4 : 0,
    );
  });
});

describe('interrupts between virtual CPUs', () => {
  const ipis = `
        set_gate 0x45, ping
        load_idt
        begin
        cld
        lea     rsi, [ap]
        mov     edi, 0x90000
        mov     ecx, 256
        rep movsb
        mov     ecx, 0x830
        xor     edx, edx
        mov     eax, 0xc4500
        wrmsr
        mov     eax, 0xc4690
        wrmsr
        lea     rbx, [taken]
        sti
.wait:  cmp     dword [rbx], 20
        jb      .wait
        finish_with 20
ping:   push    rax
        push    rcx
        push    rdx
        lock inc dword [rel taken]
        end_interrupt
        pop     rdx
        pop     rcx
        pop     rax
        iretq
        align   8
taken:  dd      0
; Sends when the last one has arrived.
ap:     mov     ecx, 0x1b
        rdmsr
        or      eax, 0xc00
        wrmsr
        mov     ebx, taken
        xor     esi, esi
.next:  mov     ecx, 0x830
        xor     edx, edx
        mov     eax, 0x4045
        wrmsr
        inc     esi
.wait:  cmp     [rbx], esi
        jb      .wait
        mov     ecx, 5000               ; until the other one computes again
.delay: loop    .delay
        cmp     esi, 20
        jb      .next
        cli
        hlt`;

  it.each(['full-loop', 'fast-path'] as const)(
    'reach a running guest; posted ones without an exit (%s)',
    (exitDispatch) => {
      const runs = ALTERNATIVES.map((alternative) =>
        run(ipis, alternative, 'x2APIC', {
          vcpus: 2,
          policies: { apicVirtualisation: alternative, exitDispatch },
        }),
      );
      for (const { result } of runs) expect(result.end).toEqual({ reason: 'guest-exit', exitCode: 41 });
      const interrupted = runs.map(
        ({ exits }) =>
          exits.filter(({ vcpu, reasonName }) => vcpu === 0 && reasonName === 'EXTERNAL_INTERRUPT').length,
      );
      expect(interrupted[0]).toBeGreaterThanOrEqual(19);
      expect(interrupted[2]).toBeGreaterThanOrEqual(19);
      expect(interrupted[3]).toBeLessThan(3);
      expect(runs[3]!.result.cycles).toBeLessThan(runs[0]!.result.cycles);
    },
  );
});
