/** What the policies mean for the run loop, as one number: it is asked several times at every exit. */

import type { Policies } from './policies.js';

export const RULE = {
  /** Events are looked for before every entry, not only on request. */
  INJECTS_ON_EVERY_ENTRY: 1 << 0,
  /** CR3 is written to the VMCS before every entry. */
  WRITES_CR3: 1 << 1,
  /** CR3 is read from the VMCS when somebody asks, not after every exit. */
  READS_CR3_ON_DEMAND: 1 << 2,
  /** HOST_CR0 is written before every entry. */
  WRITES_HOST_CR0: 1 << 3,
  /** DS and ES are given user space's selectors after every exit. */
  RELOADS_USER_SEGMENTS: 1 << 4,
  /** The exit's interruption information is read after every exit, not only after exceptions and NMIs. */
  READS_INTERRUPTION: 1 << 5,
  /** The guest's time-stamp counter is noted after every exit. */
  NOTES_TIME_STAMP: 1 << 6,
  /** Some exits are handled before interrupts are enabled. */
  HAS_FAST_PATH: 1 << 7,
} as const;

/** Bits of `RULE`. */
export function runLoopRules(policies: Policies): number {
  const { vmcsTraffic } = policies;
  return (
    (policies.eventInjection === 'every-entry' ? RULE.INJECTS_ON_EVERY_ENTRY : 0) |
    (vmcsTraffic === '2.6.32' ? RULE.WRITES_CR3 : 0) |
    (vmcsTraffic === 'on-demand' ? RULE.READS_CR3_ON_DEMAND : 0) |
    (policies.hostCr0 === 'every-entry' ? RULE.WRITES_HOST_CR0 : 0) |
    (policies.userSegments === 'every-exit' ? RULE.RELOADS_USER_SEGMENTS : 0) |
    (vmcsTraffic === '2.6.35' || vmcsTraffic === '2.6.37' ? RULE.READS_INTERRUPTION : 0) |
    (vmcsTraffic === '2.6.37' ? RULE.NOTES_TIME_STAMP : 0) |
    (policies.exitDispatch === 'fast-path' ? RULE.HAS_FAST_PATH : 0)
  );
}
