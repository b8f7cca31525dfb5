/** Guests with several processors, all of which do the same. */

/**
 * The boot processor starts the others: INIT, then a start-up message that names the page 0x90000
 * (`src/machine/boot-state.ts`), where they find a jump to `code`. Each comes there with its APIC ID in EDI and its local
 * APIC in x2APIC mode.
 */
const onAllProcessors = (code: string): string => `
%define X2APIC
%include "include/apic.inc"
        mov     word [0x90000], 0xb848  ; mov rax, start; jmp rax
        lea     rax, [rel start]
        mov     [0x90002], rax
        mov     word [0x9000a], 0xe0ff
        enable_x2apic
        send_ipi 0, IPI_ALL_BUT_SELF | IPI_ASSERT | IPI_INIT
        send_ipi 0, IPI_ALL_BUT_SELF | IPI_ASSERT | IPI_STARTUP | 0x90
        xor     edi, edi
start:  enable_x2apic
${code}`;

export const SMP_GUESTS: Readonly<Record<string, string>> = {
  /**
   * Every processor writes to a device in the kernel as fast as it can: ends of interrupt to its own local APIC, or, with
   * SHARED defined, a mask to the interrupt controller, of which there is one. Between two writes it counts to a number
   * below 256 that is different each time, so that processors do not go in step.
   */
  hammer: onAllProcessors(`
%ifndef WRITES
%define WRITES 1000
%endif
        imul    ebp, edi, 0x9e3779b1    ; the APIC ID, spread out
        mov     ebx, WRITES
.next:  imul    ebp, ebp, 1664525
        add     ebp, 1013904223
        mov     esi, ebp
        shr     esi, 24
.work:  dec     esi
        jns     .work
%ifdef SHARED
        mov     al, 0xff
        out     0x21, al
%else
        apic_write APIC_EOI, 0
%endif
        dec     ebx
        jnz     .next`),

  /** Every processor takes interrupts of vector 0x40, ends them, and computes in between, without an end. */
  'many-interrupts': onAllProcessors(`
%include "include/interrupts.inc"
        lea     eax, [rdi + 1]
        shl     eax, 10
        lea     rsp, [rax + 0x60000]
        set_gate 0x40, interrupt
        load_idt
        sti
.work:  imul    ebp, ebp, 1664525
        jmp     .work
interrupt:
        push    rax
        push    rcx
        push    rdx
        end_of_interrupt
        pop     rdx
        pop     rcx
        pop     rax
        iretq`),
};
