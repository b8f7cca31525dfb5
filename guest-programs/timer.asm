; Sleeping and being woken: the guest programs the timer of its local APIC, halts, and the interrupt wakes it. The
; hypervisor blocks the thread of a halted guest, and its own timer makes it runnable again.
;
;; expect-output: "tick 1\n"
;; expect-output: "tick 2\n"
;; expect-output: "tick 3\n"
;; expect-output: "cycles from arming the timer to the interrupt: {260000..300000}\n"
;; expect-exit-code: 0
;; expect-exit: HLT == 4
;; expect-exit: APIC_ACCESS >= 9

        bits    64
        org     0x100000

%include "include/apic.inc"
%include "include/clock.inc"
%include "include/interrupts.inc"

VECTOR_TIMER    equ     0x40
TICKS           equ     3
PERIOD          equ     100000          ; in ticks of the APIC's bus clock

        set_gate VECTOR_TIMER, timer_interrupt
        load_idt
        enable_xapic
        mov     dword [rdi + APIC_TIMER_DIVIDE], APIC_DIVIDE_BY_1
        mov     dword [rdi + APIC_LVT_TIMER], VECTOR_TIMER

        xor     ebp, ebp                ; ticks seen by the handler
        xor     ebx, ebx
.sleep: inc     ebx
        start_clock
        mov     dword [rdi + APIC_TIMER_INITIAL], PERIOD
        sti                             ; takes effect after the next instruction: no interrupt is lost before HLT
        hlt
        cli
        cmp     ebp, ebx
        jne     .failed
        print   "tick "
        mov     eax, ebx
        call    print_decimal
        print   10
        cmp     ebx, TICKS
        jb      .sleep

        mov     rax, r14
        report_per 1, "cycles from arming the timer to the interrupt"
        mov     dword [rdi + APIC_LVT_TIMER], APIC_LVT_MASKED
        finish
.failed:
        finish_with 1

timer_interrupt:
        push    rax
        push    rdx
        stop_clock
        mov     r14, rax
        inc     ebp
        mov     dword [rdi + APIC_EOI], 0
        pop     rdx
        pop     rax
        iretq
