; Three threads of a guest kernel take turns: stacks are exchanged, registers go along, and nothing of that leaves the
; guest. What is not trapped costs a hypervisor nothing; compare lazy-fpu.asm, where the FPU makes all the difference.
;
;; expect-output: "a0 b0 c0 a1 b1 c1 a2 b2 c2 \n"
;; expect-output: "cycles per switch: {10..200}\n"
;; expect-exit-code: 0
;; expect-exit: HLT == 1
;; expect-exit: CR_ACCESS == 0
;; expect-exit: EXCEPTION_NMI == 0

        bits    64
        org     0x100000

%include "include/clock.inc"
%include "include/tasks.inc"

TURNS   equ     3
TIMED   equ     256                     ; switches in the timed part: two tasks, there and back

        create_task rel task_a, 'a', talker, rel stack_a.end
        create_task rel task_b, 'b', talker, rel stack_b.end
        create_task rel task_c, 'c', talker, rel stack_c.end
.wait:  call    yield
        mov     rax, [rel current_task]
        cmp     [rax + TASK_NEXT], rax  ; alone again?
        jne     .wait
        print   10

        create_task rel task_a, 'a', partner, rel stack_a.end
        call    yield                   ; the first time everything is cold
        start_clock
        mov     ebx, TIMED / 2
.turn:  call    yield
        dec     ebx
        jnz     .turn
        stop_clock
        report_per TIMED, "cycles per switch"
        finish

; Says its name and a number at each turn.
talker: mov     rbp, [rel current_task]
        xor     ebx, ebx
.turn:  mov     rax, [rbp + TASK_NUMBER]
        call    print_character
        lea     eax, [rbx + '0']
        call    print_character
        mov     al, ' '
        call    print_character
        call    yield
        inc     ebx
        cmp     ebx, TURNS
        jb      .turn
        jmp     end_task

partner:
        call    yield
        jmp     partner

        section .bss align=16
task_a: resb    TASK_BYTES
task_b: resb    TASK_BYTES
task_c: resb    TASK_BYTES
stack_a:
        resb    TASK_STACK_BYTES
.end:
stack_b:
        resb    TASK_STACK_BYTES
.end:
stack_c:
        resb    TASK_STACK_BYTES
.end:
