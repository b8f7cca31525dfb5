; Sections of a flat binary with explicit places.
        bits 32
        org 0x100
        mov eax, a
        mov eax, b
        mov eax, c
        mov eax, d
        jmp b
section .a vstart=0x8000 align=16
a:      dd a, $$, b
        call b
section .b follows=.text align=8
b:      dd b, a
        jmp a
section .c start=0x200
c:      dd c
section .d vfollows=.a align=4
d:      dd d
section .e nobits vstart=0x9000
e:      resb 100
section .text
        mov eax, e
