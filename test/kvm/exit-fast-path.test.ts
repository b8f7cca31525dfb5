/** The exit fast path: what is handled on it, what is not, and what that saves. */

import { describe, expect, it } from 'vitest';
import { ERAS, type Era, type ExitRecord, type Policies } from '../../src/index.js';
import { countingHandler, type EndOfInterrupt, runInterruptGuest } from './irqchip/interrupt-guest.js';

/** Sends itself interrupts by physical destination, by shorthand and by logical destination. */
const SELF = `
        set_gate 0x45, ping
        load_idt
        begin
        xor     ebx, ebx
        sti
        mov     ecx, 0x830
        xor     edx, edx
        mov     eax, 0x4045             ; physical, APIC ID 0
        wrmsr
        nop
        mov     ecx, 0x830
        mov     eax, 0x44045            ; shorthand
        wrmsr
        nop
        mov     ecx, 0x830
        mov     edx, 1
        mov     eax, 0x4845             ; logical
        wrmsr
        nop
        mov     ecx, 0x830
        mov     edx, 7                  ; nobody
        mov     eax, 0x4045
        wrmsr
        nop
        finish_with bl
${countingHandler('ping')}`;

const run = (policies: Partial<Policies>, era?: Era, end: EndOfInterrupt = 'x2APIC') =>
  runInterruptGuest(SELF, { end, policies, ...(era === undefined ? {} : { era }) });

const onFastPath = ({ actions }: ExitRecord): boolean => actions.includes('handled on the fast path');

describe('the exit fast path', () => {
  it('handles interrupt commands to one APIC ID only', () => {
    const full = run({});
    const fast = run({ exitDispatch: 'fast-path' });
    for (const { result } of [full, fast]) expect(result.end).toEqual({ reason: 'guest-exit', exitCode: 7 });
    expect(full.exits.filter(onFastPath)).toHaveLength(0);
    const handled = fast.exits.filter(onFastPath);
    expect(handled).toHaveLength(2);
    // Dispatch, handler, MSR list: the rest of the loop follows all the same.
    const first = full.exits.findIndex(({ rip }) => rip === handled[0]!.rip);
    expect(full.exits[first]!.cycles - handled[0]!.cycles).toBeGreaterThan(50);
    expect(full.exits.map(({ reasonName }) => reasonName)).toEqual(
      fast.exits.map(({ reasonName }) => reasonName),
    );
  });
});

describe('interrupts', () => {
  it.each(Object.keys(ERAS) as Era[])('have the same effects in era %s', (era) => {
    for (const end of ['x2APIC', 'PV EOI'] as const) {
      const policies: Partial<Policies> = end === 'PV EOI' ? { pvEoi: 'on' } : {};
      expect(run(policies, era, end).result.end).toEqual({ reason: 'guest-exit', exitCode: 7 });
    }
  });
});
