; Registers in memory: whoever reads, writes or changes one makes an exit that says where, but not what. The instruction
; has to be fetched, decoded and emulated. The I/O APIC is a device in the kernel (light exits); where there is no device
; user space answers (heavy exits).
;
;; expect-output: "cycles per read, kernel: {3000..7000}\n"
;; expect-output: "cycles per write, kernel: {3000..7000}\n"
;; expect-output: "cycles per OR of memory, kernel: {3000..8000}\n"
;; expect-output: "cycles per XCHG, kernel: {3000..8000}\n"
;; expect-output: "cycles per read, user space: {9000..16000}\n"
;; expect-output: "cycles per write, user space: {9000..16000}\n"
;; expect-output: "register select: 0x1f\n"
;; expect-exit-code: 0
;; expect-exit: EPT_VIOLATION >= 128 light
;; expect-exit: EPT_VIOLATION >= 64 heavy
;; expect-exit: HLT == 1

        bits    64
        org     0x100000

%include "include/clock.inc"

IO_APIC         equ     0xfec00000      ; its register select: eight bits that can be read back
NOBODY          equ     0xd0000000      ; in the hole for devices, and none is there
ACCESSES        equ     32

; Prints what one of instruction %2 takes. RDI: the register's address.
%macro  time_access 2+
        %2                              ; the first time everything is cold
        mov     ecx, ACCESSES
        start_clock
%%next: %2
        dec     ecx
        jnz     %%next
        stop_clock
        report_per ACCESSES, "cycles per ", %1
%endmacro

        mov     edi, IO_APIC
        mov     esi, 0x11
        time_access "read, kernel", mov eax, [rdi]
        time_access "write, kernel", mov [rdi], esi
        time_access "OR of memory, kernel", or dword [rdi], 0xe
        time_access "XCHG, kernel", xchg [rdi], esi
        mov     edi, NOBODY
        time_access "read, user space", mov eax, [rdi]
        time_access "write, user space", mov [rdi], esi
        mov     edi, IO_APIC
        or      esi, [rdi]              ; the 0x11 and the 0x1f that XCHG has passed to and fro
        print   "register select: "
        mov     eax, esi
        call    print_hexadecimal
        print   10
        finish
