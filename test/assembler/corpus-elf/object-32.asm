; A relocatable 32-bit object.
        global main
        extern printf
section .text
main:   push message
        call printf
        add esp, 4
        mov eax, [value]
        mov [value+4], eax
        mov eax, [ebx+value]
        jmp main
        jmp other
        jz printf
        mov ax, value
.loop:  loop .loop
        ret
section .data
message: db 'hello', 10, 0
value:  dd 5, main, printf, value-$, printf-$
        dw main
section .bss
buffer: resb 64
section .text.cold
other:  jmp main
        mov eax, buffer
