import { describe, expect, it } from 'vitest';
import { DEFAULT_ERA, ERAS, type Era } from '../src/kvm/policies.js';
import { createVm } from '../src/machine/create-vm.js';
import { outputMismatch } from './support/guest-header.js';
import { guestPrograms, optionsFor } from './support/guest-programs.js';

const PROGRAMS = guestPrograms();
const LATER_ERAS = (Object.keys(ERAS) as Era[]).filter((era) => era !== DEFAULT_ERA);
describe.each(LATER_ERAS)('guest programs in the era %s', (era) => {
  it.each(PROGRAMS)('$name prints the same but for its cycles', (program) => {
    const bytes: number[] = [];
    const vm = createVm({ ...optionsFor(program), era, serialOutput: (byte) => bytes.push(byte) });
    expect(vm.run({ instructions: 20_000_000 }).end.reason).not.toBe('limit');
    const output = Buffer.from(bytes).toString('latin1');
    expect(outputMismatch(program.header.output, output, false)).toBeUndefined();
  });
});
