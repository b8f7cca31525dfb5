; A guest that sleeps more than it works: it arms the timer, halts, is woken, and does it again. Between two of its runs
; the CPU goes from guest to idle and back to the same guest. In 2.6.32 that costs all of the MSRs and the FPU both ways;
; with user-return notifiers nearly nothing of it, because idle needs none of them.
;
; Can be defined before: SLEEPS, PERIOD (ticks of the APIC's bus clock, 1 ns).
;
;; expect-output: "wake-ups: 32\n"
;; expect-output: "cycles from one to the next: {52000..90000}\n"
;; expect-exit-code: 0
;; expect-exit: HLT == 33
;; expect-exit: APIC_ACCESS >= 64 light

        bits    64
        org     0x100000

%include "include/apic.inc"
%include "include/clock.inc"
%include "include/interrupts.inc"

%ifndef SLEEPS
%define SLEEPS  32
%endif
%ifndef PERIOD
%define PERIOD  20000
%endif

VECTOR_TIMER    equ     0x40

        set_gate VECTOR_TIMER, timer_interrupt
        load_idt
        enable_apic
        apic_write APIC_TIMER_DIVIDE, APIC_DIVIDE_BY_1
        apic_write APIC_LVT_TIMER, VECTOR_TIMER
        xor     ebp, ebp                ; wake-ups
        mov     ebx, SLEEPS
        start_clock
.sleep: apic_write APIC_TIMER_INITIAL, PERIOD
        sti                             ; takes effect after the next instruction: no interrupt is lost before HLT
        hlt
        cli
        dec     ebx
        jnz     .sleep
        stop_clock
        mov     r14, rax
        print   "wake-ups: "
        mov     eax, ebp
        call    print_decimal
        print   10
        mov     rax, r14
        report_per SLEEPS, "cycles from one to the next"
        finish

timer_interrupt:
        push    rax
        push    rcx
        push    rdx
        inc     ebp
        end_of_interrupt
        pop     rdx
        pop     rcx
        pop     rax
        iretq
