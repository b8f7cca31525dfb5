import { describe, expect, it } from 'vitest';
import { ERAS, type Era, IMPLEMENTED, type Policies } from '../../src/kvm/policies.js';
import { createScenario, type Scenario } from '../../src/machine/scenario/scenario.js';
import type { ScenarioOptions } from '../../src/machine/scenario/scenario-options.js';
import type { ScenarioResult } from '../../src/machine/scenario/scenario-result.js';
import { guest } from '../machine/scenario/guests.js';
import { fpuTasks } from './fpu-tasks.js';

const MEMORY = 4 * 2 ** 20;

const run = (
  code: string,
  rest: Partial<ScenarioOptions>,
): { scenario: Scenario; result: ScenarioResult } => {
  const scenario = createScenario({ vms: [{ image: guest(code), memoryBytes: MEMORY }], ...rest });
  return { scenario, result: scenario.run({ untilCycles: 100_000_000 }) };
};

const COMBINATIONS = IMPLEMENTED.taskSwitchedFlag.flatMap((taskSwitchedFlag) =>
  IMPLEMENTED.hostFpu.map((hostFpu) => ({ taskSwitchedFlag, hostFpu })),
);
const REST: Partial<Policies>[] = IMPLEMENTED.hostCr0.flatMap((hostCr0) =>
  IMPLEMENTED.syscallMsrs.map((syscallMsrs) => ({ hostCr0, syscallMsrs })),
);
const SUCCESS = { reason: 'guest-exit', exitCode: 1 };

/** The guest ends with a failure when a task meets another's values; each return to user mode checks the host's. */
describe.each(COMBINATIONS)('four FPU tasks of a guest, $taskSwitchedFlag, $hostFpu', (policies) => {
  it.each(REST)('keep their values beside others that use the FPU ($hostCr0, $syscallMsrs)', (rest) => {
    const { result } = run(fpuTasks(20, 7), {
      policies: { ...policies, ...rest },
      timeSliceInCycles: 30_000,
      processes: [
        { name: 'number cruncher', cpu: 0, usesFpu: true, period: 70_000, duration: 9_000 },
        { name: 'editor', cpu: 0, period: 110_000, duration: 5_000 },
      ],
      kernelThreads: [{ name: 'vhost', cpu: 0, period: 50_000, duration: 3_000 }],
    });
    expect(result.vms[0]!.end).toEqual(SUCCESS);
    expect(result.vms[0]!.statistics.hostStateReload).toBeGreaterThan(10);
  });
});

describe('two guests with four FPU tasks each on one CPU', () => {
  it.each(Object.keys(ERAS) as Era[])('keep their values, %s', (era) => {
    const image = guest(fpuTasks(40, 9));
    const scenario = createScenario({
      era,
      vms: [0, 1].map(() => ({ image, memoryBytes: MEMORY, placement: [0] })),
      timeSliceInCycles: 25_000,
      processes: [{ name: 'number cruncher', cpu: 0, usesFpu: true, period: 70_000, duration: 9_000 }],
    });
    const result = scenario.run({ untilCycles: 200_000_000 });
    for (const { end } of result.vms) expect(end).toEqual(SUCCESS);
  });

  it('keep their values while they move between CPUs', () => {
    for (const hostFpu of IMPLEMENTED.hostFpu) {
      const image = guest(fpuTasks(40, 9));
      const scenario = createScenario({
        policies: { hostFpu, taskSwitchedFlag: 'guest-owned', syscallMsrs: 'shared' },
        topology: { sockets: 1, coresPerSocket: 2 },
        vms: [0, 1].map((cpu) => ({ image, memoryBytes: MEMORY, placement: [cpu] })),
        timeSliceInCycles: 25_000,
        processes: [{ name: 'number cruncher', cpu: 0, usesFpu: true, period: 70_000, duration: 9_000 }],
        migrations: [1, 2, 3, 4, 5, 6].flatMap((turn) => [
          { vm: 0, vcpu: 0, at: turn * 150_000, toCpu: turn & 1 },
          { vm: 1, vcpu: 0, at: turn * 210_000, toCpu: turn & 1 },
        ]),
      });
      const result = scenario.run({ untilCycles: 200_000_000 });
      for (const { end } of result.vms) expect(end).toEqual(SUCCESS);
    }
  });
});

describe('a guest that uses its FPU between heavy exits', () => {
  const EXCEPTION = 0;
  const HEAVY_EXITS = 300;
  const exceptions = (taskSwitchedFlag: Policies['taskSwitchedFlag'], usesFpu: boolean): number => {
    const { result } = run(
      `mov ebx, ${HEAVY_EXITS}
      again: ${usesFpu ? 'fninit' : 'nop'}
      out 0xb0, al
      dec ebx
      jnz again
      fninit
      xor eax, eax
      out 0xf4, al`,
      { policies: { taskSwitchedFlag, hostFpu: 'unlazy-as-intended' } },
    );
    expect(result.vms[0]!.end).toEqual(SUCCESS);
    return result.vms[0]!.vcpus[0]!.exitsByReason.get(EXCEPTION) ?? 0;
  };

  it('pays #NM after each of them, or few with the count of uses', () => {
    expect(exceptions('guest-owned', true)).toBe(HEAVY_EXITS + 1);
    // Four to become a frequent user, and again when the count starts over after 256.
    expect(exceptions('guest-owned-counted', true)).toBe(4 + 1 + 5);
  });

  it('pays once if it uses it only at the end', () => {
    for (const flag of ['guest-owned', 'guest-owned-counted'] as const)
      expect(exceptions(flag, false)).toBe(1);
  });
});

describe('exits of four FPU tasks', () => {
  const CR_ACCESS = 28;
  const EXCEPTION = 0;
  const SWITCHES = 4 * 40;
  /** No heavy exits but the last. */
  const exits = (policies: Partial<Policies>): [controlRegister: number, exception: number] => {
    const { result } = run(fpuTasks(40, 41), { policies });
    expect(result.vms[0]!.end).toEqual(SUCCESS);
    const { exitsByReason } = result.vms[0]!.vcpus[0]!;
    return [exitsByReason.get(CR_ACCESS) ?? 0, exitsByReason.get(EXCEPTION) ?? 0];
  };

  it('trapped: MOV to CR0, #NM and CLTS at each switch', () => {
    const [controlRegister, exception] = exits({});
    expect(exception).toBeGreaterThanOrEqual(SWITCHES);
    expect(controlRegister).toBeGreaterThanOrEqual(2 * SWITCHES);
  });

  it('guest-owned: none once the guest has its FPU', () => {
    const [controlRegister, exception] = exits({ taskSwitchedFlag: 'guest-owned' });
    expect(controlRegister).toBeLessThanOrEqual(2);
    expect(exception).toBeLessThanOrEqual(1);
  });

  it('eager: none, for any use of the flag', () => {
    expect(exits({ taskSwitchedFlag: 'guest-owned', hostFpu: 'eager' })).toEqual([0, 0]);
  });
});
