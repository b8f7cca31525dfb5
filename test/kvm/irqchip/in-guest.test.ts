/** Devices, interrupt controllers and emulator as a real guest uses them, under VT-x: assembled, run, output compared. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { assemble, createVm, type RunResult, readGuestImage } from '../../../src/index.js';
import { GUEST_PROGRAMS } from '../../support/guest-programs.js';

const PRELUDE = `
        bits    64
        org     0x100000
%include "include/interrupts.inc"
%include "include/apic.inc"
%include "include/serial.inc"
%macro  outb 2
        mov     al, %2
        out     %1, al
%endmacro
; Vectors 0x20 and 0x28, all but the pins in %1 (master) and %2 (slave) masked.
%macro  initialize_pic 2
        outb    0x20, 0x11
        outb    0x21, 0x20
        outb    0x21, 4
        outb    0x21, 1
        outb    0xa0, 0x11
        outb    0xa1, 0x28
        outb    0xa1, 2
        outb    0xa1, 1
        outb    0x21, ~(%1) & 0xff
        outb    0xa1, ~(%2) & 0xff
%endmacro
`;

function run(code: string): { result: RunResult; output: string } {
  const assembled = assemble(PRELUDE + code, {
    fileName: 'guest.asm',
    readFile: (path) => readFileSync(join(GUEST_PROGRAMS, path)),
  });
  if (!assembled.ok) throw new Error(assembled.diagnostics.map((d) => `${d.line}: ${d.message}`).join('\n'));
  let output = '';
  const vm = createVm({
    image: readGuestImage(assembled.image),
    serialOutput: (byte) => {
      output += String.fromCharCode(byte);
    },
  });
  return { result: vm.run({ instructions: 5_000_000 }), output };
}

describe('string port instructions', () => {
  it('send a string through the serial port in user space', () => {
    const { result, output } = run(`
        lea     rsi, [rel text]
        mov     ecx, text_end - text
        mov     edx, 0x3f8
        rep     outsb
        finish_with 5
text:   db      "all of it, in one go", 10
text_end:`);
    expect(output).toBe('all of it, in one go\n');
    expect(result.end).toEqual({ reason: 'guest-exit', exitCode: 11 });
    // One exit for the string, one for the end.
    expect(result.statistics.ioExits).toBe(2);
  });

  it('read from an in-kernel device into memory', () => {
    const { result } = run(`
        outb    0x21, 0x5a
        lea     rdi, [rel buffer]
        mov     ecx, 3
        mov     edx, 0x21
        rep     insb
        mov     al, [rel buffer + 2]
        out     PORT_DEBUG_EXIT, al
buffer: times 3 db 0`);
    expect(result.end).toEqual({ reason: 'guest-exit', exitCode: 0xb5 });
    expect(result.statistics.ioExits).toBe(1);
  });
});

describe('interrupts', () => {
  it('of the PIT come through the 8259 and wake a halted guest', () => {
    const { result, output } = run(`
        set_gate 0x20, tick
        load_idt
        initialize_pic 1, 0
        outb    0x43, 0x34
        outb    0x40, 0xa9
        outb    0x40, 0x04
        xor     ebx, ebx
.wait:  sti
        hlt
        cli
        cmp     ebx, 3
        jb      .wait
        print   "three ticks", 10
        finish
tick:   inc     ebx
        push    rax
        outb    0x20, 0x20
        pop     rax
        iretq`);
    expect(output).toBe('three ticks\n');
    expect(result.statistics.haltExits).toBe(4);
    // Three periods of 1 ms, and the time to print.
    const milliseconds = (result.cycles / result.clockInHertz) * 1000;
    expect(milliseconds).toBeGreaterThan(3);
    expect(milliseconds).toBeLessThan(3.5);
  });

  it('of the serial port come through the I/O APIC, level triggered, with EOI', () => {
    const { result, output } = run(`
        set_gate 0x44, serial
        load_idt
        enable_xapic
        initialize_pic 0, 0
        mov     esi, 0xfec00000
        mov     dword [rsi], 0x10 + 2 * 4
        mov     dword [rsi + 0x10], 0x8044
        xor     ebx, ebx
        mov     edx, 0x3f8 + 4
        mov     al, 8                   ; OUT2
        out     dx, al
        mov     edx, 0x3f8 + 1
        mov     al, 2                   ; transmitter empty: interrupts at once
        out     dx, al
.wait:  sti
        hlt
        cli
        cmp     ebx, 4
        jb      .wait
        finish_with bl
serial: inc     ebx
        mov     edx, 0x3f8 + 2
        in      al, dx                  ; takes the interrupt back
        mov     edx, 0x3f8
        mov     al, 'x'
        cmp     ebx, 4
        je      .last
        out     dx, al                  ; and sending raises it again
.last:  mov     dword [rdi + APIC_EOI], 0
        iretq`);
    expect(output).toBe('xxx');
    expect(result.end).toEqual({ reason: 'guest-exit', exitCode: 9 });
  });

  it('wait behind the task priority, until CR8 lets them in', () => {
    const { result, output } = run(`
        set_gate 0x52, handler
        load_idt
        enable_xapic
        mov     eax, 5
        mov     cr8, rax
        mov     dword [rdi + 0x310], 0
        mov     dword [rdi + 0x300], 0x44052     ; to itself
        sti
        nop
        print   "before", 10
        mov     eax, 4
        mov     cr8, rax
        nop
        print   "after", 10
        mov     rax, cr8
        out     PORT_DEBUG_EXIT, al
handler:
        print   "interrupt", 10
        mov     dword [rdi + APIC_EOI], 0
        iretq`);
    expect(output).toBe('before\ninterrupt\nafter\n');
    expect(result.end).toEqual({ reason: 'guest-exit', exitCode: 9 });
  });
});

describe('MMIO', () => {
  it('read-modify-write, exchange, zero extension and strings on the APIC and on nothing', () => {
    const { result, output } = run(`
%macro  check 2
        cmp     %1, %2
        jne     failed
%endmacro
        enable_xapic
        mov     dword [rdi + APIC_TPR], 0x10
        mov     eax, 0x21
        add     [rdi + APIC_TPR], eax
        check   dword [rdi + APIC_TPR], 0x31
        mov     eax, 0x45
        xchg    eax, [rdi + APIC_TPR]
        check   eax, 0x31
        movzx   eax, byte [rdi + APIC_TPR]
        check   eax, 0x45
        mov     eax, -1
        bts     dword [rdi + APIC_TPR], 3
        jc      failed
        check   dword [rdi + APIC_TPR], 0x4d
        neg     dword [rdi + APIC_TPR]
        jnc     failed
        check   byte [rdi + APIC_TPR], 0xb3
        push    qword [rdi + 0x30]
        pop     rax
        ; Nothing is at 0xd0000000: all ones from user space, in any size.
        mov     esi, 0xd0000000
        check   qword [rsi], -1
        movsx   rax, word [rsi + 0xfff]
        check   rax, -1
        lea     rdi, [rel buffer]
        mov     ecx, 5
        rep     movsw
        check   word [rdi - 2], -1
        check   word [rdi], 0
        mov     edi, 0xd0000000
        xor     eax, eax
        mov     ecx, 3
        rep     stosd
        check   edi, 0xd000000c
        finish_with 1
failed: finish_with 2
buffer: times 12 db 0`);
    expect(output).toBe('');
    expect(result.end).toEqual({ reason: 'guest-exit', exitCode: 3 });
    expect(result.statistics.mmioExits).toBeGreaterThanOrEqual(1 + 2 + 5 + 3);
  });
});
