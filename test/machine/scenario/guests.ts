/** Small guests for scenarios, as assembly text. */

import { assemble } from '../../../src/assembler/index.js';
import type { GuestImage } from '../../../src/machine/guest-image.js';
import { readGuestImage } from '../../../src/machine/load-image.js';
import { LOAD_ADDRESS } from '../../../src/machine/memory-map.js';

export function guest(code: string): GuestImage {
  const result = assemble(`bits 64\ndefault rel\norg 0x${LOAD_ADDRESS.toString(16)}\n${code}\n`, {
    fileName: 'guest.asm',
  });
  if (!result.ok) throw new Error(result.diagnostics.map((d) => `${d.line}: ${d.message}`).join('\n'));
  return readGuestImage(result.image, 'flat');
}

/** Page that application processors start at. */
export const STARTUP_VECTOR = 0x90;

/**
 * Code of a boot processor that starts all others (x2APIC, broadcast) at the label `ap`, which must be position
 * independent and at most 256 bytes long. Uses RAX, RCX, RDX, RSI, RDI.
 */
export const START_OTHERS = `
    mov ecx, 0x1b
    rdmsr
    or eax, 0xc00
    wrmsr
    cld
    lea rsi, [ap]
    mov edi, 0x${STARTUP_VECTOR.toString(16)}000
    mov ecx, 256
    rep movsb
    mov ecx, 0x830
    xor edx, edx
    mov eax, 0xc4500
    wrmsr
    mov eax, 0x${(0xc4600 | STARTUP_VECTOR).toString(16)}
    wrmsr
`;
