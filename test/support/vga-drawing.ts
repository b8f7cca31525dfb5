/** Guest code that draws through the VGA's window, as firmware does: the window is mapped and unmapped all the time. */

/**
 * Writes a byte through the mapped window, looks at it through plane 1, writes plane 1, looks again, `rounds` times. R8D
 * holds the sum of what it saw.
 */
export const drawThroughWindow = (rounds: number): string => `
    mov edi, 0xa0000
    mov ebx, ${rounds}
    xor r8d, r8d
  .next:
    mov dx, 0x3c4
    mov ax, 0x0804
    out dx, ax
    mov [rdi + 1], bl
    mov ax, 0x0004
    out dx, ax
    mov ax, 0x0202
    out dx, ax
    mov dx, 0x3ce
    mov ax, 0x0104
    out dx, ax
    movzx ecx, byte [rdi]
    add r8d, ecx
    inc cl
    mov [rdi], cl
    mov dx, 0x3c4
    mov ax, 0x0804
    out dx, ax
    movzx ecx, byte [rdi + 1]
    add r8d, ecx
    mov ax, 0x0004
    out dx, ax
    dec ebx
    jnz .next
`;
