; Ring 3 and back, the way a kernel does it: SYSCALL, SWAPGS to find the kernel's own data, a kernel stack, SYSRET.
; None of that leaves the guest. Only setting it up does, because STAR, LSTAR and EFER are trapped. At the end ring 3
; tries a privileged instruction, which brings it back into the kernel through the TSS.
;
;; expect-output: "ring 3: hello through SYSCALL\n"
;; expect-output: "ring 3: 19 + 23 = 42\n"
;; expect-output: "ring 3: cycles per SYSCALL and SYSRET: {20..900}\n"
;; expect-output: "ring 0: #GP in ring 3, CS 0x2b\n"
;; expect-exit-code: 0
;; expect-exit: MSR_WRITE == 4
;; expect-exit: HLT == 1

        bits    64
        org     0x100000

%include "include/clock.inc"
%include "include/interrupts.inc"
%include "include/processor.inc"
%include "include/segments.inc"

USER_PAGE       equ     0x400000        ; a 2-MiB page for ring 3: code below, stack on top
USER_STACK      equ     USER_PAGE + 0x200000
KERNEL_STACK    equ     0x3f0000
CALLS           equ     64

; Call numbers in RAX, argument in RDI, result in RAX.
CALL_PRINT_STRING       equ 0
CALL_PRINT_DECIMAL      equ 1
CALL_ADD                equ 2           ; RDI + RSI
CALL_NOTHING            equ 3
CALL_COUNT              equ 4

; What GS points to in the kernel.
KERNEL_DATA_USER_RSP    equ 0
KERNEL_DATA_STACK       equ 8

        load_segments KERNEL_STACK
        set_gate VECTOR_GP, general_protection
        load_idt

        mov     ecx, MSR_EFER
        rdmsr
        or      eax, EFER_SCE
        wrmsr
        write_msr MSR_STAR, (SEGMENT_USER_BASE | RING_3) << 48 | SEGMENT_CODE << 32
        lea     rbx, [rel system_call]
        write_msr MSR_LSTAR, rbx
        write_msr MSR_SYSCALL_MASK, RFLAGS_IF
        lea     rbx, [rel kernel_data]
        write_msr MSR_KERNEL_GS_BASE, rbx

        allow_user_page USER_PAGE
        lea     rsi, [rel user_program]
        mov     edi, USER_PAGE
        mov     ecx, user_program_end - user_program
        cld
        rep movsb

        mov     ecx, USER_PAGE          ; SYSRET: RIP from RCX, RFLAGS from R11
        mov     r11d, 2
        mov     esp, USER_STACK
        o64 sysret

; Entered by SYSCALL with interrupts off: RCX = return address, R11 = RFLAGS, RSP still the user's.
system_call:
        swapgs
        mov     [gs:KERNEL_DATA_USER_RSP], rsp
        mov     rsp, [gs:KERNEL_DATA_STACK]
        push    rcx
        push    r11
        cmp     eax, CALL_COUNT
        jae     .return
        lea     rcx, [rel call_table]
        call    [rcx + rax * 8]
.return:
        pop     r11
        pop     rcx
        mov     rsp, [gs:KERNEL_DATA_USER_RSP]
        swapgs
        o64 sysret

call_print_string:
        mov     rsi, rdi
        call    print_string
        ret

call_print_decimal:
        mov     rax, rdi
        call    print_decimal
        ret

call_add:
        lea     rax, [rdi + rsi]
        ret

call_nothing:
        ret

; Ring 3 did what it must not: stack from the TSS, then error code, RIP, CS.
general_protection:
        print   "ring 0: #GP in ring 3, CS "
        mov     rax, [rsp + 16]
        call    print_hexadecimal
        print   10
        finish

; Copied to USER_PAGE and run in ring 3. It has to run at any address.
%macro  user_print 1+
        lea     rdi, [rel %%text]
        mov     eax, CALL_PRINT_STRING
        syscall
        jmp     short %%after
%%text: db      %1, 0
%%after:
%endmacro

user_program:
        user_print "ring 3: hello through SYSCALL", 10

        mov     edi, 19
        mov     esi, 23
        mov     eax, CALL_ADD
        syscall
        mov     rbx, rax
        user_print "ring 3: 19 + 23 = "
        mov     rdi, rbx
        mov     eax, CALL_PRINT_DECIMAL
        syscall
        user_print 10

        mov     ebx, CALLS
        start_clock
.call:  mov     eax, CALL_NOTHING
        syscall
        dec     ebx
        jnz     .call
        stop_clock
        xor     edx, edx
        mov     ebx, CALLS
        div     rbx
        mov     rbx, rax
        user_print "ring 3: cycles per SYSCALL and SYSRET: "
        mov     rdi, rbx
        mov     eax, CALL_PRINT_DECIMAL
        syscall
        user_print 10

        hlt                             ; privileged: #GP
        jmp     $
user_program_end:

        section .data

        align   8, db 0
kernel_data:
        dq      0                       ; KERNEL_DATA_USER_RSP
        dq      KERNEL_STACK - 0x1000   ; KERNEL_DATA_STACK: apart from the one in the TSS
call_table:
        dq      call_print_string, call_print_decimal, call_add, call_nothing
