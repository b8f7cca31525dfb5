import { describe, expect, it } from 'vitest';
import { createVm } from '../src/machine/create-vm.js';
import type { RunResult, VmRunLimits } from '../src/machine/virtual-machine.js';
import type { ExitRecord, TraceSink } from '../src/trace/events.js';
import { outputMismatch, satisfies } from './support/guest-header.js';
import { type GuestProgram, guestPrograms, optionsFor } from './support/guest-programs.js';
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

interface Observed {
  readonly output: string;
  readonly result: RunResult;
  readonly exits: readonly ExitRecord[];
}

/** Runs a program as users do, in one go or in slices, and keeps what its observers saw. */
function observe(program: GuestProgram, trace?: TraceSink, slice: VmRunLimits = {}): Observed {
  const exits: ExitRecord[] = [];
  const bytes: number[] = [];
  const vm = createVm({
    ...optionsFor(program),
    serialOutput: (byte) => bytes.push(byte),
    ...(trace === undefined ? {} : { trace: { ...trace, vmExit: (exit) => exits.push(exit) } }),
  });
  let result = vm.run(slice);
  while (result.end.reason === 'limit') result = vm.run(slice);
  return { output: Buffer.from(bytes).toString('latin1'), result, exits };
}

const remembered = new Map<GuestProgram, Observed>();
/** A run with its exits watched; made once for each program. */
function watched(program: GuestProgram): Observed {
  const observed = remembered.get(program) ?? observe(program, {});
  remembered.set(program, observed);
  return observed;
}

describe('guest programs under exitscope', () => {
  it.each(PROGRAMS)('$name does what its header says', (program) => {
    const { header } = program;
    const { output, result, exits } = watched(program);
    expect(outputMismatch(header.output, output)).toBeUndefined();
    expect(result.end).toEqual(
      header.exitCode === 0 ? { reason: 'halted' } : { reason: 'guest-exit', exitCode: header.exitCode },
    );
    for (const expected of header.exits) {
      const { reasonName, weight } = expected;
      const found = exits.filter(
        (exit) => exit.reasonName === reasonName && (weight === undefined || exit.weight === weight),
      );
      expect(satisfies(found.length, expected), `${found.length} exits ${reasonName}`).toBe(true);
    }
  });

  it.each(PROGRAMS)('$name accounts for every cycle', (program) => {
    const { result, exits } = watched(program);
    const total = result.stages.reduce((sum, { cycles }) => sum + cycles, 0);
    if (program.header.vcpus === 1) expect(total).toBe(result.cycles);
    else expect(total).toBeLessThanOrEqual(result.cycles * program.header.vcpus);
    expect(exits.map(({ sequence }) => sequence).sort((a, b) => a - b)).toEqual(
      exits.map((_, index) => index),
    );
    expect(exits).toHaveLength(result.statistics.exits);
    for (const exit of exits) {
      expect(exit.stages.reduce((sum, { cycles }) => sum + cycles, 0)).toBe(exit.cycles);
      expect(exit.stages[0]?.name).toBe('host acquires control');
      for (const { cycles, operations } of exit.stages)
        expect(operations.reduce((sum, operation) => sum + operation.cycles, 0)).toBe(cycles);
    }
  });

  it.each(PROGRAMS)('$name runs the same again, in slices or not, watched or not', (program) => {
    const first = observe(program);
    expect(observe(program, undefined, { instructions: 997, cycles: 1_000_003 })).toEqual(first);
    expect(watched(program).result).toEqual(first.result);
    const stepped = observe(program, { instruction: () => {} });
    expect([stepped.output, stepped.result]).toEqual([first.output, first.result]);
    expect(stepped.exits).toEqual(watched(program).exits);
  });

  it('times itself as the ledger does', () => {
    for (const name of ['eoi-xapic', 'eoi-x2apic']) {
      const { output, exits } = watched(PROGRAMS.find((program) => program.name === name)!);
      const perEoi = Number(/: (\d+)\n/.exec(output)![1]);
      const reason = name === 'eoi-xapic' ? 'APIC_ACCESS' : 'MSR_WRITE';
      const cycles = exits.filter(({ reasonName }) => reasonName === reason).map((exit) => exit.cycles);
      // The most frequent exit, and a few cycles of guest code around it.
      const median = cycles.sort((a, b) => a - b)[cycles.length >> 1]!;
      expect(perEoi - median).toBeGreaterThan(0);
      expect(perEoi - median).toBeLessThan(200);
    }
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
