; Two windows of guest-physical memory that user space maps to pages of this VM's RAM on request. Each page holds a value
; that names the VM and the page; while nothing is mapped all ones are read.

WINDOWS         equ     0x800000        ; the second one a megabyte further
WINDOW_SHIFT    equ     20
PAGES           equ     0x160000        ; four for the first window, four for the second
NOTHING         equ     -1

window: cmp     dword [r15 + CPU_NUMBER], 0
        jne     look_through_windows
        call    random
        test    eax, eax
        js      look_through_windows
        and     eax, 7
        mov     r12d, eax
        out     0xb1, al                ; map the page
        mov     ecx, eax
        shr     ecx, 2
        shl     ecx, WINDOW_SHIFT
        add     ecx, WINDOWS
        mov     edx, [vm_number]
        shl     edx, 8
        lea     ebx, [rdx + r12 + 0x40000000]
        mov     eax, FAIL_WINDOW
        cmp     [rcx], ebx
        jne     fail
        call    random
        mov     [rcx + 8], eax
        mov     ebx, eax
        mov     edx, r12d
        shl     edx, 12
        mov     eax, FAIL_WINDOW_BACKING
        cmp     [rdx + PAGES + 8], ebx
        jne     fail
        mov     eax, r12d
        out     0xb2, al                ; the pages that were mapped before are free now
        ret

look_through_windows:
        mov     ecx, WINDOWS
        xor     r8d, r8d
.next:  mov     ebx, [rcx]
        cmp     ebx, NOTHING
        je      .right
        mov     edx, [vm_number]
        shl     edx, 8
        lea     edx, [rdx + r8 + 0x40000000]
        xor     ebx, edx
        test    ebx, ~3
        mov     eax, FAIL_WINDOW_ELSEWHERE
        jne     fail
.right: add     ecx, 1 << WINDOW_SHIFT
        add     r8d, 4
        cmp     r8d, 8
        jb      .next
        ret
