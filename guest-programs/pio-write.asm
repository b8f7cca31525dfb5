; What does an OUT cost that user space has to handle? The talk's answer is 10,400 cycles (400 + 400 + 1,000 + 2,000 +
; 2,900 + 1,800 + 1,100 + 800). The port is the scratch register of the serial port, a device in user space: it keeps
; what is written and does nothing else.
;
;; expect-output: "cycles per OUT handled in user space: {8800..12000}\n"
;; expect-exit-code: 0
;; expect-exit: IO_INSTRUCTION >= 17 heavy
;; expect-exit: HLT == 1

        bits    64
        org     0x100000

%include "include/clock.inc"

WRITES  equ     16

        mov     edx, PORT_SERIAL + SERIAL_SCRATCH
        out     dx, al                  ; the first time everything is cold
        mov     ecx, WRITES
        start_clock
        mov     edx, PORT_SERIAL + SERIAL_SCRATCH
.write: out     dx, al
        dec     ecx
        jnz     .write
        stop_clock
        report_per WRITES, "cycles per OUT handled in user space"
        finish
