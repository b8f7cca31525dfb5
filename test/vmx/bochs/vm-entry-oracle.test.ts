/** VM-entry checks against Bochs: the same single-bit corruptions of valid VMCSs, the same outcomes. */

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { fieldName } from '../../../src/architecture/vmx/vmcs-fields.js';
import { askBochs, bochsNote } from './bochs.js';
import { SCENARIOS } from './cases.js';
import { KNOWN_DIFFERENCES, type KnownDifference } from './known-differences.js';
import { createAsk } from './our-outcomes.js';
import { formatOutcomes, LINES, parseOutcomes } from './outcome-file.js';

const FILE = join(import.meta.dirname, 'vm-entry-outcomes.txt');
const capturing = process.env.CAPTURE_BOCHS !== undefined;
const note = bochsNote();

function explanation(line: (typeof LINES)[number], bit: number, bochs: string, ours: string) {
  return KNOWN_DIFFERENCES.find(
    (d) =>
      d.field === line.field &&
      ((d.bits >> BigInt(bit)) & 1n) !== 0n &&
      d.bochs === bochs &&
      d.ours === ours &&
      (d.scenarios === undefined || d.scenarios.test(line.scenario.name)),
  );
}

describe('VM entry and Bochs', () => {
  it.skipIf(note !== '')(`Bochs answers as captured${note}`, { timeout: 180_000 }, () => {
    const letters = askBochs();
    expect(letters.length).toBe(LINES.length);
    if (capturing) writeFileSync(FILE, formatOutcomes(letters));
    expect(formatOutcomes(letters)).toBe(readFileSync(FILE, 'utf8'));
  });

  const captured = capturing ? [] : parseOutcomes(readFileSync(FILE, 'utf8'));
  const ask = createAsk();
  const used = new Set<KnownDifference>();
  let questions = 0;

  for (const scenario of SCENARIOS)
    it(`agree on every bit of every field: ${scenario.name}`, () => {
      const unexplained: string[] = [];
      for (const [n, line] of LINES.entries()) {
        if (line.scenario !== scenario) continue;
        for (let bit = 0; bit < 64; bit++) {
          if (((line.mask >> BigInt(bit)) & 1n) === 0n) continue;
          questions++;
          const { letter, reason } = ask(scenario, line.field ?? 0, line.field === undefined ? 64 : bit);
          const bochs = captured[n]![bit]!;
          if (letter === bochs) continue;
          const known = explanation(line, bit, bochs, letter);
          if (known !== undefined) used.add(known);
          else
            unexplained.push(
              `${line.field === undefined ? 'unflipped' : fieldName(line.field)} bit ${bit}: Bochs ${bochs}, ours ${letter} ${reason}`,
            );
        }
      }
      expect(unexplained).toEqual([]);
    });

  it('asked tens of thousands of questions, and every known difference occurs', () => {
    expect(questions).toBeGreaterThan(70_000);
    expect(KNOWN_DIFFERENCES.filter((d) => !used.has(d)).map((d) => d.why)).toEqual([]);
  });
});
