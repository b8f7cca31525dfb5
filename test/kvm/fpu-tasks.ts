/**
 * A guest kernel with four tasks that all use the FPU, switched lazily as Linux does it: CR0.TS set when a task's
 * registers are saved, #NM loads those of the task that uses them next.
 */

/** Each task computes `rounds` times; every `heavy`th round it writes to a port that user space handles. */
export const fpuTasks = (rounds: number, heavy: number): string => `
    FPU_AREA_SIZE equ 512
    mov rax, cr4
    or eax, 0x200
    mov cr4, rax
    ; #NM goes to the kernel's handler
    lea rax, [device_not_available]
    lea rdi, [idt + 7 * 16]
    mov [rdi], ax
    mov word [rdi + 2], cs
    mov word [rdi + 4], 0x8e00
    shr rax, 16
    mov [rdi + 6], ax
    lidt [idt_register]
    ; FPU images: FNINIT's, and XMM0 of each task
    xor ecx, ecx
prepare:
    mov eax, ecx
    shl eax, 9
    lea rdi, [areas]
    add rdi, rax
    mov word [rdi], 0x37f
    mov dword [rdi + 24], 0x1f80
    mov [rdi + 160], ecx
    inc byte [rdi + 167]
    ; a stack on which yield finds two registers and the task's start
    lea rdi, [stacks]
    mov eax, ecx
    shl eax, 12
    lea rdx, [rdi + rax + 4096 - 24]
    lea rax, [task]
    mov [rdx + 16], rax
    lea rdi, [stack_pointers]
    mov [rdi + rcx * 8], rdx
    inc ecx
    cmp ecx, 4
    jb prepare
    mov rax, cr0
    or eax, 8
    mov cr0, rax
    mov rsp, [stack_pointers]
    pop rbp
    pop rbx
    ret

task:
    mov ebx, ${rounds}
.round:
    mov ebp, [current]
    shl ebp, 4
    lea rdi, [values]
    add rdi, rbp
    fld tword [rdi]
    fld tword [rdi + 64]
    call yield
    mov ebp, [current]
    shl ebp, 4
    lea rdi, [values]
    add rdi, rbp
    fstp tword [scratch]
    mov rax, [scratch]
    cmp rax, [rdi + 64]
    jne foreign
    fstp tword [scratch]
    mov rax, [scratch]
    cmp rax, [rdi]
    jne foreign
    mov ax, [scratch + 8]
    cmp ax, [rdi + 8]
    jne foreign
    fxsave [image]
    shr ebp, 4
    cmp [image + 160], ebp
    jne foreign
    cmp byte [image + 167], 1
    jne foreign
    mov eax, ebx
    xor edx, edx
    mov ecx, ${heavy}
    div ecx
    test edx, edx
    jnz .light
    out 0xb0, al
.light:
    dec ebx
    jnz .round
    inc dword [finished]
    cmp dword [finished], 4
    je all_finished
.idle:
    call yield
    jmp .idle

all_finished:
    xor eax, eax
    out 0xf4, al
foreign:
    mov al, 1
    out 0xf4, al

; the kernel: yield() = schedule() and __switch_to()
yield:
    push rbx
    push rbp
    mov eax, [current]
    lea rdx, [uses_fpu]
    cmp byte [rdx + rax], 0
    je .not_used
    mov byte [rdx + rax], 0
    mov ecx, eax
    shl ecx, 9
    lea rdx, [areas]
    fxsave [rdx + rcx]
    mov rcx, cr0
    or ecx, 8
    mov cr0, rcx
.not_used:
    lea rdx, [stack_pointers]
    mov [rdx + rax * 8], rsp
    inc eax
    and eax, 3
    mov [current], eax
    mov rsp, [rdx + rax * 8]
    pop rbp
    pop rbx
    ret

device_not_available:
    push rax
    push rdx
    clts
    mov eax, [current]
    lea rdx, [uses_fpu]
    mov byte [rdx + rax], 1
    shl eax, 9
    lea rdx, [areas]
    fxrstor [rdx + rax]
    pop rdx
    pop rax
    iretq

    align 16
values:
    dq 0x8000000000000001
    dw 0x3fff
    times 6 db 0
    dq 0xc000000000000002
    dw 0x4000
    times 6 db 0
    dq 0xe000000000000003
    dw 0xbfff
    times 6 db 0
    dq 0xf000000000000004
    dw 0x4100
    times 6 db 0
    dq 0x8800000000000011
    dw 0x3fff
    times 6 db 0
    dq 0xc800000000000022
    dw 0x4000
    times 6 db 0
    dq 0xe800000000000033
    dw 0xbfff
    times 6 db 0
    dq 0xf800000000000044
    dw 0x4100
    times 6 db 0
current: dd 0
finished: dd 0
uses_fpu: dd 0
idt_register:
    dw 32 * 16 - 1
    dq idt
    align 16
idt: times 32 * 16 db 0
stack_pointers: times 4 dq 0
scratch: times 16 db 0
    align 16
image: times FPU_AREA_SIZE db 0
areas: times 4 * FPU_AREA_SIZE db 0
stacks: times 4 * 4096 db 0
`;
