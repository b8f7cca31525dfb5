/** Guests that are of use to experiments only: a loop each, most of them without output. */

import { MEMORY_GUESTS } from './memory-guests.js';
import { SMP_GUESTS } from './smp-guests.js';

const program = (code: string): string => `bits 64\norg 0x100000\n${code}\ncli\nhlt\n`;

export const LAB_GUESTS: Readonly<Record<string, string>> = {
  /** Computes, and leaves the guest only when it is interrupted. */
  compute: program(`
%ifndef ITERATIONS
%define ITERATIONS 4000000
%endif
        mov     ecx, ITERATIONS
.next:  imul    rax, rcx
        dec     ecx
        jnz     .next`),

  /** Calls of the hypervisor that it does not know: an exit with nothing to do. */
  hypercall: program(`
        mov     ecx, 256
.next:  mov     eax, 0x7fff
        vmcall
        dec     ecx
        jnz     .next`),

  /** An FPU instruction between any two port writes to user space. */
  'fpu-and-port': program(`
        fninit
        mov     edx, 0x3ff
        mov     ecx, 256
.next:  fld1
        fstp    st0
        out     dx, al
        dec     ecx
        jnz     .next`),

  /**
   * Arms the local APIC's timer by IA32_TSC_DEADLINE and waits for it, spinning or, with HALT defined, asleep. Says by how
   * many cycles the handler is late, on average.
   */
  deadline: program(`
%define X2APIC
%include "include/apic.inc"
%include "include/clock.inc"
%include "include/interrupts.inc"
ROUNDS      equ 64
PERIOD      equ 40000
        set_gate 0x40, tick
        load_idt
        enable_apic
        apic_write APIC_LVT_TIMER, 0x40040      ; TSC-deadline mode
        xor     ebx, ebx
        xor     ebp, ebp
.next:  rdtsc
        shl     rdx, 32
        or      rax, rdx
        add     rax, PERIOD
        mov     r8, rax
        mov     rdx, rax
        shr     rdx, 32
        mov     ecx, 0x6e0
        mov     r9d, ebx
        wrmsr
.wait:  sti
%ifdef HALT
        hlt
%else
        nop
%endif
        cli
        cmp     ebx, r9d
        je      .wait
        cmp     ebx, ROUNDS
        jb      .next
        mov     rax, rbp
        report_per ROUNDS, "cycles late"
        cli
        hlt
tick:   push    rax
        push    rcx
        push    rdx
        rdtsc
        shl     rdx, 32
        or      rax, rdx
        sub     rax, r8
        add     rbp, rax
        inc     ebx
        end_of_interrupt
        pop     rdx
        pop     rcx
        pop     rax
        iretq`),

  /** Ends of interrupt by MSR, very many. */
  'many-eois': program(`
        mov     ecx, 0x1b
        rdmsr
        or      eax, 0xc00
        wrmsr
        mov     ecx, 0x80b
        xor     eax, eax
        xor     edx, edx
        mov     ebx, COUNT
.next:  wrmsr
        dec     ebx
        jnz     .next`),

  /** Writes to a port of user space, very many. */
  'many-port-writes': program(`
        mov     edx, 0x3ff
        mov     ecx, COUNT
.next:  out     dx, al
        dec     ecx
        jnz     .next`),

  /** The task priority, lowered and raised while nothing is pending. */
  'task-priority': program(`
        mov     ecx, 256
        xor     eax, eax
.next:  mov     cr8, rax
        xor     eax, 1
        dec     ecx
        jnz     .next`),

  /** Writes to the port that Linux uses for a short delay. */
  'port-0x80': program(`
        mov     ecx, 256
.next:  out     0x80, al
        dec     ecx
        jnz     .next`),

  ...Object.fromEntries(
    Object.entries({ ...MEMORY_GUESTS, ...SMP_GUESTS }).map(([name, code]) => [name, program(code)]),
  ),
};
