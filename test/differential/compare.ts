/** What differs between two outcomes, in words. */

import { REGISTER_NAMES } from '../../src/architecture/registers.js';
import { RFLAGS } from '../../src/architecture/rflags.js';
import { exceptionName } from '../../src/architecture/vectors.js';
import type { Outcome, TestCase } from './test-case.js';
import { initialState, TESTED_FLAGS } from './test-case.js';

const FLAG_NAMES = ['CF', 'PF', 'AF', 'ZF', 'SF', 'DF', 'OF'] as const;

const hex = (value: bigint | number): string => value.toString(16);

const faultOf = ({ vector, errorCode, cr2 }: Outcome): string =>
  vector === undefined ? 'none' : `${exceptionName(vector)}(${hex(errorCode)}) cr2 ${hex(cr2)}`;

/**
 * Differences of `actual` against `expected`, empty when there are none.
 * @param undefinedFlags flags that are not compared
 */
export function differences(expected: Outcome, actual: Outcome, undefinedFlags: number): string[] {
  const found: string[] = [];
  const note = (what: string, want: string, got: string): void => {
    if (want !== got) found.push(`${what}: expected ${want}, got ${got}`);
  };
  note('fault', faultOf(expected), faultOf(actual));
  note('rip', hex(expected.rip), hex(actual.rip));
  for (const [register, name] of REGISTER_NAMES.gpr64.entries())
    note(name, hex(expected.registers[register]!), hex(actual.registers[register]!));
  for (const name of FLAG_NAMES) {
    const flag = RFLAGS[name] & TESTED_FLAGS & ~undefinedFlags;
    note(name, hex(expected.rflags & flag && 1), hex(actual.rflags & flag && 1));
  }
  for (const [offset, byte] of expected.window.entries())
    note(`window+${hex(offset)}`, hex(byte), hex(actual.window[offset]!));
  return found;
}

/** The case in one line, for messages. */
export function describeCase(testCase: TestCase): string {
  const { registers, rflags } = initialState(testCase);
  const values = REGISTER_NAMES.gpr64.map((name, register) => `${name}=${hex(registers[register]!)}`);
  return `${Buffer.from(testCase.code).toString('hex')} flags=${hex(rflags)} ${values.join(' ')}`;
}
