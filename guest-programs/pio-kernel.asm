; What does an OUT cost that the kernel handles by itself? The interrupt controllers are devices in the kernel, so the
; exit stays light: no host state is restored, no system call is left and entered again.
;
;; expect-output: "cycles per OUT handled in the kernel: {1500..4500}\n"
;; expect-exit-code: 0
;; expect-exit: IO_INSTRUCTION >= 65 light
;; expect-exit: HLT == 1

        bits    64
        org     0x100000

%include "include/clock.inc"

WRITES  equ     64

        mov     al, 0xff                ; interrupt mask: all lines off, as they were
        out     PORT_PIC1_DATA, al
        mov     ecx, WRITES
        start_clock
        mov     al, 0xff
.write: out     PORT_PIC1_DATA, al
        dec     ecx
        jnz     .write
        stop_clock
        report_per WRITES, "cycles per OUT handled in the kernel"
        finish
