; Several virtual CPUs: the first one starts the others by INIT and start-up messages, they say hello one after the other
; under a spinlock, and count together. Under LOCK no increment is lost, whichever way the host runs them.
;
;; vcpus: 4
;; needs: smp
;; expect-output: "hello\n"
;; expect-output: "hello\n"
;; expect-output: "hello\n"
;; expect-output: "hello\n"
;; expect-output: "processors: 4\n"
;; expect-output: "1000 increments each: 4000\n"
;; expect-exit-code: 0
;; expect-exit: APIC_ACCESS >= 4
;; expect-exit: HLT == 4

        bits    64
        org     0x100000

%include "include/serial.inc"
%include "include/smp.inc"

INCREMENTS      equ 1000

        enable_apic
        start_processors hello
        mov     ebx, eax
        mov     dword [rel go], 1
        xor     edi, edi
        call    hello
.wait:  pause
        cmp     [rel finished], ebx
        jb      .wait
        print   "processors: "
        mov     eax, ebx
        call    print_decimal
        print   10, "1000 increments each: "
        mov     eax, [rel total]
        call    print_decimal
        print   10
        finish

; Every processor's work.
hello:  pause
        cmp     dword [rel go], 1
        jne     hello
        acquire_lock [rel printing]
        print   "hello", 10
        release_lock [rel printing]
        mov     ecx, INCREMENTS
.next:  lock inc dword [rel total]
        dec     ecx
        jnz     .next
        lock inc dword [rel finished]
        ret

        section .data
        align   64, db 0
go:     dd      0
        align   64, db 0
printing:
        dd      0
        align   64, db 0
total:  dd      0
        align   64, db 0
finished:
        dd      0
