; Many interrupts, ended by a WRMSR: each end is still an exit, but one that says by itself what is wanted.
;
;; needs: x2apic
;; expect-output: "interrupts: {16..16}\n"
;; expect-output: "ends of interrupt written: {16..16}\n"
;; expect-output: "cycles per interrupt: {25000..29000}\n"
;; expect-exit-code: 0
;; expect-exit: EXTERNAL_INTERRUPT >= 15 light
;; expect-exit: MSR_WRITE >= 16 light
;; expect-exit: APIC_ACCESS == 0
;; expect-exit: HLT == 1

        bits    64
        org     0x100000

%define X2APIC
%include "include/interrupt-storm.inc"
