; STRUC, ISTRUC, ABSOLUTE, alignment, local labels.
        bits 32
        org 0x1000
struc point
.x:     resd 1
.y:     resd 1
.tag:   resb 3
        alignb 4
.end:
endstruc
struc other, 8
o_a     resb 1
o_b:    resw 2
o_c:    resq 1
endstruc
        dd point.x, point.y, point.tag, point_size, other, o_a, o_b, o_c, other_size
first:
istruc point
at point.x, dd 5
at point.y, dd first
at point.tag, db 'ab'
iend
istruc other
at o_b
        dw 1, 2
at o_c, dq 7
iend
instance: istruc point
at point.y
        dd 9
iend
        mov eax, [ebx+point.y]
        mov eax, [first+point.y]
        mov eax, point_size
        cmp byte [esi+o_b], o_c
absolute 0x500
var_a:  resb 4
var_b:  resd 2
var_c:
section .text
        mov eax, [var_a]
        mov [var_b], eax
        dd var_c, var_c-var_a
        lea ebx, [var_b+ecx*4]
main:
.loop:  dec eax
        jnz .loop
        jmp .done
.done:  ret
other_function:
.loop:  dec ebx
        jnz .loop
        jmp main.done
        dd main.loop, .loop, other_function.loop
..@special: nop
.after: jmp .after
        dd other_function.after
        align 16
        nop
        align 4, db 0
        db 1
        align 8, db 0xcc
        align 8
        alignb 4
        db 1
        alignb 16
        align 32, int3
label_without_colon
        nop
$eax:   dd $eax
        mov eax, $eax
a_label nop
        times 2 db 0
