; Many interrupts, ended through the memory-mapped APIC: each end is an exit whose instruction has to be emulated.
;
;; expect-output: "interrupts: {16..16}\n"
;; expect-output: "ends of interrupt written: {16..16}\n"
;; expect-output: "cycles per interrupt: {25000..29000}\n"
;; expect-exit-code: 0
;; expect-exit: EXTERNAL_INTERRUPT >= 15 light
;; expect-exit: APIC_ACCESS >= 16 light
;; expect-exit: HLT == 1

        bits    64
        org     0x100000

%include "include/interrupt-storm.inc"
