; The local APIC by either face: starting the other virtual CPUs, and sleeping until a timer's interrupt comes.

XAPIC           equ     0xfee00000

; %1 = offset of a register in the page; EAX = value.
%macro  write_apic 1
        cmp     dword [x2apic], 0
        jne     %%x2apic
        mov     edx, XAPIC
        mov     [rdx + %1], eax
        jmp     %%done
%%x2apic:
        mov     ecx, 0x800 + %1 / 16
        xor     edx, edx
        wrmsr
%%done:
%endmacro

; %1 = vector, %2 = handler
%macro  set_gate 2
        mov     eax, %2
        lea     rdi, [idt + %1 * 16]
        mov     [rdi], ax
        mov     word [rdi + 2], cs
        mov     word [rdi + 4], 0x8e00
        shr     eax, 16
        mov     [rdi + 6], ax
%endmacro

prepare_apic:
        cmp     dword [x2apic], 0
        je      .face_chosen
        mov     ecx, 0x1b
        rdmsr
        or      eax, 0xc00
        wrmsr
.face_chosen:
        mov     eax, 0x1ff
        write_apic 0xf0
        mov     eax, 0x40
        write_apic 0x320
        mov     eax, 0xb
        write_apic 0x3e0
        cmp     dword [pv_eoi], 0
        je      .done
        lea     rax, [r15 + PV_EOI + 1]
        xor     edx, edx
        mov     ecx, 0x4b564d04
        wrmsr
.done:  ret

start_others:
        cld
        lea     rsi, [application_processor]
        mov     edi, STARTUP_PAGE
        mov     ecx, application_processor_end - application_processor
        rep movsb
        mov     eax, 0xc4500
        write_apic 0x300
        mov     eax, 0xc4600 | STARTUP_PAGE >> 12
        write_apic 0x300
        ret

sleep:  mov     dword [r15 + TICK], 0
        call    random
        and     eax, 0xfff
        add     eax, 100
        write_apic 0x380
.wait:  sti
        hlt
        cli
        cmp     dword [r15 + TICK], 0
        je      .wait
        ret

timer_interrupt:
        push    rax
        push    rcx
        push    rdx
        mov     dword [r15 + TICK], 1
        btr     dword [r15 + PV_EOI], 0
        jc      .ended
        xor     eax, eax
        write_apic 0xb0
.ended: pop     rdx
        pop     rcx
        pop     rax
        iretq
