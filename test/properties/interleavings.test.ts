/** Everything at once: all values right, all cycles charged on the CPU where they passed, the same run twice the same. */

import { describe, expect, it } from 'vitest';
import type { LedgerAccount } from '../../src/host/ledger.js';
import { IMPLEMENTED, type Mechanism, type Policies } from '../../src/kvm/policies.js';
import type { Scenario } from '../../src/machine/scenario/scenario.js';
import { RandomSource } from '../support/random-source.js';
import { type Arrangement, anyArrangement } from './support/arrangement.js';
import { complaintAbout, forAll, PROPERTY_TIMEOUT, skipCalls, TOTAL_RUNS } from './support/property.js';
import { type ArrangementRun, expectAllRight, runArrangement } from './support/run-arrangement.js';
import { ACTIONS } from './support/verifier.js';

const MECHANISMS = Object.keys(IMPLEMENTED) as Mechanism[];
/** Runs after which a pair of alternatives that was never met would be strange. */
const MANY_RUNS = 2000;

/** Pairs of alternatives of different mechanisms that some VM had together. */
class PairsMet {
  private readonly pairs = new Set<string>();

  add(policies: Policies): void {
    for (const [index, first] of MECHANISMS.entries())
      for (const second of MECHANISMS.slice(index + 1))
        this.pairs.add(`${first}=${policies[first]} ${second}=${policies[second]}`);
  }

  get missing(): string[] {
    return MECHANISMS.flatMap((first, index) =>
      MECHANISMS.slice(index + 1).flatMap((second) =>
        IMPLEMENTED[first].flatMap((a) => IMPLEMENTED[second].map((b) => `${first}=${a} ${second}=${b}`)),
      ),
    ).filter((pair) => !this.pairs.has(pair));
  }
}

/** Adds up what is charged while the code of each CPU runs. */
function countCharges({ host }: Scenario): { verify(): void } {
  const { scheduler } = host;
  const before = host.cpus.map(({ cpu }) => cpu.elapsed);
  const charged = host.cpus.map(() => 0);
  const watch = (account: LedgerAccount): LedgerAccount => {
    const add = account.add.bind(account);
    account.add = (operation, times, cycles) => {
      charged[scheduler.executingCpu.cpu.number]! += cycles;
      add(operation, times, cycles);
    };
    const charge = account.charge.bind(account);
    account.charge = (operation, times) => {
      const { cpu } = scheduler.executingCpu;
      charged[cpu.number]! += cpu.costOf(operation) * times;
      charge(operation, times);
    };
    return account;
  };
  for (const account of host.ledger.accounts) watch(account);
  const { ledger } = host;
  const open = ledger.open.bind(ledger);
  ledger.open = (name) => watch(open(name));
  return {
    verify: () => {
      expect(charged).toEqual(host.cpus.map(({ cpu }, number) => cpu.elapsed - before[number]!));
      host.verifyLedger();
    },
  };
}

/** All that a run shows. */
const summary = ({ scenario, result }: ArrangementRun): unknown => [
  result,
  scenario.host.ledger.accounts.map((account) => [...account.entries()]),
];

describe('interleavings', () => {
  it(
    'leave every value right and every cycle charged',
    () => {
      const pairs = new PairsMet();
      forAll(0.15, anyArrangement(ACTIONS), (arrangement) => {
        let charges: ReturnType<typeof countCharges> | undefined;
        const run = runArrangement(arrangement, {
          prepare: (scenario) => {
            charges = countCharges(scenario);
          },
        });
        expectAllRight(run);
        charges!.verify();
        for (const { kvmVm } of run.scenario.vms) pairs.add(kvmVm.vm.policies);
      });
      if (TOTAL_RUNS >= MANY_RUNS) expect(pairs.missing).toEqual([]);
    },
    PROPERTY_TIMEOUT,
  );

  it(
    'come out the same twice, and when somebody looks on',
    () => {
      forAll(0.05, anyArrangement(ACTIONS), (arrangement) => {
        const expected = summary(runArrangement(arrangement));
        expect(summary(runArrangement(arrangement))).toEqual(expected);
        let exits = 0;
        const watched = runArrangement(arrangement, {
          trace: {
            vmExit: () => {
              exits++;
            },
          },
        });
        expect(summary(watched)).toEqual(expected);
        expect(exits).toBeGreaterThan(0);
      });
    },
    PROPERTY_TIMEOUT,
  );
});

/** All but how often a charge was made: where the simulation is interrupted, one becomes two. */
const cyclesOf = ({ scenario, result }: ArrangementRun): unknown => [
  result,
  scenario.host.ledger.accounts.map((account) =>
    [...account.entries()].map(({ reason, stage, operation, cycles }) => [reason, stage, operation, cycles]),
  ),
];

it(
  'come out the same wherever they are interrupted',
  () => {
    const random = new RandomSource(11);
    forAll(0.1, anyArrangement(ACTIONS), (arrangement) => {
      const expected = cyclesOf(runArrangement(arrangement));
      const slice = () => ({ cycles: 1 + random.below(20_000), instructions: 1 + random.below(5000) });
      expect(cyclesOf(runArrangement(arrangement, { slice }))).toEqual(expected);
    });
  },
  PROPERTY_TIMEOUT,
);

/** Two guests that do everything, beside a kernel thread and a process, and move between two CPUs. */
const everybody = (policies: Partial<Policies>, hostFpu: Policies['hostFpu']): Arrangement => ({
  sockets: 1,
  coresPerSocket: 2,
  timeSlice: 30_000,
  hostFpu,
  vms: [1, 2].map((seed) => ({
    seed,
    rounds: 25,
    lazyFpu: seed === 2,
    x2apic: true,
    actions: ACTIONS,
    cpus: [0],
    policies: { ...policies, slotsProtection: seed === 1 ? 'rwsem' : 'srcu-expedited' },
  })),
  kernelThreads: [{ cpu: 0, period: 150_000, duration: 3_000 }],
  processes: [{ cpu: 0, period: 120_000, duration: 5_000, usesFpu: true }],
  migrations: [200_000, 400_000, 600_000].flatMap((at, turn) =>
    [0, 1].map((vm) => ({ vm, vcpu: 0, at: at + vm * 30_000, toCpu: 1 - (turn % 2) })),
  ),
  signals: [{ vm: 0, at: 300_000 }],
});

it('notices a charge that is not made', () => {
  const arrangement: Arrangement = { ...everybody({}, 'unconditional'), migrations: [], signals: [] };
  const complaint = complaintAbout(arrangement, ({ vms }) => {
    let charges = 0;
    skipCalls(vms[0]!.threads[0]!.account, 'charge', () => ++charges === 100);
  });
  expect(complaint).toMatch(/LedgerError/);
});

const SWITCHING = ['syscallMsrs', 'taskSwitchedFlag', 'hostFpu', 'hostCr0', 'userSegments'] as const;

/** Every combination of the policies that switch state. */
const combinations = SWITCHING.reduce<Partial<Policies>[]>(
  (all, mechanism) =>
    all.flatMap((some) => IMPLEMENTED[mechanism].map((value) => ({ ...some, [mechanism]: value }))),
  [{}],
);

describe('every combination of the policies that switch state', () => {
  it.each(combinations)('%o', ({ hostFpu, ...policies }) => {
    expectAllRight(runArrangement(everybody(policies, hostFpu!)));
  });
});
