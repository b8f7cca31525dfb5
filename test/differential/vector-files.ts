/** The committed vectors, and running them against a driver. */

import { join } from 'node:path';
import { DecodeStatus, decode } from '../../src/decoder/index.js';
import { type Encoding, Instruction } from '../../src/instruction-set/index.js';
import type { InstructionDriver } from '../support/instruction-driver.js';
import { describeCase, differences } from './compare.js';
import type { TestCase } from './test-case.js';
import { readVectors, type Vector } from './vectors.js';

const FOLDER = join(import.meta.dirname, 'vectors');

export const readIntegerVectors = () => readVectors(join(FOLDER, 'integer.txt.gz'));
export const readIntegerVectors32 = () => readVectors(join(FOLDER, 'integer-32-bit.txt.gz'));
export const readSequenceVectors = () => readVectors(join(FOLDER, 'sequences.txt.gz'));

/** The encodings of the instructions in a straight piece of code. */
export function encodingsOf({ code, codeSize }: Pick<TestCase, 'code' | 'codeSize'>): Encoding[] {
  const encodings: Encoding[] = [];
  const instruction = new Instruction();
  for (let offset = 0; offset < code.length; offset += instruction.length) {
    if (decode(code, offset, code.length, codeSize, instruction) !== DecodeStatus.OK)
      throw new Error(`can't decode ${Buffer.from(code).toString('hex')} at ${offset}`);
    encodings.push(instruction.encoding);
  }
  return encodings;
}

/** One message per vector whose outcome is another, with the row, the case and the differences. */
export function failures(driver: InstructionDriver, vectors: readonly Vector[], limit = 20): string[] {
  const messages: string[] = [];
  for (const { testCase, outcome } of vectors) {
    const encodings = encodingsOf(testCase);
    const found = differences(outcome, driver.run(testCase), undefinedFlagsOf(encodings));
    if (found.length > 0)
      messages.push(
        `${encodings.map(({ id }) => id).join(' ')}: ${found.join('; ')}\n  ${describeCase(testCase)}`,
      );
    if (messages.length >= limit) break;
  }
  return messages;
}

/** Flags left undefined by an instruction and not defined by a later one. */
function undefinedFlagsOf(encodings: readonly Encoding[]): number {
  return encodings.reduce((flags, encoding) => (flags & ~encoding.flagsWritten) | encoding.flagsUndefined, 0);
}
