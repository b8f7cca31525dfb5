; All virtual CPUs write to one device in the kernel, the mask register of the interrupt controller, as fast as they can.
; Each of these light exits takes slots_lock twice in 2.6.32, and the lock's cache line travels from CPU to CPU; under
; SRCU each CPU counts in a line of its own. Run it with 1 to 16 virtual CPUs and compare the last line.
;
; Can be defined before: ACCESSES by each processor.
;
;; vcpus: 4
;; needs: smp
;; expect-output: "processors: 4\n"
;; expect-output: "accesses: 1024\n"
;; expect-output: "cycles per access of one processor: {1500..9000}\n"
;; expect-exit-code: 0
;; expect-exit: IO_INSTRUCTION >= 1024 light
;; expect-exit: HLT == 4

        bits    64
        org     0x100000

%include "include/clock.inc"
%include "include/smp.inc"

%ifndef ACCESSES
%define ACCESSES 256
%endif

        enable_apic
        start_processors hammer
        mov     ebp, eax
        start_clock
        mov     dword [rel go], 1
        call    hammer
.wait:  pause
        cmp     [rel finished], ebp
        jb      .wait
        stop_clock
        mov     r14, rax
        print   "processors: "
        mov     eax, ebp
        call    print_decimal
        print   10, "accesses: "
        mov     eax, [rel accesses]
        call    print_decimal
        print   10
        mov     rax, r14
        report_per ACCESSES, "cycles per access of one processor"
        finish

; Every processor's work, once all of them may begin.
hammer: pause
        cmp     dword [rel go], 1
        jne     hammer
        mov     ecx, ACCESSES
        mov     al, 0xff                ; all lines off, as they were
.write: out     PORT_PIC1_DATA, al
        dec     ecx
        jnz     .write
        lock add dword [rel accesses], ACCESSES
        lock inc dword [rel finished]
        ret

        section .data
        align   64, db 0
go:     dd      0
        align   64, db 0
accesses:
        dd      0
        align   64, db 0
finished:
        dd      0
