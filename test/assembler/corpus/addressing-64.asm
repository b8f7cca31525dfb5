; Effective addresses, RIP-relative ones and REX in 64-bit code.
        bits 64
        org 0x100000
        mov eax, [rbx]
        mov rax, [rbx]
        mov r8, [r9]
        mov eax, [rbp]
        mov eax, [r13]
        mov eax, [r12]
        mov eax, [rsp]
        mov eax, [r13+r12*8]
        mov eax, [r12+r13*2]
        mov eax, [r12*2]
        mov eax, [r13*2]
        mov eax, [r12*1+rsp]
        mov eax, [rsp+r12]
        mov eax, [r12+rsp]
        mov eax, [ebx]
        mov eax, [r8d+r9d*4+5]
        mov eax, [lab]
        mov eax, [rel lab]
        mov eax, [abs lab]
        mov rax, [qword lab]
        mov [qword lab], al
        mov eax, [qword 0x1122334455667788]
        mov eax, [0x1234]
        mov eax, [dword 0x1234]
        mov eax, [fs:0]
        mov rax, [gs:rax]
        mov eax, [rel lab+4]
        mov dword [rel lab], 0x12345678
        mov byte [rel lab], 1
        add word [rel lab], 500
        add qword [rel lab], 1
        test byte [rel lab], 1
        lea rax, [rel lab]
        lea rax, [lab]
        lea rsi, [rel $]
        a32 mov eax, [0x1234]
        a32 mov eax, [rel lab]
        jmp [rel lab]
        call [lab]
        jmp rax
        call r9
        jmp qword [rax]
        jmp far [rax]
        jmp far dword [rax]
        jmp far qword [rax]
        default rel
        mov eax, [lab]
        mov eax, [abs lab]
        mov eax, [fs:lab]
        mov eax, [gs:0x28]
        mov eax, [rel gs:lab]
        mov eax, [es:lab]
        mov eax, [lab+rbx]
        mov eax, [0x1234]
        mov rax, [qword lab]
        mov eax, [dword lab]
        lea rdi, [lab]
        default abs
        mov eax, [lab]
        mov al, spl
        mov sil, dil
        mov r8b, r15b
        mov ah, bh
        mov ax, r8w
        movzx eax, ah
        movzx rax, r8b
        movsx rax, ecx
        movsxd rax, ecx
        movsx rax, dword [rbx]
        movsx eax, word [rbx]
        push rax
        push r8
        push ax
        push qword [rax]
        push word [rax]
        push 5
        push -1
        push 0x12345678
        push -0x80000000
        push fs
        pop gs
        pushf
        pushfq
        popfq
        pushfw
        ret
        retq
        retf
        retfq
        iret
        iretq
        iretd
        iretw
        syscall
        sysret
        o64 sysret
        swapgs
        mov rax, cr8
        mov cr8, rax
        mov cr3, rdi
        mov dr7, r9
        mov rax, lab
        mov eax, lab
        mov rax, qword lab
        mov rax, dword lab
        mov rax, 0
        mov rax, 0x7fffffff
        mov rax, 0x80000000
        mov rax, 0xffffffff
        mov rax, 0x100000000
        mov rax, -0x80000000
        mov rax, -0x80000001
        mov rax, strict 5
        mov rax, strict dword 5
        mov qword [rax], -5
        mov qword [rax], lab
        mov [rax], dword 5
        mov [rax], byte 5
        mov [rax], word lab
        add rax, 127
        add rax, 128
        add rax, -128
        add rax, lab
        add rbx, byte 5
        and rax, 0x7fffffff
        and ecx, 0xffffff80
        cmp qword [rax], 0x12345678
        imul rax, 5
        imul rax, rbx, 500
        imul rax, [rbx], 5
        imul eax, lab
        test rax, 5
        test rbx, 500
        test [rax], bl
        test bl, [rax]
        xchg rax, rax
        xchg eax, eax
        xchg ax, ax
        xchg r8, rax
        xchg eax, r8d
        nop
        pause
        rep ret
        bswap r12
        cmpxchg16b [rax]
        lock cmpxchg [r8], rcx
        lock inc qword [rax]
        xlatb
        in eax, dx
        loop lab
        loop lab, ecx
        loop lab, rcx
        jrcxz lab
        jecxz lab
        fs lodsb
        rep stosq
        repne scasb
        rdfsbase rax
        str ax
        sldt eax
        lar eax, bx
        lsl rax, [rbx]
        vmread rax, rbx
        vmwrite rax, [rbx]
        vmxon [rax]
        vmptrld [rel lab]
        invept rax, [rbx]
        fxsave64 [rax]
        o64 fxsave [rax]
        movnti [rax], r9
        clflush [rax]
        prefetcht0 [rax]
        crc: dq lab, lab-$, $-lab
        dd lab, lab-$$
lab:    ret
        jmp lab
