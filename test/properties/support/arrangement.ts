/** Random arrangements of what shares a host: guests, threads, their CPUs, and what happens to them meanwhile. */

import fc from 'fast-check';
import { IMPLEMENTED, type Mechanism, type Policies } from '../../../src/kvm/policies.js';
import type { Action } from './verifier.js';

export interface ArrangedVm {
  /** Two VMs with the same have the same values in their registers, if they do the same. */
  readonly seed: number;
  readonly rounds: number;
  readonly lazyFpu: boolean;
  readonly x2apic: boolean;
  readonly actions: readonly Action[];
  /** Host CPU of each virtual CPU, modulo the number of CPUs. */
  readonly cpus: readonly number[];
  readonly policies: Partial<Policies>;
}

interface ArrangedThread {
  readonly cpu: number;
  readonly period: number;
  readonly duration: number;
}

export interface Arrangement {
  readonly sockets: number;
  readonly coresPerSocket: number;
  readonly timeSlice: number;
  /** Mechanisms that are the host's as much as the VM's, so that all VMs have the same. */
  readonly hostFpu: Policies['hostFpu'];
  readonly vms: readonly ArrangedVm[];
  readonly kernelThreads: readonly ArrangedThread[];
  readonly processes: readonly (ArrangedThread & { readonly usesFpu: boolean })[];
  /** Virtual CPUs that move; `vm` and `vcpu` modulo what there is. */
  readonly migrations: readonly { readonly vm: number; vcpu: number; at: number; toCpu: number }[];
  /** VMs whose threads get a signal. */
  readonly signals: readonly { readonly vm: number; readonly at: number }[];
}

/** Virtual time in which things happen, in cycles. */
const BUSY_TIME = 3_000_000;

/** Any combination of the alternatives that run. */
export function anyPolicies(): fc.Arbitrary<Partial<Policies>> {
  const alternatives = Object.fromEntries(
    (Object.keys(IMPLEMENTED) as Mechanism[])
      .filter((mechanism) => mechanism !== 'hostFpu')
      .map((mechanism) => [mechanism, fc.constantFrom<string>(...IMPLEMENTED[mechanism])]),
  );
  return fc.record(alternatives) as fc.Arbitrary<Partial<Policies>>;
}

/** Two of each on one CPU leave time for guests, context switches included. */
const anyThread = {
  cpu: fc.nat(3),
  period: fc.integer({ min: 80_000, max: 400_000 }),
  duration: fc.integer({ min: 500, max: 10_000 }),
};

function anyVm(actions: readonly Action[], required: readonly Action[]): fc.Arbitrary<ArrangedVm> {
  return fc.record({
    seed: fc.integer({ min: 1, max: 4 }),
    rounds: fc.integer({ min: 5, max: 30 }),
    lazyFpu: fc.boolean(),
    x2apic: fc.boolean(),
    actions: fc
      .subarray([...actions], { minLength: Math.min(2, actions.length) })
      .map((some) => [...required, ...some]),
    cpus: fc.array(fc.nat(3), { minLength: 1, maxLength: 2 }),
    policies: anyPolicies(),
  });
}

/**
 * @param actions of which each guest does some, at random
 * @param required which each guest does
 */
export function anyArrangement(
  actions: readonly Action[],
  required: readonly Action[] = [],
): fc.Arbitrary<Arrangement> {
  return fc.record({
    sockets: fc.constantFrom(1, 2),
    coresPerSocket: fc.constantFrom(1, 1, 1, 2),
    timeSlice: fc.integer({ min: 8_000, max: 120_000 }),
    hostFpu: fc.constantFrom(...IMPLEMENTED.hostFpu),
    vms: fc.array(anyVm(actions, required), { minLength: 1, maxLength: 3 }),
    kernelThreads: fc.array(fc.record(anyThread), { maxLength: 2 }),
    processes: fc.array(fc.record({ ...anyThread, usesFpu: fc.boolean() }), { maxLength: 2 }),
    migrations: fc.array(
      fc.record({ vm: fc.nat(2), vcpu: fc.nat(1), at: fc.nat(BUSY_TIME), toCpu: fc.nat(3) }),
      { maxLength: 8 },
    ),
    signals: fc.array(fc.record({ vm: fc.nat(2), at: fc.nat(BUSY_TIME) }), { maxLength: 3 }),
  });
}
