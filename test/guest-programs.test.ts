import { describe, expect, it } from 'vitest';
import { outputMismatch } from './support/guest-header.js';
import { guestPrograms } from './support/guest-programs.js';
import { serialOutputUnderQemu } from './support/qemu.js';
import { hasTool, skipNote } from './support/tools.js';

const PROGRAMS = guestPrograms();

describe('headers of guest programs', () => {
  it.each(PROGRAMS)('$name says what it prints and how it leaves the guest', ({ header }) => {
    expect(header.output).not.toBe('');
    expect(header.exits.length).toBeGreaterThan(0);
  });
});

describe('expected output', () => {
  it.each([
    ['cycles: {1..3}\n', 'cycles: 3\n', true],
    ['cycles: {1..3}\n', 'cycles: 4\n', false],
    ['cycles: {}\n', 'cycles: 4\n', true],
    ['cycles: {}\n', 'cycles: \n', false],
    ['1 + 1 = 2', '1 + 1 = 2', true],
    ['1.1', '1+1', false],
    ['a', 'ab', false],
  ])('%j, and %j came: %s', (expected, actual, isMatch) => {
    expect(outputMismatch(expected, actual) === undefined).toBe(isMatch);
  });
});

const ORACLES = ['nasm', 'qemu-system-x86_64'];
describe.skipIf(!ORACLES.every(hasTool))(`guest programs under QEMU${skipNote(...ORACLES)}`, () => {
  // QEMU's own emulation (before 9.0) has no x2APIC. Its cycles are its own, so that ranges do not count.
  it.each(PROGRAMS.filter(({ header }) => header.needs.length === 0))(
    '$name prints the same',
    async ({ path, header }) => {
      const mismatch = (output: string): string | undefined => outputMismatch(header.output, output, false);
      const output = await serialOutputUnderQemu(path, (text) => mismatch(text) === undefined);
      expect(mismatch(output)).toBeUndefined();
    },
  );
});
