; What does an end-of-interrupt cost through the memory-mapped APIC? The write leaves the guest with an exit whose
; instruction the hypervisor has to fetch, decode and emulate: 4,677 cycles in the talk.
;
;; expect-output: "cycles per EOI, xAPIC: {3900..5400}\n"
;; expect-exit-code: 0
;; expect-exit: APIC_ACCESS >= 257 light
;; expect-exit: HLT == 1

        bits    64
        org     0x100000

%include "include/apic.inc"
%include "include/clock.inc"

WRITES  equ     256

        enable_xapic
        mov     dword [rdi + APIC_EOI], 0
        mov     ecx, WRITES
        start_clock
.eoi:   mov     dword [rdi + APIC_EOI], 0
        dec     ecx
        jnz     .eoi
        stop_clock
        report_per WRITES, "cycles per EOI, xAPIC"
        finish
