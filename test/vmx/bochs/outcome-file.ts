/** The file of captured outcomes: per scenario and field the 64 letters in runs, `16- 48.`. */

import { fieldName } from '../../../src/architecture/vmx/vmcs-fields.js';
import { FLIPPED, SCENARIOS } from './cases.js';

/** What one line is about; `field` is undefined for the scenario without flips. */
export interface Line {
  readonly scenario: (typeof SCENARIOS)[number];
  readonly field: number | undefined;
  /** Bits that were flipped. */
  readonly mask: bigint;
}

/** In the order in which the ROM prints. */
export const LINES: readonly Line[] = SCENARIOS.flatMap((scenario) => [
  { scenario, field: undefined, mask: 1n },
  ...FLIPPED.map(([field, mask]) => ({ scenario, field, mask })),
]);

const toRuns = (letters: string): string =>
  [...letters.matchAll(/(.)\1*/g)].map(([run]) => `${run.length}${run[0]}`).join(' ');

const fromRuns = (runs: string): string =>
  runs
    .split(' ')
    .map((run) => run.slice(-1).repeat(Number(run.slice(0, -1))))
    .join('');

const HEADER = `Outcomes of VMLAUNCH under Bochs 2.7 (corei7_haswell_4770), one letter per flipped bit, from bit 0:
- entered, 7 and 8 VM-instruction error, G P N L VM-entry failure with qualification 0, 2, 3, 4, M MSR loading, . not asked.
Captured anew by: CAPTURE_BOCHS=1 npx vitest run test/vmx/bochs`;

/** @param letters in the order of `LINES` */
export function formatOutcomes(letters: readonly string[]): string {
  const lines = LINES.map((line, n) =>
    line.field === undefined
      ? `\n${line.scenario.name}: ${letters[n]}`
      : `${fieldName(line.field)} ${toRuns(letters[n]!)}`,
  );
  return `${HEADER}\n${lines.join('\n')}\n`;
}

/** Letters in the order of `LINES`. Throws when the file is not about these questions. */
export function parseOutcomes(text: string): string[] {
  const lines = text
    .split('\n')
    .slice(HEADER.split('\n').length)
    .filter((line) => line !== '');
  if (lines.length !== LINES.length) throw new Error('the outcomes were captured for other questions');
  return LINES.map((line, n) => {
    const [, name, letters] = /^(.*?)(?:: | (?=\d))(.*)$/.exec(lines[n]!)!;
    const expected = line.field === undefined ? line.scenario.name : fieldName(line.field);
    if (name !== expected) throw new Error(`the outcomes have ${name} for ${expected}`);
    return line.field === undefined ? letters! : fromRuns(letters!);
  });
}
