; Which model-specific registers may a guest write without an exit? Those whose bit in the MSR bitmap is clear: the
; processor switches them by itself, or nobody but the guest uses them while it runs. The others trap. Each register is
; written with the value that it has, and the time for one WRMSR tells to which kind it belongs. STAR, LSTAR,
; SYSCALL_MASK and EFER also belong to the host: as long as it switches them eagerly (2.6.32), it takes all of its
; own registers back before it changes one of the guest's, and the exit becomes a heavy one.
;
;; expect-output: "WRMSR SYSENTER_CS: {20..600}\n"
;; expect-output: "WRMSR SYSENTER_ESP: {20..600}\n"
;; expect-output: "WRMSR SYSENTER_EIP: {20..600}\n"
;; expect-output: "WRMSR FS_BASE: {20..600}\n"
;; expect-output: "WRMSR GS_BASE: {20..600}\n"
;; expect-output: "WRMSR KERNEL_GS_BASE: {20..600}\n"
;; expect-output: "WRMSR STAR: {1200..5600}\n"
;; expect-output: "WRMSR LSTAR: {1200..5600}\n"
;; expect-output: "WRMSR SYSCALL_MASK: {1200..5600}\n"
;; expect-output: "WRMSR EFER: {1200..5600}\n"
;; expect-exit-code: 0
;; expect-exit: MSR_WRITE == 132
;; expect-exit: MSR_READ >= 4 light
;; expect-exit: HLT == 1

        bits    64
        org     0x100000

%include "include/processor.inc"
%include "include/clock.inc"

WRITES  equ     32

; Prints the cycles that one WRMSR to register %1 takes, in the middle of many. %2: its name.
%macro  time_wrmsr 2
        mov     ecx, %1
        rdmsr
        mov     edi, edx
        mov     esi, eax
        wrmsr                           ; the first time everything is cold
        mov     ebx, WRITES
        start_clock
        mov     edx, edi
        mov     eax, esi
%%again:
        wrmsr
        dec     ebx
        jnz     %%again
        stop_clock
        report_per WRITES, "WRMSR ", %2
%endmacro

        time_wrmsr MSR_SYSENTER_CS, "SYSENTER_CS"
        time_wrmsr MSR_SYSENTER_ESP, "SYSENTER_ESP"
        time_wrmsr MSR_SYSENTER_EIP, "SYSENTER_EIP"
        time_wrmsr MSR_FS_BASE, "FS_BASE"
        time_wrmsr MSR_GS_BASE, "GS_BASE"
        time_wrmsr MSR_KERNEL_GS_BASE, "KERNEL_GS_BASE"
        time_wrmsr MSR_STAR, "STAR"
        time_wrmsr MSR_LSTAR, "LSTAR"
        time_wrmsr MSR_SYSCALL_MASK, "SYSCALL_MASK"
        time_wrmsr MSR_EFER, "EFER"
        finish
