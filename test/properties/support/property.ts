/** How often properties are tried, and how one finds out that a defect is noticed. */

import fc from 'fast-check';
import type { Scenario } from '../../../src/machine/scenario/scenario.js';
import type { Arrangement } from './arrangement.js';
import { expectAllRight, runArrangement } from './run-arrangement.js';

/** Runs of all properties together; the long run has 10,000. */
export const TOTAL_RUNS = Number(process.env.EXITSCOPE_PROPERTY_RUNS ?? 300);
const SEED = Number(process.env.EXITSCOPE_SEED ?? 1);

/** Time for a property, in milliseconds: also for the long run on a busy machine. */
export const PROPERTY_TIMEOUT = 120_000 + 1000 * TOTAL_RUNS;

/** Tries a property with its share of all runs. */
export function forAll(
  share: number,
  arrangements: fc.Arbitrary<Arrangement>,
  property: (arrangement: Arrangement) => void,
): void {
  fc.assert(fc.property(arrangements, property), {
    numRuns: Math.max(1, Math.round(share * TOTAL_RUNS)),
    seed: SEED,
  });
}

/** What was said about a run in which something was broken on purpose; undefined when nobody noticed. */
export function complaintAbout(
  arrangement: Arrangement,
  breakSomething: (scenario: Scenario) => void,
): string | undefined {
  expectAllRight(runArrangement(arrangement));
  try {
    expectAllRight(runArrangement(arrangement, { prepare: breakSomething }));
  } catch (error) {
    return String(error);
  }
  return undefined;
}

type Method = (...values: never[]) => void;

/** Replaces a method of an object; `skips` tells of each call whether it does nothing instead. */
export function skipCalls<Name extends string, Skipped extends Method>(
  object: Readonly<Record<Name, Skipped>>,
  name: Name,
  skips: (...values: Parameters<Skipped>) => boolean,
): void {
  const original = object[name];
  const replacement = (...values: Parameters<Skipped>): void => {
    if (!skips(...values)) original.apply(object, values);
  };
  Object.defineProperty(object, name, { value: replacement });
}
