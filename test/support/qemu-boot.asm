; Boots a flat guest image under QEMU (-kernel, multiboot 1) by the same contract as src/machine/boot-state.ts, so that
; QEMU can be asked for a second opinion on guest programs. IMAGE is defined on the command line.

        bits    32
LOAD    equ     0x300000
        org     LOAD

GUEST           equ 0x100000
STACK           equ 0x80000
TABLES          equ 0x10000             ; PML4, PDPT, four page directories

header: dd      0x1badb002, 0x00010000, -(0x1badb002 + 0x00010000)
        dd      header, LOAD, end, 0, start

start:  mov     al, 0xff                ; the firmware left its timer interrupt on
        out     0x21, al
        out     0xa1, al
        mov     esi, image
        mov     edi, GUEST
        mov     ecx, end - image
        rep movsb

        mov     edi, TABLES
        mov     ecx, 6 * 4096 / 4
        xor     eax, eax
        rep stosd
        mov     dword [TABLES], TABLES + 0x1000 + 3
%assign directory 0
%rep 4
        mov     dword [TABLES + 0x1000 + directory * 8], TABLES + 0x2000 + directory * 0x1000 + 3
%assign directory directory + 1
%endrep
        mov     edi, TABLES + 0x2000
        mov     eax, 0x83
.page:  mov     [edi], eax
        add     edi, 8
        add     eax, 0x200000
        jnc     .page

        mov     eax, 1 << 5
        mov     cr4, eax
        mov     eax, TABLES
        mov     cr3, eax
        mov     ecx, 0xc0000080
        rdmsr
        or      eax, 1 << 8
        wrmsr
        lgdt    [gdt_register]
        mov     eax, 0x80010033
        mov     cr0, eax
        jmp     0x08:long_mode

        bits    64
long_mode:
        mov     eax, 0x10
        mov     ds, eax
        mov     es, eax
        mov     ss, eax
        mov     fs, eax
        mov     gs, eax
        mov     esp, STACK
        mov     eax, GUEST
        jmp     rax

        align   8
gdt:    dq      0, 0x00af9b000000ffff, 0x00cf93000000ffff
gdt_register:
        dw      $ - gdt - 1
        dd      gdt

image:  incbin  IMAGE
end:
