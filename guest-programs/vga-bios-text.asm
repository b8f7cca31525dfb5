; Text in a graphics mode, drawn the way a VGA BIOS does it for a boot loader: for each character the four planes are
; reached through the window one way, where every access is an exit, then the window is made plain memory again. That
; maps and unmaps a memory slot for each character; with SRCU each change waits for grace periods of 10 ms, which made
; boot menus crawl until they were expedited.
;
; Can be defined before: TEXT.
;
;; needs: vga
;; expect-output: "drawn: HELLO\n"
;; expect-output: "read back through the mapped window: right\n"
;; expect-exit-code: 0
;; expect-exit: IO_INSTRUCTION >= 20 heavy
;; expect-exit: EPT_VIOLATION >= 40
;; expect-exit: HLT == 1

        bits    64
        org     0x100000

%include "include/serial.inc"

%ifndef TEXT
%define TEXT    "HELLO"
%endif

PORT_SEQUENCER  equ     0x3c4           ; index, data behind it: one 16-bit write does both
SEQUENCER_MAP_MASK      equ 2
SEQUENCER_MEMORY_MODE   equ 4
CHAIN_4         equ     1 << 3          ; the window is plain memory: byte n belongs to plane n & 3
PLANE_0_AND_2   equ     0b0101

WINDOW          equ     0xa0000
LINE_BYTES      equ     80              ; 640 points
LINES           equ     8               ; of a character

%macro  set_sequencer 2
        mov     edx, PORT_SEQUENCER
        mov     eax, %1 | (%2) << 8
        out     dx, ax
%endmacro

        set_sequencer SEQUENCER_MEMORY_MODE, CHAIN_4
        xor     ebx, ebx                ; column
.character:
        lea     rsi, [rel text]
        movzx   esi, byte [rsi + rbx]
        test    esi, esi
        jz      .drawn
        set_sequencer SEQUENCER_MEMORY_MODE, 0
        set_sequencer SEQUENCER_MAP_MASK, PLANE_0_AND_2
        lea     edi, [rbx + WINDOW]
        xor     ecx, ecx                ; line
.line:  call    glyph
        mov     [rdi], al
        add     edi, LINE_BYTES
        inc     ecx
        cmp     ecx, LINES
        jb      .line
        set_sequencer SEQUENCER_MEMORY_MODE, CHAIN_4
        inc     ebx
        jmp     .character
.drawn: print   "drawn: "
        lea     rsi, [rel text]
        call    print_string
        print   10

        ; Each point byte must be there in planes 0 and 2, and nothing in the others.
        print   "read back through the mapped window: "
        xor     ebx, ebx
.column:
        lea     rsi, [rel text]
        movzx   esi, byte [rsi + rbx]
        test    esi, esi
        jz      .right
        xor     ecx, ecx
        lea     edi, [rbx * 4 + WINDOW]
.check: call    glyph
        movzx   eax, al
        imul    eax, eax, 0x010001
        cmp     [rdi], eax
        jne     .wrong
        add     edi, LINE_BYTES * 4
        inc     ecx
        cmp     ecx, LINES
        jb      .check
        inc     ebx
        jmp     .column
.right: print   "right", 10
        finish
.wrong: print   "wrong", 10
        finish_with 1

; AL := line ECX of character ESI: no font, but a pattern that differs with both.
glyph:  lea     eax, [rsi + rsi * 4]
        xor     eax, ecx
        rol     al, cl
        ret

        section .data
text:   db      TEXT, 0
