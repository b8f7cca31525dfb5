/** Guests that take many interrupts, assembled with the library of the guest programs, and what became of them. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  assemble,
  createVm,
  type ExitRecord,
  type RunResult,
  readGuestImage,
  type VmOptions,
} from '../../../src/index.js';
import { GUEST_PROGRAMS } from '../../support/guest-programs.js';

const PRELUDE = `
        bits    64
        org     0x100000
%include "include/interrupts.inc"
%include "include/apic.inc"
%include "include/serial.inc"
MSR_PV_EOI      equ 0x4b564d04
MSR_TSC_DEADLINE equ 0x6e0
`;

/** How a guest ends its interrupts: definitions of the macros \`begin\` and \`end_interrupt\` and of \`write_apic\`. */
export const ENDS_OF_INTERRUPT = {
  xAPIC: `
%macro  begin 0
        enable_xapic
%endmacro
%macro  write_apic 2
        mov     dword [rdi + %1], %2
%endmacro
%macro  end_interrupt 0
        mov     dword [rdi + APIC_EOI], 0
%endmacro`,
  x2APIC: `
%macro  begin 0
        enable_x2apic
%endmacro
%macro  write_apic 2
        mov     ecx, 0x800 + (%1 >> 4)
        mov     eax, %2
        xor     edx, edx
        wrmsr
%endmacro
%macro  end_interrupt 0
        write_apic APIC_EOI, 0
%endmacro`,
  'PV EOI': `
%macro  begin 0
        enable_x2apic
        write_msr MSR_PV_EOI, pv_flag + 1
        jmp     %%go
        align   4
pv_flag: dd     0
%%go:
%endmacro
%macro  write_apic 2
        mov     ecx, 0x800 + (%1 >> 4)
        mov     eax, %2
        xor     edx, edx
        wrmsr
%endmacro
%macro  end_interrupt 0
        btr     dword [rel pv_flag], 0
        jc      %%done
        write_apic APIC_EOI, 0
%%done:
%endmacro`,
} as const;
export type EndOfInterrupt = keyof typeof ENDS_OF_INTERRUPT;

/**
 * Takes four interrupts of the serial port through the I/O APIC, level triggered on vector 0x44, and sends an `x` in
 * each but the last. Leaves with 4.
 */
export const SERIAL_THROUGH_IO_APIC = `
        set_gate 0x44, serial
        load_idt
        begin
        mov     al, 0xff                ; the 8259s stay out of it
        out     0x21, al
        out     0xa1, al
        mov     esi, 0xfec00000
        mov     dword [rsi], 0x10 + 2 * 4
        mov     dword [rsi + 0x10], 0x8044
        xor     ebx, ebx
        mov     edx, 0x3fc
        mov     al, 8
        out     dx, al
        mov     edx, 0x3f9
        mov     al, 2
        out     dx, al
.wait:  sti
        hlt
        cli
        cmp     ebx, 4
        jb      .wait
        finish_with bl
serial: inc     ebx
        mov     edx, 0x3fa
        in      al, dx
        mov     edx, 0x3f8
        mov     al, 'x'
        cmp     ebx, 4
        je      .last
        out     dx, al
.last:  end_interrupt
        iretq`;

/** Counts in EBX what comes to it, and ends it. */
export const countingHandler = (label: string): string => `
${`${label}:`.padEnd(8)}push    rax
        push    rcx
        push    rdx
        inc     ebx
        end_interrupt
        pop     rdx
        pop     rcx
        pop     rax
        iretq`;

export interface InterruptRun {
  readonly result: RunResult;
  readonly output: string;
  /** VM entries are as many as exits. */
  readonly exits: readonly ExitRecord[];
  count(reasonName: string): number;
}

/** Runs a guest to its end. */
export function runInterruptGuest(
  code: string,
  options: Omit<VmOptions, 'image'> & { end?: EndOfInterrupt; cycles?: number } = {},
): InterruptRun {
  const { end = 'xAPIC', cycles, ...vmOptions } = options;
  const assembled = assemble(PRELUDE + ENDS_OF_INTERRUPT[end] + code, {
    fileName: 'guest.asm',
    readFile: (path) => readFileSync(join(GUEST_PROGRAMS, path)),
  });
  if (!assembled.ok) throw new Error(assembled.diagnostics.map((d) => `${d.line}: ${d.message}`).join('\n'));
  let output = '';
  const exits: ExitRecord[] = [];
  const vm = createVm({
    ...vmOptions,
    image: readGuestImage(assembled.image),
    trace: { vmExit: (record) => exits.push(record) },
    serialOutput: (byte) => {
      output += String.fromCharCode(byte);
    },
  });
  const result = vm.run({ instructions: 200_000_000, ...(cycles === undefined ? {} : { cycles }) });
  return {
    result,
    output,
    exits,
    count: (name) => exits.filter(({ reasonName }) => reasonName === name).length,
  };
}
