; Every operator, its precedence and its width.
        org 0x7c00
        bits 32
start:  dd 1+2*3, (1+2)*3, 7/2, -7/2, -7//2, 7 % 3, -7 % 3, -7 %% 3, 1<<31, -1>>28
        dd 1|6^3&5, ~0, !0, !5, -(-3), +4, 5-3-1, 2*3*4/5
        dd 1==1, 1=2, 1!=2, 1<>2, 3<2, 3<=3, 3>2, 3>=4, -1<0
        dd 1&&0, 1||0, 1^^1, 0||0, 2&&3, 1 ? 10 : 20, 0 ? 10 : 0 ? 20 : 30
        dd -1 >>> 4, 1 <<< 3
        dq -1 >> 1, 0x8000000000000000 >>> 63, 1<<63, 0xffffffffffffffff * 3
        dd $, $$, $-$$, $-start, end-start, here-$, $-here
here:   dd here, here+4, start, end
        dw end-here
        db end-$, $-$$
        dd (end-start)*2, (end-start) > 10, end > start, here == here
        mov eax, end-start
        add ecx, end-start
        mov eax, [end+4]
        mov eax, [end-start+ebx]
        cmp dword [here], here
        jmp $
        jmp $+2
        call here
        times 3 jmp $
        times 2 dd $, $-$$
        jmp $$+5
k equ 5
m equ k*2+later
later equ 7
n equ $-$$
        db k, m, later, n
        mov al, k
        add eax, m
        add eax, later<<8
        lea eax, [ebx+later]
        lea eax, [ebx+m*20]
        times k nop
        times (512-($-$$)) & 15 db 0xcc
end:
