; Sections of a flat binary keep the order of the source.
org 0x1000
section .foo
db 1
section .text
db 2
section .data
db 3
align 64, db 0
db 4
section .zeros
resb 5
section .late
db 5
section .bss
resb 3
section .bss2 nobits align=32
resb 7
alignb 64
section .ro align=8
db 6
 dd $$, x
section .bss2
x:
