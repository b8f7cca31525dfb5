/** Flags read, written and undefined, row by row, beside what iced-x86 knows (SDM Vol. 1, Appendix A agrees). */

import { RflagsBits } from 'iced-x86';
import { describe, expect, it } from 'vitest';
import { RFLAGS } from '../../src/architecture/rflags.js';
import { ENCODINGS, type Encoding } from '../../src/instruction-set/index.js';
import { decodeWithIced, type IcedResult } from '../support/iced.js';
import { codeSizesOf, generateInstruction } from '../support/instruction-generator.js';
import { RandomSource } from '../support/random-source.js';

const FLAGS: readonly (readonly [string, number, RflagsBits])[] = [
  ['o', RFLAGS.OF, RflagsBits.OF],
  ['d', RFLAGS.DF, RflagsBits.DF],
  ['i', RFLAGS.IF, RflagsBits.IF],
  ['s', RFLAGS.SF, RflagsBits.SF],
  ['z', RFLAGS.ZF, RflagsBits.ZF],
  ['a', RFLAGS.AF, RflagsBits.AF],
  ['p', RFLAGS.PF, RflagsBits.PF],
  ['c', RFLAGS.CF, RflagsBits.CF],
];

const ours = (mask: number): string => FLAGS.map(([letter, bit]) => (mask & bit ? letter : '')).join('');
const theirs = (mask: number): string => FLAGS.map(([letter, , bit]) => (mask & bit ? letter : '')).join('');

const isCounted = (encoding: Encoding): boolean =>
  encoding.family === 'shift-rotate' && !encoding.operands.some((operand) => operand.text === '1');

function icedOf(encoding: Encoding, random: RandomSource): IcedResult {
  const codeSize = codeSizesOf(encoding)[0]!;
  return decodeWithIced(generateInstruction(encoding, codeSize, random), codeSize);
}

const describeFlags = (read: string, written: string, undefined_: string): string =>
  `r:${read} w:${written} u:${undefined_}`;

const rowFlags = (encoding: Encoding): string =>
  describeFlags(ours(encoding.flagsRead), ours(encoding.flagsWritten), ours(encoding.flagsUndefined));

const union = (...sets: string[]): string =>
  FLAGS.map(([letter]) => (sets.some((set) => set.includes(letter)) ? letter : '')).join('');

describe('flags of every row', () => {
  const random = new RandomSource(77);

  it('are those of iced-x86 where no count is involved', () => {
    const differences: string[] = [];
    for (const encoding of ENCODINGS) {
      if (isCounted(encoding) || encoding.repeat === 'repcc') continue;
      const iced = icedOf(encoding, random);
      const expected = describeFlags(
        theirs(iced.flagsRead),
        theirs(iced.flagsWritten),
        theirs(iced.flagsUndefined),
      );
      if (rowFlags(encoding) !== expected)
        differences.push(`${encoding.id} ${rowFlags(encoding)}, ${expected}`);
    }
    expect(differences).toEqual([
      // Vol. 3C, VMFUNC: no VMsucceed or VMfail; EPTP switching leaves the flags alone.
      'VMFUNC r: w: u:, r: w:oszapc u:',
    ]);
  });

  it('of shifts by CL add to iced-x86 that a count of zero lets the old flags through', () => {
    let rows = 0;
    for (const encoding of ENCODINGS) {
      if (!encoding.operands.some((operand) => operand.text === 'CL')) continue;
      const iced = icedOf(encoding, random);
      const changed = union(theirs(iced.flagsWritten), theirs(iced.flagsUndefined));
      const expected = describeFlags(
        union(theirs(iced.flagsRead), changed),
        theirs(iced.flagsWritten),
        theirs(iced.flagsUndefined),
      );
      expect(rowFlags(encoding), encoding.id).toBe(expected);
      rows++;
    }
    expect(rows).toBeGreaterThan(30);
  });

  it('of shifts by an immediate are those of shifts by CL', () => {
    for (const encoding of ENCODINGS) {
      if (!isCounted(encoding)) continue;
      const counterpart = ENCODINGS.find(
        (other) => other.mnemonic === encoding.mnemonic && other.operands.at(-1)?.text === 'CL',
      );
      expect(rowFlags(encoding), encoding.id).toBe(rowFlags(counterpart!));
    }
  });

  it('of CMPS and SCAS add that REP with a count of zero lets the old flags through', () => {
    const rows = ENCODINGS.filter((encoding) => encoding.repeat === 'repcc');
    expect(rows.length).toBe(8);
    for (const encoding of rows) {
      const iced = icedOf(encoding, random);
      const written = theirs(iced.flagsWritten);
      const expected = describeFlags(union(theirs(iced.flagsRead), written), written, '');
      expect(rowFlags(encoding), encoding.id).toBe(expected);
    }
  });
});
