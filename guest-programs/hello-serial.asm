; Prints one line on the serial port, which lives in user space: every IN and OUT is a heavy exit.
;
;; expect-output: "Hello from VMX non-root operation.\n"
;; expect-exit-code: 0
;; expect-exit: IO_INSTRUCTION == 70 heavy
;; expect-exit: HLT == 1

        bits    64
        org     0x100000

%include "include/serial.inc"

        print   "Hello from VMX non-root operation.", 10
        finish
