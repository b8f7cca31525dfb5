; Every reason to leave the guest that the hypervisor layer knows, one after the other, with a word on what came of it.
; Whether an instruction exits depends on controls that the hypervisor chose, and on the era; what the guest sees of it
; must not. Read it beside `exitscope trace`.
;
;; needs: kvm
;; expect-output: "CPUID: the host says KVMKVMKVM\n"
;; expect-output: "RDTSC: no exit\n"
;; expect-output: "INVLPG: no exit with nested paging\n"
;; expect-output: "CLTS, MOV to CR0, LMSW: TS is 1\n"
;; expect-output: "#NM: the guest's own\n"
;; expect-output: "MOV to CR4 and back: right\n"
;; expect-output: "MOV to CR3: no exit with nested paging\n"
;; expect-output: "MOV to DR0 and back: 0x1234\n"
;; expect-output: "IN, OUT, INSB, OUTSB: 0xff\n"
;; expect-output: "RDMSR, WRMSR of EFER: 0xd01\n"
;; expect-output: "RDMSR of what does not exist: #GP\n"
;; expect-output: "VMCALL: 0xfffffffffffffc18\n"
;; expect-output: "WBINVD: nothing to see\n"
;; expect-output: "RDPMC: #GP\n"
;; expect-output: "MONITOR: #UD\n"
;; expect-output: "MWAIT: #UD\n"
;; expect-output: "XSETBV: #UD\n"
;; expect-output: "VMREAD: #UD\n"
;; expect-output: "UD2: #UD\n"
;; expect-output: "memory where there is nothing: 0xffffffff\n"
;; expect-output: "interrupt to itself, interrupts off: taken after STI\n"
;; expect-output: "task priority lowered: interrupt taken\n"
;; expect-output: "timer while running: interrupt taken\n"
;; expect-output: "timer while halted: woken\n"
;; expect-exit-code: 0
;; expect-exit: CPUID == 1 light
;; expect-exit: CR_ACCESS >= 4 light
;; expect-exit: EXCEPTION_NMI >= 2
;; expect-exit: DR_ACCESS >= 2 light
;; expect-exit: IO_INSTRUCTION >= 4 heavy
;; expect-exit: IO_INSTRUCTION >= 2 light
;; expect-exit: MSR_READ >= 2
;; expect-exit: MSR_WRITE >= 1
;; expect-exit: VMCALL == 1 light
;; expect-exit: WBINVD == 1 light
;; expect-exit: VMREAD == 1
;; expect-exit: EPT_VIOLATION >= 2
;; expect-exit: APIC_ACCESS >= 5
;; expect-exit: INTERRUPT_WINDOW >= 1
;; expect-exit: TPR_BELOW_THRESHOLD >= 1
;; expect-exit: EXTERNAL_INTERRUPT >= 1
;; expect-exit: HLT == 2

        bits    64
        org     0x100000

%include "include/apic.inc"
%include "include/interrupts.inc"
%include "include/kvm.inc"
%include "include/paging.inc"
%include "include/serial.inc"

VECTOR_TIMER    equ     0x40
VECTOR_SELF     equ     0x41
PERIOD          equ     10000           ; in ticks of the APIC's bus clock
MSR_NONE        equ     0x12345678
NOWHERE         equ     0xd0000000      ; in the hole for devices, and none is there

; Handlers of faults find here where to go on.
%define recovery r12
%define interrupts_taken ebp

; Prints "text: ", then what became of instruction %2: "#UD" or "#GP", or that it went through.
%macro  try 2+
        print   %1, ": "
        lea     recovery, [rel %%after]
        %2
        print   "no exception"
%%after:
        print   10
%endmacro

        set_gate VECTOR_UD, invalid_opcode
        set_gate VECTOR_NM, device_not_available
        set_gate VECTOR_GP, general_protection
        set_gate VECTOR_TIMER, interrupt
        set_gate VECTOR_SELF, interrupt
        load_idt

        print   "CPUID: the host says "
        mov     eax, CPUID_HYPERVISOR
        cpuid
        mov     [rel signature], ebx
        mov     [rel signature + 4], ecx
        mov     [rel signature + 8], edx
        lea     rsi, [rel signature]
        call    print_string
        print   10

        rdtsc
        print   "RDTSC: no exit", 10
        invlpg  [rel signature]
        print   "INVLPG: no exit with nested paging", 10

        print   "CLTS, MOV to CR0, LMSW: TS is "
        clts
        mov     rax, cr0
        or      eax, CR0_TS
        mov     cr0, rax
        clts
        smsw    eax
        or      eax, CR0_TS
        lmsw    ax
        mov     rax, cr0
        shr     eax, 3
        and     eax, 1
        call    print_decimal
        print   10
        fninit                          ; faults, the handler clears TS, and it is executed again

        print   "MOV to CR4 and back: "
        mov     rax, cr4
        mov     rbx, rax
        or      eax, CR4_OSFXSR
        mov     cr4, rax
        mov     rcx, cr4
        cmp     rcx, rax
        jne     .failed
        mov     cr4, rbx
        print   "right", 10
        mov     rax, cr3
        mov     cr3, rax
        print   "MOV to CR3: no exit with nested paging", 10

        print   "MOV to DR0 and back: "
        mov     eax, 0x1234
        mov     dr0, rax
        xor     eax, eax
        mov     rax, dr0
        call    print_hexadecimal
        print   10

        print   "IN, OUT, INSB, OUTSB: "
        in      al, PORT_PIC1_DATA      ; in the kernel
        mov     al, 0xff
        out     PORT_PIC1_DATA, al
        mov     edx, PORT_NOBODY        ; in user space
        lea     rdi, [rel signature]
        cld
        insb
        mov     ecx, 3
        lea     rsi, [rel signature]
        rep outsb
        in      al, dx
        out     dx, al
        movzx   eax, byte [rel signature]
        call    print_hexadecimal
        print   10

        print   "RDMSR, WRMSR of EFER: "
        mov     ecx, MSR_EFER
        rdmsr
        or      eax, EFER_SCE | 1 << 11
        wrmsr
        rdmsr
        call    print_hexadecimal
        print   10
        mov     ecx, MSR_NONE
        try     "RDMSR of what does not exist", rdmsr

        print   "VMCALL: "
        mov     eax, MSR_NONE           ; no hypercall has this number
        vmcall
        call    print_hexadecimal
        print   10
        wbinvd
        print   "WBINVD: nothing to see", 10

        xor     ecx, ecx
        xor     edx, edx
        try     "RDPMC", rdpmc
        mov     eax, LOAD
        try     "MONITOR", monitor
        try     "MWAIT", mwait
        try     "XSETBV", xsetbv
        try     "VMREAD", vmread rax, rcx
        try     "UD2", ud2

        print   "memory where there is nothing: "
        map     FAR_PAGE, NOWHERE, PAGE_WRITABLE | PAGE_UNCACHED
        mov     rax, FAR_PAGE
        mov     eax, [rax]
        call    print_hexadecimal
        print   10

        xor     interrupts_taken, interrupts_taken
        enable_apic
        print   "interrupt to itself, interrupts off: "
        send_ipi 0, IPI_SELF | IPI_ASSERT | VECTOR_SELF
        mov     ebx, interrupts_taken   ; none yet
        sti
        nop
        cli
        lea     ebx, [rbx + rbx + 1]
        cmp     interrupts_taken, ebx
        jne     .failed
        print   "taken after STI", 10

        print   "task priority lowered: "
        mov     eax, VECTOR_SELF >> 4
        mov     cr8, rax
        sti
        send_ipi 0, IPI_SELF | IPI_ASSERT | VECTOR_SELF
        mov     ebx, interrupts_taken   ; held back
        xor     eax, eax
        mov     cr8, rax
        nop
        cli
        cmp     ebx, 1
        jne     .failed
        cmp     interrupts_taken, 2
        jne     .failed
        print   "interrupt taken", 10

        print   "timer while running: "
        apic_write APIC_TIMER_DIVIDE, APIC_DIVIDE_BY_1
        apic_write APIC_LVT_TIMER, VECTOR_TIMER
        apic_write APIC_TIMER_INITIAL, PERIOD
        sti
.run:   pause
        cmp     interrupts_taken, 3
        jb      .run
        cli
        print   "interrupt taken", 10

        print   "timer while halted: "
        apic_write APIC_TIMER_INITIAL, PERIOD
        sti
        hlt
        cli
        cmp     interrupts_taken, 4
        jne     .failed
        print   "woken", 10
        finish
.failed:
        print   "wrong", 10
        finish_with 1

invalid_opcode:
        print   "#UD"
        mov     [rsp], recovery
        iretq

general_protection:
        print   "#GP"
        add     rsp, 8                  ; error code
        mov     [rsp], recovery
        iretq

device_not_available:
        print   "#NM: the guest's own", 10
        clts
        iretq

interrupt:
        push    rax
        push    rcx
        push    rdx
        inc     interrupts_taken
        end_of_interrupt
        pop     rdx
        pop     rcx
        pop     rax
        iretq

LOAD            equ     0x100000        ; any address
FAR_PAGE        equ     0x7f0000000000  ; any page that the loader has not mapped

        section .data
signature:
        times   13 db 0
