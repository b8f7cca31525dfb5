; Cycles of common exits, under the names of the vmexit test of kvm-unit-tests, so that they can be set beside figures
; from real machines. Each is done a few times after a first one, and the average is printed.
;
; Can be defined before: TIMES (a power of two keeps the numbers exact).
;
;; needs: kvm
;; expect-output: "cpuid {1200..3000}\n"
;; expect-output: "vmcall {1200..3000}\n"
;; expect-output: "mov_from_cr8 {1..100}\n"
;; expect-output: "mov_to_cr8 {1..200}\n"
;; expect-output: "mov_dr {1200..3000}\n"
;; expect-output: "inl_from_qemu {8000..12000}\n"
;; expect-output: "inl_from_kernel {1500..4500}\n"
;; expect-output: "outl_to_kernel {1500..4500}\n"
;; expect-output: "wr_kernel_gs_base {20..300}\n"
;; expect-output: "self_ipi_sti_nop {5000..16000}\n"
;; expect-output: "self_ipi_sti_hlt {5000..20000}\n"
;; expect-output: "self_ipi_tpr {5000..20000}\n"
;; expect-output: "self_ipi_tpr_sti_nop {5000..20000}\n"
;; expect-output: "self_ipi_tpr_sti_hlt {5000..20000}\n"
;; expect-output: "x2apic_self_ipi_sti_nop {4000..12000}\n"
;; expect-output: "x2apic_self_ipi_sti_hlt {4000..14000}\n"
;; expect-output: "x2apic_self_ipi_tpr {4000..14000}\n"
;; expect-output: "x2apic_self_ipi_tpr_sti_nop {4000..14000}\n"
;; expect-output: "x2apic_self_ipi_tpr_sti_hlt {4000..14000}\n"
;; expect-exit-code: 0
;; expect-exit: CPUID == 33 light
;; expect-exit: VMCALL == 33 light
;; expect-exit: DR_ACCESS == 33 light
;; expect-exit: IO_INSTRUCTION >= 66 light
;; expect-exit: HLT >= 1

        bits    64
        org     0x100000

%include "include/apic.inc"
%include "include/clock.inc"
%include "include/interrupts.inc"

%ifndef TIMES
%define TIMES   32
%endif

VECTOR_TEST     equ     0xb0
HIGH_PRIORITY   equ     0xf
NO_HYPERCALL    equ     -1
PORT_ELCR       equ     0x4d0           ; in the kernel: edge or level, of the interrupt controllers

; Prints "name cycles" for subroutine %2. Subroutines may change RAX, RCX, RDX and RDI.
%macro  measure 2
        lea     r12, [rel %2]
        call    measure_subroutine
        print   %1, " "
        call    print_decimal
        print   10
%endmacro

        mov     al, 0xff                ; no interrupts from the old controllers
        out     PORT_PIC1_DATA, al
        set_gate VECTOR_TEST, test_interrupt
        load_idt
        enable_xapic
        lea     r14, [rel end_in_memory]
        lea     rbp, [rel send_in_memory]

        measure "cpuid", test_cpuid
        measure "vmcall", test_vmcall
        measure "mov_from_cr8", test_mov_from_cr8
        measure "mov_to_cr8", test_mov_to_cr8
        measure "mov_dr", test_mov_dr
        measure "inl_from_qemu", test_inl_from_qemu
        measure "inl_from_kernel", test_inl_from_kernel
        measure "outl_to_kernel", test_outl_to_kernel
        measure "wr_kernel_gs_base", test_wr_kernel_gs_base
        measure "self_ipi_sti_nop", test_self_ipi_sti_nop
        measure "self_ipi_sti_hlt", test_self_ipi_sti_hlt
        measure "self_ipi_tpr", test_self_ipi_tpr
        measure "self_ipi_tpr_sti_nop", test_self_ipi_tpr_sti_nop
        measure "self_ipi_tpr_sti_hlt", test_self_ipi_tpr_sti_hlt

        enable_x2apic
        lea     r14, [rel end_in_msr]
        lea     rbp, [rel send_in_msr]
        measure "x2apic_self_ipi_sti_nop", test_self_ipi_sti_nop
        measure "x2apic_self_ipi_sti_hlt", test_self_ipi_sti_hlt
        measure "x2apic_self_ipi_tpr", test_self_ipi_tpr
        measure "x2apic_self_ipi_tpr_sti_nop", test_self_ipi_tpr_sti_nop
        measure "x2apic_self_ipi_tpr_sti_hlt", test_self_ipi_tpr_sti_hlt
        finish

; RAX := cycles per call of subroutine R12.
measure_subroutine:
        call    r12                     ; the first time everything is cold
        start_clock
        mov     ebx, TIMES
.again: call    r12
        dec     ebx
        jnz     .again
        stop_clock
        xor     edx, edx
        mov     ebx, TIMES
        div     rbx
        ret

test_cpuid:
        push    rbx
        xor     eax, eax
        cpuid
        pop     rbx
        ret
test_vmcall:
        mov     rax, NO_HYPERCALL
        vmcall
        ret
test_mov_from_cr8:
        mov     rax, cr8
        ret
test_mov_to_cr8:
        xor     eax, eax
        mov     cr8, rax
        ret
test_mov_dr:
        mov     rax, dr7
        ret
test_inl_from_qemu:
        mov     edx, PORT_NOBODY
        in      eax, dx
        ret
test_inl_from_kernel:
        mov     edx, PORT_ELCR
        in      al, dx
        ret
test_outl_to_kernel:
        mov     edx, PORT_ELCR
        xor     eax, eax
        out     dx, al
        ret
test_wr_kernel_gs_base:
        write_msr MSR_KERNEL_GS_BASE, 0
        ret

; An interrupt to itself, taken in five ways. RBP: how it is sent.
test_self_ipi_sti_nop:
        mov     byte [rel taken], 0
        cli
        call    rbp
        sti
        nop
        jmp     wait_until_taken
test_self_ipi_sti_hlt:
        mov     byte [rel taken], 0
        cli
        call    rbp
        sti
        hlt
        jmp     wait_until_taken
test_self_ipi_tpr:
        mov     byte [rel taken], 0
        call    send_held_back
        jmp     wait_until_taken
test_self_ipi_tpr_sti_nop:
        mov     byte [rel taken], 0
        cli
        call    send_held_back
        sti
        nop
        jmp     wait_until_taken
test_self_ipi_tpr_sti_hlt:
        mov     byte [rel taken], 0
        cli
        call    send_held_back
        sti
        hlt
wait_until_taken:
        cmp     byte [rel taken], 1
        jne     wait_until_taken
        ret

; Sends while the task priority holds the interrupt back, then lets it come.
send_held_back:
        mov     eax, HIGH_PRIORITY
        mov     cr8, rax
        call    rbp
        xor     eax, eax
        mov     cr8, rax
        ret

send_in_memory:
        mov     edi, APIC_PAGE
        mov     dword [rdi + APIC_COMMAND_LOW], IPI_SELF | IPI_ASSERT | VECTOR_TEST
        ret
send_in_msr:
        mov     ecx, X2APIC_SELF_IPI
        mov     eax, VECTOR_TEST
        xor     edx, edx
        wrmsr
        ret

; R14: how it ends.
test_interrupt:
        push    rax
        push    rcx
        push    rdx
        push    rdi
        mov     byte [rel taken], 1
        call    r14
        pop     rdi
        pop     rdx
        pop     rcx
        pop     rax
        iretq
end_in_memory:
        mov     edi, APIC_PAGE
        mov     dword [rdi + APIC_EOI], 0
        ret
end_in_msr:
        mov     ecx, X2APIC_EOI
        xor     eax, eax
        xor     edx, edx
        wrmsr
        ret

        section .data
taken:  db      0
