; A relocatable object: every kind of relocation and symbol.
        global start, data_symbol:data (data_symbol.end - data_symbol), function:function hidden
        global constant
        extern outside, other_outside
        common shared 16:8
        default rel
section .text
start:  mov rax, data_symbol
        mov eax, data_symbol
        mov rax, dword data_symbol
        mov eax, [data_symbol]
        mov eax, [data_symbol+8]
        mov eax, [abs data_symbol]
        mov eax, [rbx+data_symbol]
        mov dword [rel data_symbol], 0x12345678
        mov byte [rel data_symbol+4], 1
        lea rdi, [outside]
        call outside
        call outside+4
        jmp other_outside
        jz outside
        call function
        call in_other
        jmp start
        mov rax, [shared]
        mov rax, shared+8
        mov eax, [bss_symbol]
        push data_symbol
        add rax, data_symbol
.local: jmp .local
function:
        ret
.end:
constant equ 0x55
private equ 5
section .data
data_symbol: dq start, outside, data_symbol, data_symbol+5, shared
.end:
        dd start, outside-$, start-$, $-data_symbol, in_other
        dq start-$, outside-$, 5
        dw 5
        align 32, db 0
        db 'text'
section .rodata
        dq bss_symbol
section .bss
bss_symbol: resq 4
        alignb 64
section .other exec align=8
in_other: ret
        call start
section .note.GNU-stack noalloc noexec nowrite progbits
section .custom write nobits align=32
        resb 100
