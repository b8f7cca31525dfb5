; Sections of a flat binary: order, alignment, addresses.
        bits 64
        org 0x7c00
start:  mov eax, [value]
        mov rbx, message
        lea rcx, [rel message]
        call helper
        jmp other
        mov edx, bss_start
        mov edx, bss_b
        dd end_data - data_start
        dq $$, helper, other, constant
section .data
data_start:
value:  dd 5, value, start
message: db 'hello', 0
end_data:
section .bss
bss_start: resb 5
        alignb 8
bss_b:  resq 2
section .rodata align=16
constant: dq value, bss_b
section .code2 align=32
helper: ret
        jmp start
segment .data
more:   dd more
section .text
        nop
section .code2
other:  call start
        jz start
        mov eax, [rel value]
        mov eax, [rel bss_b]
        mov dword [rel bss_b], 5
        mov byte [rel bss_b], 5
        add word [rel bss_b], 500
section .data
        db 1
section .bss
last:   resb 1
section .tail
        dd last, more, $$, $
        dw start
