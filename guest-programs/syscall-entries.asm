; Three ways from ring 3 into one kernel: SYSCALL, SYSENTER and INT 0x80. All find the kernel's own data by SWAPGS, do
; the same nothing, and go back their own way. None of them leaves the guest. What they need in model-specific registers
; differs in one point that matters: SYSENTER's are switched by VT-x itself, so that a guest may write them freely;
; SYSCALL's are not, so that writing them exits and the host has to switch them by hand.
;
;; needs: sysenter-in-64-bit-mode
;; expect-output: "SYSCALL: right, cycles {20..600}\n"
;; expect-output: "SYSENTER: right, cycles {20..600}\n"
;; expect-output: "INT 0x80: right, cycles {20..1200}\n"
;; expect-exit-code: 0
;; expect-exit: MSR_WRITE == 4
;; expect-exit: HLT == 1

        bits    64
        org     0x100000

%include "include/clock.inc"
%include "include/interrupts.inc"
%include "include/segments.inc"

USER_PAGE       equ     0x400000        ; a 2-MiB page for ring 3: code below, stack on top
USER_STACK      equ     USER_PAGE + 0x200000
KERNEL_STACK    equ     0x3f0000
VECTOR_CALL     equ     0x80
VECTOR_DONE     equ     0x81            ; ring 3 has finished
CALLS_SHIFT     equ     6
CALLS           equ     1 << CALLS_SHIFT
KEY             equ     0x5a5a

; What GS points to in the kernel; in ring 3 there is no key.
DATA_USER_RSP   equ     0
DATA_STACK      equ     8
DATA_KEY        equ     16

        load_segments KERNEL_STACK
        set_user_gate VECTOR_CALL, enter_by_interrupt
        set_user_gate VECTOR_DONE, report
        load_idt

        mov     ecx, MSR_EFER
        rdmsr
        or      eax, EFER_SCE
        wrmsr
        write_msr MSR_STAR, (SEGMENT_USER_BASE | RING_3) << 48 | SEGMENT_CODE << 32
        lea     rbx, [rel enter_by_syscall]
        write_msr MSR_LSTAR, rbx
        write_msr MSR_SYSCALL_MASK, RFLAGS_IF
        write_msr MSR_SYSENTER_CS, SEGMENT_CODE
        write_msr MSR_SYSENTER_ESP, KERNEL_STACK
        lea     rbx, [rel enter_by_sysenter]
        write_msr MSR_SYSENTER_EIP, rbx
        lea     rbx, [rel kernel_data]
        write_msr MSR_KERNEL_GS_BASE, rbx
        lea     rbx, [rel user_data]
        write_msr MSR_GS_BASE, rbx

        allow_user_page USER_PAGE
        lea     rsi, [rel user_program]
        mov     edi, USER_PAGE
        mov     ecx, user_program_end - user_program
        cld
        rep movsb
        push    SEGMENT_USER_DATA | RING_3
        push    USER_STACK
        push    2                       ; RFLAGS
        push    SEGMENT_USER_CODE | RING_3
        push    USER_PAGE
        iretq

; RCX = return address, R11 = RFLAGS, RSP still the user's.
enter_by_syscall:
        swapgs
        mov     [gs:DATA_USER_RSP], rsp
        mov     rsp, [gs:DATA_STACK]
        mov     rax, [gs:DATA_KEY]
        mov     rsp, [gs:DATA_USER_RSP]
        swapgs
        o64 sysret

; RSP is the kernel's; nothing is saved. By agreement RCX = the user's RSP, RDX = return address.
enter_by_sysenter:
        swapgs
        mov     rax, [gs:DATA_KEY]
        swapgs
        o64 sysexit

; Stack from the TSS, with everything on it.
enter_by_interrupt:
        swapgs
        mov     rax, [gs:DATA_KEY]
        swapgs
        iretq

; Ring 3 has finished: it left results in its page.
report: print   "SYSCALL: "
        mov     rbx, USER_PAGE + results - user_program
        call    report_entry
        print   "SYSENTER: "
        add     rbx, RESULT_BYTES
        call    report_entry
        print   "INT 0x80: "
        add     rbx, RESULT_BYTES
        call    report_entry
        finish

; Prints the result at RBX.
report_entry:
        cmp     qword [rbx + RESULT_KEY], KEY
        jne     .wrong
        print   "right, cycles "
        mov     rax, [rbx + RESULT_CYCLES]
        shr     rax, CALLS_SHIFT
        call    print_decimal
        print   10
        ret
.wrong: print   "wrong key", 10
        ret

; What ring 3 leaves behind for each way.
RESULT_CYCLES   equ     0
RESULT_KEY      equ     8
RESULT_BYTES    equ     16

; Calls the kernel CALLS times by the instructions %2 and following; result at %1. The first time everything is cold.
%macro  time_entry 2+
        mov     ebx, 1
        call    %%calls
        mov     ebx, CALLS
        call    %%calls
        mov     [rel results + %1 + RESULT_CYCLES], rdi
        mov     [rel results + %1 + RESULT_KEY], rsi
        jmp     short %%done
%%calls:
        start_clock
%%next: %2
        dec     ebx
        jnz     %%next
        mov     rsi, rax                ; what the kernel answered
        stop_clock
        mov     rdi, rax
        ret
%%done:
%endmacro

; SYSENTER keeps neither RIP nor RSP: the caller passes them.
%macro  call_by_sysenter 0
        mov     rcx, rsp
        lea     rdx, [rel %%back]
        sysenter
%%back:
%endmacro

; Copied to USER_PAGE and run in ring 3.
user_program:
        time_entry 0 * RESULT_BYTES, syscall
        time_entry 1 * RESULT_BYTES, call_by_sysenter
        time_entry 2 * RESULT_BYTES, int VECTOR_CALL
        int     VECTOR_DONE

        align   8
results:
        times   3 * RESULT_BYTES db 0
user_program_end:

        section .data

        align   8, db 0
kernel_data:
        dq      0                       ; DATA_USER_RSP
        dq      KERNEL_STACK - 0x1000   ; DATA_STACK
        dq      KEY                     ; DATA_KEY
user_data:
        dq      0, 0, 0                 ; no key here: the kernel must not see it
