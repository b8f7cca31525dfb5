/** VM exits per second with nobody watching: light ones (EOIs through the x2APIC) and heavy ones (OUT to user space). */

import b from 'benny';
import { createVm, guestLoader } from '../dist/index.js';
import { sampling, work } from './sampling.js';

/** The loops of the lab's experiment `throughput`, for longer than anybody waits. */
const guest = guestLoader(() => undefined);
const COUNT = '0x7fffffff';

/** `instructions`: from one exit to the next, which counts as one of them. */
const CASES = [
  {
    name: 'light: EOI through the x2APIC',
    program: 'many-eois',
    exits: work(100_000, 1_000),
    instructions: 3,
  },
  {
    name: 'heavy: OUT to user space',
    program: 'many-port-writes',
    exits: work(50_000, 500),
    instructions: 3,
  },
];

/** Runs until there were about so many more exits. */
const run = ({ name, program, exits, instructions }) =>
  b.add(name, () => {
    const machine = createVm({ image: guest(program, { COUNT }) });
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
