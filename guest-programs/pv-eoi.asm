; Many interrupts, ended by clearing a flag in memory where the host offers that (KVM_FEATURE_PV_EOI, Linux 3.6): no exit
; at all for most of them. A host without it never sets the flag, and each end is written: that is the case in 2.6.32.
;
;; expect-output: "interrupts: {16..16}\n"
;; expect-output: "ends of interrupt written: {16..16}\n"
;; expect-output: "cycles per interrupt: {25000..29000}\n"
;; expect-exit-code: 0
;; expect-exit: CPUID == 2
;; expect-exit: EXTERNAL_INTERRUPT >= 15 light
;; expect-exit: APIC_ACCESS >= 16 light
;; expect-exit: HLT == 1

        bits    64
        org     0x100000

%define PV_EOI
%include "include/interrupt-storm.inc"
