/** VM exits per second with nobody watching: light ones (EOIs through the x2APIC) and heavy ones (OUT to user space). */

import b from 'benny';
import { assemble, createVm, readGuestImage } from '../dist/index.js';
import { sampling, work } from './sampling.js';

/** Three guest instructions, one exit. */
const LIGHT = `
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

/** Two guest instructions, one exit; 0x3ff belongs to no device. */
const HEAVY = `
        bits    64
        org     0x100000
        mov     dx, 0x3ff
  next: out     dx, al
        jmp     next`;

/** `instructions`: from one exit to the next, which counts as one of them. */
const CASES = [
  { name: 'light: EOI through the x2APIC', source: LIGHT, exits: work(100_000, 1_000), instructions: 3 },
  { name: 'heavy: OUT to user space', source: HEAVY, exits: work(50_000, 500), instructions: 2 },
];

/** Runs until there were about so many more exits. */
const run = ({ name, source, exits, instructions }) =>
  b.add(name, () => {
    const machine = createVm({ image: readGuestImage(assemble(source, { fileName: 'loop.asm' }).image) });
    let before = 0;
    return () => {
      const { statistics } = machine.run({ instructions: instructions * exits });
      if (statistics.exits - before < exits * 0.9) throw new Error('there were too few exits');
      before = statistics.exits;
    };
  });

export const exits = () =>
  b.suite(
    'exits',
    ...sampling(),
    ...CASES.map(run),
    b.complete(({ results }) => {
      // The median of a case's samples: other load on the machine pulls means, not medians.
      for (const [number, { details }] of results.entries())
        console.log(
          `${CASES[number].name}: ${Math.round(CASES[number].exits / details.median).toLocaleString('en-US')} exits/s`,
        );
    }),
  );
