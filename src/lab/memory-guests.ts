/** Guests of the experiments about memory slots and about writes that need no answer. */

/** A loop of `count` writes with some work between two of them. */
const ringing = (address: string, write: string): string => `
        mov     edi, ${address}
        mov     edx, edi
        mov     ecx, 64
.next:  ${write}
        mov     ebx, 5000
.work:  dec     ebx
        jnz     .work
        dec     ecx
        jnz     .next`;

export const MEMORY_GUESTS: Readonly<Record<string, string>> = {
  /**
   * Touches 16 pages in each of SLOTS slots, 1 MiB apart from 1 GiB on, in an order without order: 1009 has no factor in
   * common with their number. With BOOT it touches pages of RAM above 2 MiB instead, 49 times out of 50.
   */
  slots: `
PAGES   equ     SLOTS * 16
%ifdef BOOT
TOUCHES equ     1500
%else
TOUCHES equ     PAGES
%endif
        mov     esi, PAGES
        xor     ecx, ecx
.next:  mov     eax, ecx
%ifdef BOOT
        mov     edi, 50
        xor     edx, edx
        div     edi
        test    edx, edx
        jz      .slot
        mov     eax, ecx
        shl     eax, 12
        add     eax, 0x200000
        jmp     .touch
%endif
.slot:  imul    eax, eax, 1009
        xor     edx, edx
        div     esi
        mov     eax, edx
        shr     eax, 4
        shl     eax, 20
        and     edx, 15
        shl     edx, 12
        lea     eax, [rax + rdx + 0x40000000]
.touch: mov     eax, [rax]
        inc     ecx
        cmp     ecx, TOUCHES
        jb      .next`,

  'doorbell-port': ringing('0x1000', 'out     dx, eax'),
  'doorbell-memory': ringing('0xd0000000', 'mov     [rdi], eax'),

  /** Writes to the four planes at once: the window is not mapped, since they are not chained. */
  'draw-planes': `
        mov     edi, 0xa0000
        mov     ecx, 1000
.next:  mov     [rdi], cl
        inc     edi
        dec     ecx
        jnz     .next
        mov     al, [rdi]`,
};
