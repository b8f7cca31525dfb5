; Values in the x87 registers, XMM registers, control word and MXCSR of two tasks that the guest's kernel switches.

CR0_TS          equ     8
IMAGE_SHIFT     equ     9
FIRST_REGISTER  equ     32              ; ST0 in an FXSAVE image
FIRST_XMM       equ     160
END_OF_XMM      equ     416

prepare_fpu:
        mov     rax, cr4
        or      eax, 0x200
        mov     cr4, rax
        mov     dword [r15 + CURRENT_TASK], 1
        call    fill_image
        mov     dword [r15 + CURRENT_TASK], 0
        call    fill_image
        lea     rsi, [r15 + EXPECTED_FPU]
        lea     rdi, [r15 + SAVED_FPU]
        mov     ecx, 256
        cld
        rep movsd
        mov     dword [r15 + USES_FPU], 0
        cmp     dword [lazy_fpu], 0
        jne     set_ts
        fxrstor [r15 + SAVED_FPU]
        ret

; Writes a task's registers new, by FXRSTOR, after the old ones were found right.
use_fpu:
        fxsave  [r15 + FOUND_FPU]
        call    expected_image
        lea     rdi, [r15 + FOUND_FPU]
        mov     eax, FAIL_FPU_STATE
        mov     edx, [rsi]
        cmp     edx, [rdi]
        jne     fail
        mov     dx, [rsi + 4]
        cmp     dx, [rdi + 4]
        jne     fail
        mov     edx, [rsi + 24]
        cmp     edx, [rdi + 24]
        jne     fail
        mov     rbx, rsi
        add     rsi, FIRST_REGISTER
        add     rdi, FIRST_REGISTER
        mov     ecx, (END_OF_XMM - FIRST_REGISTER) / 4
        repe cmpsd
        jne     fail
        mov     eax, FAIL_FPU_REGISTER
        fstp    tword [r15 + SCRATCH]
        mov     rdx, [r15 + SCRATCH]
        cmp     rdx, [rbx + FIRST_REGISTER]
        jne     fail
        mov     dx, [r15 + SCRATCH + 8]
        cmp     dx, [rbx + FIRST_REGISTER + 8]
        jne     fail
        fld     tword [r15 + SCRATCH]
        mov     eax, FAIL_CONTROL_WORD
        fnstcw  [r15 + SCRATCH]
        mov     dx, [r15 + SCRATCH]
        cmp     dx, [rbx]
        jne     fail
        mov     eax, FAIL_MXCSR
        stmxcsr [r15 + SCRATCH]
        mov     edx, [r15 + SCRATCH]
        cmp     edx, [rbx + 24]
        jne     fail
        call    fill_image
        call    expected_image
        fxrstor [rsi]
        ret

switch_task:
        mov     eax, [r15 + CURRENT_TASK]
        mov     ecx, eax
        shl     ecx, IMAGE_SHIFT
        xor     eax, 1
        cmp     dword [lazy_fpu], 0
        jne     .lazy
        fxsave  [r15 + rcx + SAVED_FPU]
        mov     [r15 + CURRENT_TASK], eax
        shl     eax, IMAGE_SHIFT
        fxrstor [r15 + rax + SAVED_FPU]
        ret
.lazy:  cmp     dword [r15 + USES_FPU], 0
        je      .unused
        fxsave  [r15 + rcx + SAVED_FPU]
        mov     dword [r15 + USES_FPU], 0
.unused:
        mov     [r15 + CURRENT_TASK], eax
set_ts: call    random
        test    eax, eax
        js      .by_lmsw
        mov     rax, cr0
        or      eax, CR0_TS
        mov     cr0, rax
        ret
.by_lmsw:
        smsw    ax
        or      eax, CR0_TS
        lmsw    ax
        ret

device_not_available:
        push    rax
        push    rdx
        call    random
        test    eax, eax
        js      .by_mov
        clts
        jmp     .cleared
.by_mov:
        mov     rax, cr0
        and     eax, ~CR0_TS
        mov     cr0, rax
.cleared:
        mov     eax, [r15 + CURRENT_TASK]
        shl     eax, IMAGE_SHIFT
        fxrstor [r15 + rax + SAVED_FPU]
        mov     dword [r15 + USES_FPU], 1
        pop     rdx
        pop     rax
        iretq

; RSI = image of what the current task's registers are to hold.
expected_image:
        mov     eax, [r15 + CURRENT_TASK]
        shl     eax, IMAGE_SHIFT
        lea     rsi, [r15 + rax + EXPECTED_FPU]
        ret

; New values for the current task.
fill_image:
        call    expected_image
        call    random
        and     eax, 0xc00
        or      eax, 0x37f
        mov     [rsi], eax
        mov     dword [rsi + 4], 0xff
        call    random
        and     eax, 0x6000
        or      eax, 0x1f80
        mov     [rsi + 24], eax
        mov     ecx, FIRST_REGISTER
.register:
        call    random
        mov     [rsi + rcx], eax
        call    random
        or      eax, 0x80000000
        mov     [rsi + rcx + 4], eax
        call    random
        movzx   eax, ax
        mov     [rsi + rcx + 8], eax
        add     ecx, 16
        cmp     ecx, FIRST_XMM
        jb      .register
.xmm:   call    random
        mov     [rsi + rcx], eax
        add     ecx, 4
        cmp     ecx, END_OF_XMM
        jb      .xmm
        ret
