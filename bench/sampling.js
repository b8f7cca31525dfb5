/** How thoroughly suites are measured, and how their progress is shown. */

import b from 'benny';

/** `--quick`: everything runs once, to see that it does. The figures are those of cold code, and mean nothing. */
export const QUICK = process.argv.includes('--quick');

/** `amount`, or in a quick run the little that shows that it works. */
export const work = (amount, little) => (QUICK ? little : amount);

/** What each suite begins with; the progress is for people at a terminal. */
export const sampling = () => [
  b.configure({
    cases: QUICK ? { minSamples: 1, initCount: 1, minTime: 0.001, maxTime: 0.001, delay: 0 } : {},
  }),
  ...(process.stdout.isTTY ? [b.cycle()] : []),
];
