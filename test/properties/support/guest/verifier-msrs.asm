; Values in the MSRs of system calls and segment bases, and the instructions that use them.

FLAGS_OF_RESULTS        equ     0x8d5   ; OF, SF, ZF, AF, PF, CF

LSTAR           equ     EXPECTED_MSRS + 0x00
STAR            equ     EXPECTED_MSRS + 0x08
CSTAR           equ     EXPECTED_MSRS + 0x10
SYSCALL_MASK    equ     EXPECTED_MSRS + 0x18
FS_BASE         equ     EXPECTED_MSRS + 0x20
GS_BASE         equ     EXPECTED_MSRS + 0x28
KERNEL_GS_BASE  equ     EXPECTED_MSRS + 0x30
SYSENTER_CS     equ     EXPECTED_MSRS + 0x38
SYSENTER_ESP    equ     EXPECTED_MSRS + 0x40
SYSENTER_EIP    equ     EXPECTED_MSRS + 0x48
MSR_COUNT       equ     10
FIRST_BASE      equ     4               ; FS, GS, kernel GS: neither reads nor writes of these exit

msr_table:
        dd      0xc0000082, 0xc0000081, 0xc0000083, 0xc0000084, 0xc0000100, 0xc0000101, 0xc0000102
        dd      0x174, 0x175, 0x176

; %1 = MSR, %2 = its place in the block; RAX = value.
%macro  expect_and_write 2
        mov     [r15 + %2], rax
        mov     rdx, rax
        shr     rdx, 32
        mov     ecx, %1
        wrmsr
%endmacro

; RAX = one of the two.
%macro  either 2
        call    random
        mov     ecx, %1
        mov     edx, %2
        test    eax, eax
        mov     eax, ecx
        cmovs   eax, edx
%endmacro

; A canonical address, different for each seed.
%macro  any_address 0
        call    random
        mov     ecx, eax
        call    random
        and     eax, 0x3fff
        shl     rax, 32
        or      rax, rcx
%endmacro

; New values for all of them.
write_msrs:
        either  system_call_a, system_call_b
        expect_and_write 0xc0000082, LSTAR
        call    random
        mov     ecx, eax
        call    random
        and     eax, 0x7ff80000         ; selectors for SYSRET
        or      eax, 8                  ; for SYSCALL
        shl     rax, 32
        or      rax, rcx
        expect_and_write 0xc0000081, STAR
        any_address
        expect_and_write 0xc0000083, CSTAR
        call    random
        and     eax, 0xfff00000 | FLAGS_OF_RESULTS
        expect_and_write 0xc0000084, SYSCALL_MASK
        any_address
        expect_and_write 0xc0000100, FS_BASE
        any_address
        expect_and_write 0xc0000101, GS_BASE
        any_address
        expect_and_write 0xc0000102, KERNEL_GS_BASE
        call    random
        shl     eax, 16
        or      eax, 8
        expect_and_write 0x174, SYSENTER_CS
        any_address
        expect_and_write 0x175, SYSENTER_ESP
        either  enter_a, enter_b
        expect_and_write 0x176, SYSENTER_EIP
        ret

verify_msrs:
        xor     ebx, ebx
        mov     r8d, MSR_COUNT
        jmp     verify_range
verify_bases:
        mov     ebx, FIRST_BASE
        mov     r8d, FIRST_BASE + 3
; The MSRs from EBX up to R8D.
verify_range:
        lea     rcx, [msr_table]
        mov     ecx, [rcx + rbx * 4]
        rdmsr
        shl     rdx, 32
        or      rax, rdx
        cmp     rax, [r15 + rbx * 8 + EXPECTED_MSRS]
        je      .right
        lea     eax, [rbx + 1]
        jmp     fail
.right: inc     ebx
        cmp     ebx, r8d
        jb      verify_range
        ret

swap_bases:
        swapgs
        mov     rax, [r15 + GS_BASE]
        xchg    rax, [r15 + KERNEL_GS_BASE]
        mov     [r15 + GS_BASE], rax
        ret

; To ring 3 by SYSRET and back by SYSCALL.
call_system:
        mov     [r15 + SAVED_RSP], rsp
        mov     ecx, .user
        mov     r11d, 2
        o64 sysret
.user:  mov     r13d, cs
        call    idle_in_ring_3
        call    random
        and     eax, FLAGS_OF_RESULTS
        or      eax, 2
        mov     r14d, eax
        push    rax
        popfq
        syscall
.back:
system_call_a:
        mov     r12d, system_call_a
        jmp     entered_by_syscall
system_call_b:
        mov     r12d, system_call_b
entered_by_syscall:
        pushfq
        pop     rbx
        mov     rsp, [r15 + SAVED_RSP]
        mov     eax, FAIL_SYSCALL_TARGET
        cmp     r12, [r15 + LSTAR]
        jne     fail
        mov     eax, FAIL_SYSCALL_RETURN
        cmp     rcx, call_system.back
        jne     fail
        mov     eax, FAIL_SYSCALL_FLAGS
        cmp     r11, r14
        jne     fail
        mov     edx, [r15 + SYSCALL_MASK]
        not     edx
        and     r14d, edx
        or      r14d, 2
        cmp     ebx, r14d
        jne     fail
        mov     eax, FAIL_USER_CS
        movzx   edx, word [r15 + STAR + 6]
        add     edx, 16
        or      edx, 3
        cmp     edx, r13d
        jne     fail
        jmp     check_kernel_cs

; To ring 3 by SYSEXIT and back by SYSENTER.
enter_system:
        mov     [r15 + SAVED_RSP], rsp
        mov     edx, .user
        mov     rcx, rsp
        o64 sysexit
.user:  mov     r13d, cs
        call    idle_in_ring_3
        sysenter
enter_a:
        mov     r12d, enter_a
        jmp     entered_by_sysenter
enter_b:
        mov     r12d, enter_b
entered_by_sysenter:
        mov     rbx, rsp
        mov     rsp, [r15 + SAVED_RSP]
        mov     eax, FAIL_SYSENTER_TARGET
        cmp     r12, [r15 + SYSENTER_EIP]
        jne     fail
        mov     eax, FAIL_SYSENTER_STACK
        cmp     rbx, [r15 + SYSENTER_ESP]
        jne     fail
        mov     eax, FAIL_USER_CS
        cmp     r13d, 8 + 32 + 3
        jne     fail
check_kernel_cs:
        mov     eax, FAIL_KERNEL_CS
        mov     edx, cs
        cmp     edx, 8
        jne     fail
        ret

idle_in_ring_3:
        call    random
        test    eax, eax
        js      delay
        jmp     identify
