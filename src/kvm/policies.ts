/**
 * Policies: for each mechanism of the hypervisor layer, the alternative that a VM uses. Chosen when the VM is
 * created; an era is a bundle of them, named after the kernel release whose behaviour it reproduces.
 */

import type { Mechanism, Policies } from './mechanisms.js';

export { MECHANISMS, type Mechanism, type Policies } from './mechanisms.js';

/**
 * The alternatives that really run, first the default. Those of `MECHANISMS` that are missing here are refused.
 */
export const IMPLEMENTED: { readonly [M in Mechanism]: readonly Policies[M][] } = {
  syscallMsrs: ['eager', 'shared', 'shared-without-cstar', 'eager-rereading'],
  slotsProtection: ['rwsem', 'srcu', 'srcu-expedited'],
  irqRouting: ['irq-lock', 'rcu'],
  ioApicEoi: ['every-vector', 'handled-vectors'],
  taskSwitchedFlag: ['trapped', 'guest-owned', 'guest-owned-counted'],
  hostFpu: ['unconditional', 'unlazy-as-shipped', 'unlazy-as-intended', 'eager'],
  hostCr0: ['every-entry', 'once'],
  vmcsTraffic: ['2.6.32', '2.6.35', '2.6.37', 'on-demand'],
  userSegments: ['every-exit', 'host-switch'],
  eventInjection: ['every-entry', 'on-request'],
  portOutput: ['exit-qualification', 'fast-path'],
  busSearch: ['linear', 'sorted'],
  busCapacity: ['6', '200', '1000'],
  apicAccess: ['emulated', 'fast-eoi'],
  pvEoi: ['off', 'on'],
  apicVirtualisation: ['none', 'register', 'register+virtual-interrupt-delivery', 'posted-interrupts'],
  deadlineTimer: ['absent', 'hrtimer', 'preemption-timer', 'posted'],
  haltPolling: ['off', 'always', 'dynamic'],
  memorySlotLookup: ['linear', 'last-used', 'sorted'],
  mmioExit: ['violation', 'misconfiguration', 'fast-bus'],
  instructionEmulation: ['full', 'decode-cache', 'lean'],
  exitDispatch: ['full-loop', 'fast-path'],
};

/** The behaviour of Linux 2.6.32 (2009), before the talk's improvements. */
const LINUX_2_6_32: Policies = {
  syscallMsrs: 'eager',
  slotsProtection: 'rwsem',
  irqRouting: 'irq-lock',
  ioApicEoi: 'every-vector',
  taskSwitchedFlag: 'trapped',
  hostFpu: 'unconditional',
  hostCr0: 'every-entry',
  vmcsTraffic: '2.6.32',
  userSegments: 'every-exit',
  eventInjection: 'every-entry',
  portOutput: 'exit-qualification',
  busSearch: 'linear',
  busCapacity: '6',
  apicAccess: 'emulated',
  pvEoi: 'off',
  apicVirtualisation: 'none',
  deadlineTimer: 'absent',
  haltPolling: 'off',
  memorySlotLookup: 'linear',
  mmioExit: 'violation',
  instructionEmulation: 'full',
  exitDispatch: 'full-loop',
};

/** What each later era changed; it keeps the rest of the era before it. */
const LINUX_2_6_35: Policies = {
  ...LINUX_2_6_32,
  syscallMsrs: 'shared',
  slotsProtection: 'srcu-expedited',
  irqRouting: 'rcu',
  taskSwitchedFlag: 'guest-owned',
  vmcsTraffic: '2.6.35',
  portOutput: 'fast-path',
  busCapacity: '200',
};
const LINUX_2_6_37: Policies = {
  ...LINUX_2_6_35,
  hostFpu: 'unlazy-as-shipped',
  hostCr0: 'once',
  vmcsTraffic: '2.6.37',
  eventInjection: 'on-request',
};
const LINUX_3: Policies = {
  ...LINUX_2_6_37,
  ioApicEoi: 'handled-vectors',
  taskSwitchedFlag: 'guest-owned-counted',
  hostFpu: 'unlazy-as-intended',
  userSegments: 'host-switch',
  busSearch: 'sorted',
  busCapacity: '1000',
  apicAccess: 'fast-eoi',
  pvEoi: 'on',
  deadlineTimer: 'hrtimer',
  memorySlotLookup: 'sorted',
  mmioExit: 'fast-bus',
  instructionEmulation: 'lean',
};
const LINUX_6: Policies = {
  ...LINUX_3,
  syscallMsrs: 'shared-without-cstar',
  taskSwitchedFlag: 'guest-owned',
  hostFpu: 'eager',
  vmcsTraffic: 'on-demand',
  deadlineTimer: 'preemption-timer',
  haltPolling: 'dynamic',
  exitDispatch: 'fast-path',
};

/** Bundles by the kernel release whose behaviour they reproduce; 3.x also has what came in 4.0 and 4.1. */
export const ERAS = {
  '2.6.32': LINUX_2_6_32,
  '2.6.35': LINUX_2_6_35,
  '2.6.37': LINUX_2_6_37,
  '3.x': LINUX_3,
  '6.x': LINUX_6,
} as const satisfies Record<string, Policies>;
export type Era = keyof typeof ERAS;
export const DEFAULT_ERA: Era = '2.6.32';

/** A policy that was asked for does not exist, or does not run yet. */
export class PolicyError extends Error {
  readonly code = 'policy';
  readonly mechanism: string;
  readonly alternative: string;
  constructor(mechanism: string, alternative: string, implemented: readonly string[]) {
    super(
      implemented.length === 0
        ? `there is no policy "${mechanism}"`
        : `policy ${mechanism}=${alternative} is not available (available: ${implemented.join(', ')})`,
    );
    this.name = 'PolicyError';
    this.mechanism = mechanism;
    this.alternative = alternative;
  }
}

/** The policies of an era with single mechanisms replaced. Throws `PolicyError` for what isn't implemented. */
export function selectPolicies(era: Era = DEFAULT_ERA, overrides: Partial<Policies> = {}): Policies {
  const base = ERAS[era];
  if (base === undefined) throw new PolicyError('era', era, Object.keys(ERAS));
  const policies = { ...base, ...overrides };
  for (const [mechanism, alternative] of Object.entries(policies)) {
    const implemented: readonly string[] = IMPLEMENTED[mechanism as Mechanism] ?? [];
    if (!implemented.includes(alternative)) throw new PolicyError(mechanism, alternative, implemented);
  }
  return policies;
}
