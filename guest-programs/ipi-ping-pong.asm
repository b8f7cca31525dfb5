; Two virtual CPUs send each other an interrupt, to and fro. Each sending is an exit (a write of the interrupt command
; register), each arrival reaches a CPU that is in its guest and has to be brought out of it.
;
; Can be defined before: ROUNDS, HALT (wait in HLT instead of spinning), X2APIC.
;
;; vcpus: 2
;; needs: smp
;; expect-output: "round trips: 32\n"
;; expect-output: "cycles per round trip: {8000..60000}\n"
;; expect-exit-code: 0
;; expect-exit: APIC_ACCESS >= 128
;; expect-exit: HLT == 2

        bits    64
        org     0x100000

%include "include/clock.inc"
%include "include/interrupts.inc"
%include "include/smp.inc"

%ifndef ROUNDS
%define ROUNDS  32
%endif

VECTOR_PING     equ     0x50
VECTOR_PONG     equ     0x51

; Interrupts are on only while this waits for its next turn: %1 is the counter, %2 the register with the old count.
%macro  wait_for_change 2
%%wait:
%ifdef  HALT
        sti
        hlt
        cli
%else
        sti
        pause
        cli
%endif
        cmp     [rel %1], %2
        je      %%wait
%endmacro

        set_gate VECTOR_PING, ping_interrupt
        set_gate VECTOR_PONG, pong_interrupt
        load_idt
        enable_apic
        start_processors partner
        cmp     eax, 2
        jb      .alone
.wait:  pause
        cmp     dword [rel ready], 1
        jne     .wait

        xor     ebx, ebx                ; round trips
        start_clock
.round: mov     edi, [rel partner_id]
        send_ipi edi, IPI_ASSERT | VECTOR_PING
        wait_for_change pongs, ebx
        inc     ebx
        cmp     ebx, ROUNDS
        jb      .round
        stop_clock
        mov     r14, rax
        print   "round trips: "
        mov     eax, ebx
        call    print_decimal
        print   10
        mov     rax, r14
        report_per ROUNDS, "cycles per round trip"
        finish
.alone: print   "two processors are needed", 10
        finish_with 1

; The other processor answers each ping.
partner:
        load_idt
        enable_apic
        apic_read APIC_ID
%ifndef X2APIC
        shr     eax, 24
%endif
        mov     [rel partner_id], eax
        mov     dword [rel ready], 1
        xor     ebx, ebx
.round: wait_for_change pings, ebx
        inc     ebx
        send_ipi 0, IPI_ASSERT | VECTOR_PONG
        cmp     ebx, ROUNDS
        jb      .round
        ret

ping_interrupt:
        inc     dword [rel pings]
        jmp     end_interrupt
pong_interrupt:
        inc     dword [rel pongs]
end_interrupt:
        push    rax
        push    rcx
        push    rdx
        end_of_interrupt
        pop     rdx
        pop     rcx
        pop     rax
        iretq

        section .data
        align   64, db 0
ready:  dd      0
partner_id:
        dd      0
        align   64, db 0
pings:  dd      0
        align   64, db 0
pongs:  dd      0
