/** Light exits per second with nobody watching: an endless loop of EOIs through the x2APIC. */

import b from 'benny';
import { assemble, createVm, readGuestImage } from '../dist/index.js';
import { sampling, work } from './sampling.js';

/** Three guest instructions, one exit. */
const SOURCE = `
        bits    64
        org     0x100000
        mov     ecx, 0x1b
        rdmsr
        or      eax, 0xc00
        wrmsr
        mov     ecx, 0x80b
        xor     eax, eax
        xor     edx, edx
  next: wrmsr
        inc     rbx
        jmp     next`;
const SLICE = work(300_000, 3_000);

export const lightExit = () =>
  b.suite(
    'light exits',
    ...sampling(),
    b.add('EOI through the x2APIC', () => {
      const machine = createVm({ image: readGuestImage(assemble(SOURCE, { fileName: 'eoi.asm' }).image) });
      let exits = 0;
      return () => {
        const { statistics } = machine.run({ instructions: SLICE });
        if (statistics.exits - exits < SLICE / 4) throw new Error('there were too few exits');
        exits = statistics.exits;
      };
    }),
    b.complete(({ results: [{ details }] }) => {
      // The median of a case's samples: other load on the machine pulls means, not medians.
      console.log(`${Math.round(SLICE / 3 / details.median).toLocaleString('en-US')} light exits/s`);
    }),
  );
