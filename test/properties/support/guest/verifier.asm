; A guest that gives its processor state values of its own, does things that may exit, and looks whether the state is
; still what it was. A wrong value ends it with a code that says which. What it does, how often and with which values is
; patched into `parameters` before it starts; each virtual CPU has a block of data of its own, found by R15.

        bits    64
        default rel
        org     0x100000

BLOCKS          equ     0x140000        ; one block per virtual CPU, its stack at the end
BLOCK_SHIFT     equ     13
STARTUP_PAGE    equ     0x90000

; A virtual CPU's block.
RANDOM          equ     0x00            ; state of the random numbers
CPU_NUMBER      equ     0x04
TICK            equ     0x08            ; set by the timer's handler
CURRENT_TASK    equ     0x0c            ; 0 or 1
USES_FPU        equ     0x10            ; the registers hold the current task's values
PV_EOI          equ     0x14
SAVED_RSP       equ     0x18
SCRATCH         equ     0x20
EXPECTED_MSRS   equ     0x100           ; in the order of msr_table
EXPECTED_FPU    equ     0x200           ; an image per task: what the registers are to hold
SAVED_FPU       equ     0x600           ; an image per task: what was saved when the task was switched away from
FOUND_FPU       equ     0xa00

; Codes of failures. Those below 20 are 1 + the index of an MSR.
FAIL_SYSCALL_TARGET     equ 20
FAIL_SYSCALL_FLAGS      equ 21
FAIL_SYSCALL_RETURN     equ 22
FAIL_USER_CS            equ 23
FAIL_KERNEL_CS          equ 24
FAIL_SYSENTER_TARGET    equ 30
FAIL_SYSENTER_STACK     equ 31
FAIL_FPU_STATE          equ 40
FAIL_FPU_REGISTER       equ 41
FAIL_CONTROL_WORD       equ 42
FAIL_MXCSR              equ 43
FAIL_WINDOW             equ 50
FAIL_WINDOW_ELSEWHERE   equ 51
FAIL_WINDOW_BACKING     equ 52

        jmp     near start
        align   16, db 0
parameters:
seed            dd      0
rounds          dd      0
vm_number       dd      0
vcpus           dd      0
lazy_fpu        dd      0               ; the guest kernel switches its tasks' registers by CR0.TS and #NM
x2apic          dd      0
pv_eoi          dd      0
action_count    dd      0
actions         times 32 db 0           ; indices into action_table
finished        dd      0

%include "verifier-msrs.asm"
%include "verifier-fpu.asm"
%include "verifier-apic.asm"
%include "verifier-window.asm"

start:  mov     rsp, BLOCKS + (1 << BLOCK_SHIFT)
        ; Ring 3 may use the first two megabytes.
        or      byte [abs 0x10000], 4
        mov     rax, [abs 0x10000]
        and     rax, -0x1000
        or      byte [rax], 4
        mov     rax, [rax]
        and     rax, -0x1000
        or      byte [rax], 4
        mov     rax, cr3
        mov     cr3, rax
        set_gate 7, device_not_available
        set_gate 0x40, timer_interrupt
        xor     edi, edi
        call    prepare
        cmp     dword [vcpus], 1
        je      work
        call    start_others
        jmp     work

application_processor:
        mov     eax, application_start
        jmp     rax
application_processor_end:

application_start:
        mov     eax, edi
        shl     eax, BLOCK_SHIFT
        lea     rsp, [rax + BLOCKS + (1 << BLOCK_SHIFT)]
        call    prepare

work:   mov     ebp, [rounds]
.round: call    random
        xor     edx, edx
        div     dword [action_count]
        lea     rax, [actions]
        movzx   eax, byte [rax + rdx]
        lea     rdx, [action_table]
        call    [rdx + rax * 8]
        call    verify_bases
        dec     ebp
        jnz     .round
        call    verify_msrs
        call    use_fpu
        cmp     dword [r15 + CPU_NUMBER], 0
        je      .first
        lock inc dword [finished]
        cli
        hlt
.first: mov     eax, [finished]
        inc     eax
        cmp     eax, [vcpus]
        jae     .done
        pause
        jmp     .first
.done:  xor     eax, eax
; EAX = code
fail:   out     0xf4, eax
        jmp     fail

; EDI = number of the virtual CPU: gives it its block, and all state its first values.
prepare:
        mov     eax, edi
        shl     eax, BLOCK_SHIFT
        lea     r15, [rax + BLOCKS]
        mov     [r15 + CPU_NUMBER], edi
        imul    eax, edi, 0x9e3779b1
        add     eax, [seed]
        or      eax, 1
        mov     [r15 + RANDOM], eax
        lidt    [idt_register]
        mov     ecx, 0xc0000080
        rdmsr
        or      eax, 1
        wrmsr
        call    prepare_apic
        call    write_msrs
        call    prepare_fpu
        ret

; EAX = random number (xorshift); changes EDX.
random: mov     eax, [r15 + RANDOM]
        mov     edx, eax
        shl     edx, 13
        xor     eax, edx
        mov     edx, eax
        shr     edx, 17
        xor     eax, edx
        mov     edx, eax
        shl     edx, 5
        xor     eax, edx
        mov     [r15 + RANDOM], eax
        ret

; To user space and back: a heavy exit.
port:   out     0xb0, al
        ret

; A light exit.
identify:
        xor     eax, eax
        cpuid
        ret

; Time in which others get the CPU.
delay:  call    random
        and     eax, 0x3ff
.step:  dec     eax
        jns     .step
        ret

action_table:
        dq      port, identify, delay, write_msrs, verify_msrs, swap_bases, call_system, enter_system
        dq      use_fpu, switch_task, sleep, window
idt_register:
        dw      65 * 16 - 1
        dq      idt
        align   16, db 0
idt:    times 65 * 16 db 0
