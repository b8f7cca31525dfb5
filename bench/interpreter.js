/** Guest instructions per second on three loops that never leave the guest. */

import b from 'benny';
import { assemble, createVm, formatDiagnostic, readGuestImage } from '../dist/index.js';
import { sampling, work } from './sampling.js';

/** Guest instructions per measured call. */
const SLICE = work(2_000_000, 20_000);

/** Endless loops over 16 KiB of data at 2 MiB. */
const LOOPS = {
  'loads, ALU, branches': `
        mov     rsi, 0x200000
        xor     edi, edi
  next: mov     rax, [rsi + rdi * 8]
        xor     rbx, rax
        add     rcx, rbx
        rol     rcx, 7
        inc     rdi
        cmp     rdi, 2048
        jne     next
        xor     edi, edi
        jmp     next`,
  'calls, returns, stack': `
  next: mov     edi, 5
        call    sum
        add     rbx, rax
        jmp     next
  sum:  push    rbp
        mov     rbp, rsp
        push    rdi
        xor     eax, eax
        dec     rdi
        jz      last
        call    sum
  last: add     rax, [rbp - 8]
        pop     rdi
        pop     rbp
        ret`,
  'strings, memory to memory': `
        cld
  next: mov     esi, 0x200000
        mov     edi, 0x210000
        mov     ecx, 512
        rep     movsq
        mov     esi, 0x210000
        mov     ecx, 256
  each: movzx   eax, byte [rsi + rcx]
        add     [rsi + rcx * 2], al
        lodsb
        dec     ecx
        jnz     each
        jmp     next`,
};

function machineFor(source) {
  const { ok, image, diagnostics } = assemble(`bits 64\norg 0x100000\n${source}\n`, { fileName: 'loop.asm' });
  if (!ok) throw new Error(diagnostics.map(formatDiagnostic).join('\n'));
  return createVm({ image: readGuestImage(image) });
}

function measured(name, source) {
  return b.add(name, () => {
    const machine = machineFor(source);
    let executed = 0;
    return () => {
      const { instructions, end } = machine.run({ instructions: SLICE });
      if (end.reason !== 'limit' || instructions <= executed)
        throw new Error(`${name}: the guest stands still`);
      executed = instructions;
    };
  });
}

export const interpreter = () =>
  b.suite(
    'interpreter tier',
    ...sampling(),
    ...Object.entries(LOOPS).map(([name, source]) => measured(name, source)),
    b.complete(({ results }) => {
      // The median of a case's samples: other load on the machine pulls means, not medians.
      for (const { name, details } of results)
        console.log(`${name}: ${(SLICE / details.median / 1e6).toFixed(1)} million guest instructions/s`);
    }),
  );
