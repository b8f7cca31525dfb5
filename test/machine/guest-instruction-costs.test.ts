import { describe, expect, it } from 'vitest';
import { ENCODINGS } from '../../src/instruction-set/index.js';
import { guestInstructionCycles } from '../../src/machine/guest-instruction-costs.js';

describe('cost of guest instructions', () => {
  it('is a whole number of at least one cycle for every encoding', () => {
    for (const encoding of ENCODINGS) {
      const cycles = guestInstructionCycles(encoding);
      expect(Number.isInteger(cycles) && cycles >= 1, encoding.id).toBe(true);
    }
  });

  it.each([
    ['MOV_CRn_r64', 75],
    ['MOV_r64_CRn', 20],
    ['RDTSC', 24],
    ['WRMSR', 175],
    ['CLI', 4],
    ['NOP', 1],
    ['IRETQ', 120],
  ])('of %s is %d', (id, cycles) => {
    const encoding = ENCODINGS.find((row) => row.id === id);
    expect(encoding, id).toBeDefined();
    expect(guestInstructionCycles(encoding!)).toBe(cycles);
  });
});
