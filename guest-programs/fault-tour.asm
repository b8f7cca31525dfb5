; Six ways to go wrong, each handled by the guest itself: the processor delivers the exception through the guest's own
; IDT. The hypervisor sees only what it asked for, here #UD (it might have to emulate the instruction) and what it
; needs to know to switch the FPU lazily (CR0.TS and #NM).
;
;; expect-output: "#DE at the division\n"
;; expect-output: "#BP after the breakpoint\n"
;; expect-output: "#UD at UD2\n"
;; expect-output: "#NM at the FPU instruction, once\n"
;; expect-output: "#GP error code 0x0: non-canonical address\n"
;; expect-output: "#PF error code 0x0: read of 0x100000000\n"
;; expect-output: "#PF error code 0x2: write of 0x123456789000\n"
;; expect-exit-code: 0
;; expect-exit: EXCEPTION_NMI >= 1
;; expect-exit: CR_ACCESS >= 1
;; expect-exit: HLT == 1

        bits    64
        org     0x100000

%include "include/processor.inc"
%include "include/interrupts.inc"
%include "include/serial.inc"

; Handlers find here where to go on after an instruction that can't be repeated.
%define recovery r12

        set_gate VECTOR_DE, divide_error
        set_gate VECTOR_BP, breakpoint
        set_gate VECTOR_UD, invalid_opcode
        set_gate VECTOR_NM, device_not_available
        set_gate VECTOR_GP, general_protection
        set_gate VECTOR_PF, page_fault
        load_idt

        lea     recovery, [rel .after_division]
        xor     ecx, ecx
.division:
        div     ecx
.after_division:

        lea     recovery, [rel .after_breakpoint]
        int3
.after_breakpoint:

        lea     recovery, [rel .after_ud2]
.ud2:   ud2
.after_ud2:

        xor     ebp, ebp                ; counts #NM
        mov     rax, cr0
        or      rax, CR0_TS
        mov     cr0, rax
        fninit                          ; faults, the handler clears CR0.TS, and it is executed again
        cmp     ebp, 1
        jne     failed
        print   "#NM at the FPU instruction, once", 10

        lea     recovery, [rel .after_general_protection]
        mov     rax, 0x800000000000     ; bit 47 set, bits 48 to 63 clear
        mov     al, [rax]
.after_general_protection:

        lea     recovery, [rel .after_read]
        mov     rax, 0x100000000        ; first address beyond the identity mapping
        mov     al, [rax]
.after_read:

        lea     recovery, [rel .after_write]
        mov     rax, 0x123456789000
        mov     [rax], al
.after_write:
        finish

failed: finish_with 1

divide_error:
        print   "#DE at the division", 10
        mov     [rsp], recovery
        iretq

breakpoint:                             ; a trap: the saved RIP is already behind INT3
        cmp     [rsp], recovery
        jne     failed
        print   "#BP after the breakpoint", 10
        iretq

invalid_opcode:
        print   "#UD at UD2", 10
        mov     [rsp], recovery
        iretq

device_not_available:
        inc     ebp
        clts
        iretq

; From here on there is an error code on the stack, below RIP.
general_protection:
        print   "#GP error code "
        mov     rax, [rsp]
        call    print_hexadecimal
        print   ": non-canonical address", 10
        jmp     leave_with_error_code

page_fault:
        print   "#PF error code "
        mov     rax, [rsp]
        call    print_hexadecimal
        test    al, 2
        jnz     .write
        print   ": read of "
        jmp     .address
.write: print   ": write of "
.address:
        mov     rax, cr2
        call    print_hexadecimal
        print   10

leave_with_error_code:
        add     rsp, 8
        mov     [rsp], recovery
        iretq
