; Branch sizes that depend on each other.
        bits 64
start:  jmp l1
        times 120 nop
        jz l1
l1:     jmp l2
        times 126 nop
l2:     jmp start
        jnz start
        jmp l3
        times 127 nop
l3:     call l2
        loop l3
        jmp near l3
        jmp short l3
        jz near l3
        jmp strict l3
%assign i 0
%rep 40
aa%+i: jmp bb%+i
        times 20+i nop
        jz cc%+i
        times 50 db 0x90
bb%+i: jnz aa%+i
cc%+i: jc next %+ i
        times 74 nop
next %+ i:
%assign i i+1
%endrep
%assign i 0
%rep 60
        jmp dd_%+i
%assign i i+1
%endrep
%assign i 59
%rep 60
dd_%+i: nop
        nop
%assign i i-1
%endrep
        times 5+far_label-near_label db 1
near_label: jmp far_label
        times 100 nop
far_label:
        align 16
        jmp start
        bits 32
x1:     jmp x2
        times 124 nop
        add eax, x2-x1
        push x2-x1
x2:     jz x1
        bits 16
y1:     jmp y2
        times 125 nop
y2:     jz y1
        jmp y1
        jmp x1
