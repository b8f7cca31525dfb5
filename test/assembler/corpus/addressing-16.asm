; Effective addresses and operand sizes in 16-bit code.
        bits 16
        org 0x100
        mov ax, [bx]
        mov ax, [bx+si]
        mov ax, [bx+di+5]
        mov ax, [bp+si+500]
        mov ax, [bp+di-5]
        mov ax, [si]
        mov ax, [di]
        mov ax, [bp]
        mov ax, [bp+0]
        mov ax, [1234]
        mov cx, [1234]
        mov al, [lab]
        mov [lab], ax
        mov ax, [word bx+5]
        mov ax, [byte bx]
        mov ax, [dword 5]
        mov ax, [eax]
        mov eax, [ebx+ecx*4]
        mov eax, [bx]
        mov ax, [bx-128]
        mov ax, [bx-129]
        mov ax, [bx+0xffff]
        mov ax, [bx+65535-4]
        mov ax, [es:di]
        mov eax, 5
        mov ax, 5
        add ax, 5
        add eax, 5
        add ax, 500
        add ax, -1
        add ax, 0xfffb
        add eax, 0xfffffffb
        push 5
        push word 5
        push dword 5
        push 500
        push dword 500
        push eax
        push ax
        push ds
        push fs
        pop es
        pusha
        pushad
        pushaw
        popa
        pushf
        pushfd
        pushfw
        iret
        iretd
        iretw
        ret
        retf
        ret 5
        retf 6
        retn
        jmp lab
        jz lab
        jmp near lab
        jz near lab
        jmp dword lab
        call lab
        call dword lab
        call far [bx]
        call far dword [bx]
        jmp 0:lab
        jmp 0x10:0x1234
        jmp dword 8:lab
        loop lab
        loop lab, ecx
        loop lab, cx
        loope lab, ecx
        jcxz lab
        jecxz lab
        in al, 0x60
        in ax, dx
        in eax, 0x60
        out 0x20, al
        out dx, eax
        lgdt [lab]
        o32 lgdt [lab]
        lidt [cs:lab]
        mov eax, cr0
        mov cr0, eax
        mov ds, ax
        mov ax, ds
        mov eax, ds
        mov ds, eax
        mov [lab], ds
        mov es, [lab]
        movsb
        movsd
        rep movsw
        a32 rep movsd
        a32 lodsb
        o32 push 5
        o32 ret
        retfd
        retfw
        lea ax, [bx+5]
        lea eax, [bx+5]
        lea ax, [ebx+5]
        enter 16, 0
        leave
        les di, [bx]
        lds esi, [bx]
        bound ax, [bx]
        int 0x10
        int3
        int 3
        into
        aam
        aad
        aam 16
        lab: dw lab
        jmp lab
        jz lab
