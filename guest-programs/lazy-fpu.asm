; Four tasks that compute with the FPU, one virtual CPU, and a timer that lets each run for a slice: the workload of the
; talk's "CR0.TS" slides (fbench, made to switch context). The guest kernel switches the FPU lazily (lazy-fpu.inc): each
; slice begins with CR0.TS set, the first FPU instruction takes #NM, CLTS follows, and at the end of the slice the state
; is saved and CR0.TS set. In 2.6.32 these are three exits: #NM, CLTS, MOV to CR0. Later none is left.
;
; What else exits follows from preemption: a host timer interrupts the guest when the slice is over (EXTERNAL_INTERRUPT),
; the handler signals the end of interrupt, and arms the timer for the next slice (two APIC accesses), as the high
; resolution tick of Linux does. That is three exits per slice, too, so that CR0.TS makes up half of them.
;
; Every task keeps six values of its own in the FPU, turns them round by one and compares all 80 bits of the top, over
; and over: a register that belongs to somebody else is noticed. x87 registers travel through FXSAVE and FXRSTOR only.
;
; Can be defined before: SWITCHES, SLICE (ticks of the APIC's bus clock, 1 ns), WORK (turns of an integer loop between
; two passes through the FPU), COOPERATIVE (the tasks yield after PASSES passes instead of being interrupted, and there is
; no timer), PORT_ACCESSES (accesses to an in-kernel port after each PASSES passes).
;
;; needs: virtual-time
;; expect-output: "context switches: 12\n"
;; expect-output: "FPU loads after #NM: 12\n"
;; expect-output: "FPU saves: 12\n"
;; expect-output: "wrong values: 0\n"
;; expect-output: "every task computed: yes\n"
;; expect-exit-code: 0
;; expect-exit: EXCEPTION_NMI == 12 light
;; expect-exit: CR_ACCESS >= 24 light
;; expect-exit: CR_ACCESS <= 26 light
;; expect-exit: EXTERNAL_INTERRUPT >= 11
;; expect-exit: APIC_ACCESS >= 24 light
;; expect-exit: HLT == 1

        bits    64
        org     0x100000

%include "include/apic.inc"
%include "include/lazy-fpu.inc"
%include "include/serial.inc"
%include "include/tasks.inc"

%ifndef SWITCHES
%define SWITCHES 12
%endif
%ifndef SLICE
%define SLICE   15000
%endif
%ifndef WORK
%define WORK    400
%endif
%ifndef PASSES
%define PASSES  8
%endif
%ifndef PORT_ACCESSES
%define PORT_ACCESSES 0
%endif

TASKS           equ 4
VALUES          equ 6                   ; of the FPU's eight registers: one more is needed to compare
VALUE_BYTES     equ 16                  ; an 80-bit value, padded
VECTOR_TIMER    equ 0x40

        set_gate VECTOR_TIMER, timer_interrupt
        enable_lazy_fpu
        load_idt
        enable_apic
        apic_write APIC_TIMER_DIVIDE, APIC_DIVIDE_BY_1
        apic_write APIC_LVT_TIMER, VECTOR_TIMER

%assign number 0
%rep TASKS
        create_task rel tasks + number * TASK_BYTES, number, compute, rel stacks + (number + 1) * TASK_STACK_BYTES
%assign number number + 1
%endrep
        ; The four go round among themselves; this task is taken out of the ring, and comes back when they are done.
        lea     rax, [rel tasks]
        lea     rbx, [rel tasks + (TASKS - 1) * TASK_BYTES]
        mov     [rbx + TASK_NEXT], rax
%ifndef COOPERATIVE
        apic_write APIC_TIMER_INITIAL, SLICE
%endif
        call    yield

        print   "context switches: "
        mov     rax, [rel task_switches]
        dec     rax                     ; the one that brought us back is not theirs
        call    print_decimal
        print   10, "FPU loads after #NM: "
        mov     rax, [rel fpu_loads]
        call    print_decimal
        print   10, "FPU saves: "
        mov     rax, [rel fpu_saves]
        call    print_decimal
        print   10, "wrong values: "
        mov     rax, [rel wrong_values]
        call    print_decimal
        print   10, "every task computed: "
        xor     ebx, ebx
        lea     rsi, [rel passes_done]
.task:  cmp     qword [rsi + rbx * 8], VALUES
        jb      .lazy
        inc     ebx
        cmp     ebx, TASKS
        jb      .task
        print   "yes", 10
        finish
.lazy:  print   "no", 10
        finish

; The slice is over. The interrupted task's registers stay on its stack until its next turn.
timer_interrupt:
        push    rax
        push    rcx
        push    rdx
        push    rsi
        push    rdi
        end_of_interrupt
        apic_write APIC_TIMER_INITIAL, SLICE
        call    next_slice
        pop     rdi
        pop     rsi
        pop     rdx
        pop     rcx
        pop     rax
        iretq

; The next task's turn, or after the last switch the first task's.
next_slice:
        cmp     qword [rel task_switches], SWITCHES
        jb      yield
        lea     rdi, [rel first_task]
        jmp     switch_to

; What each task does, forever. RBX: the values that the registers must have. EBP: which of them is on top.
compute:
        mov     r12, [rel current_task]
        mov     r12, [r12 + TASK_NUMBER]
        imul    rbx, r12, VALUES * VALUE_BYTES
        lea     rax, [rel values]
        add     rbx, rax
        sub     rsp, 16
%ifndef COOPERATIVE
        sti
%endif
        mov     ebp, VALUES - 1         ; pushed in order: the last one ends up on top
        xor     eax, eax
.load:  imul    ecx, eax, VALUE_BYTES
        fld     tword [rbx + rcx]
        inc     eax
        cmp     eax, VALUES
        jb      .load

.slice: mov     r13d, PASSES
.pass:  ; Round by one: what was at the bottom comes to the top.
%assign register 1
%rep VALUES - 1
        fxch    st%+register
%assign register register + 1
%endrep
        inc     ebp
        cmp     ebp, VALUES
        jb      .top
        xor     ebp, ebp
.top:   fchs                            ; as a computation: the value's negative, and back
        fld     st0
        fstp    tword [rsp]
        fchs
        imul    ecx, ebp, VALUE_BYTES
        mov     rax, [rsp]
        cmp     rax, [rbx + rcx]
        jne     .wrong
        mov     ax, [rsp + 8]
        xor     ax, 0x8000              ; the sign
        cmp     ax, [rbx + rcx + 8]
        je      .right
.wrong: lock inc qword [rel wrong_values]
.right: lea     rax, [rel passes_done]
        inc     qword [rax + r12 * 8]
        mov     ecx, WORK
.work:  dec     ecx
        jnz     .work
        dec     r13d
        jnz     .pass
%rep PORT_ACCESSES
        in      al, PORT_PIC1_DATA
%endrep
%ifdef  COOPERATIVE
        call    next_slice
%endif
        jmp     .slice

        section .data
        align   16, db 0
; Significand and exponent of normal numbers: all tasks' values differ in every register.
values:
%assign number 0
%rep TASKS
%assign value 0
%rep VALUES
        dq      0x8000000000000000 + number * 0x0123456789abcd + value * 0x1111
        dq      0x3fff + number * VALUES + value
%assign value value + 1
%endrep
%assign number number + 1
%endrep
wrong_values:
        dq      0
passes_done:
        times   TASKS dq 0

        section .bss align=16
tasks:  resb    TASKS * TASK_BYTES
stacks: resb    TASKS * TASK_STACK_BYTES
