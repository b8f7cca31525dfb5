/**
 * Policies: for each mechanism of the hypervisor layer, the alternative that a VM uses. Chosen when the VM is
 * created; an era is a bundle of them, named after the kernel release whose behaviour it reproduces.
 */

/** Every alternative of every mechanism that exists in the history of KVM and in this project's plan. */
export interface Policies {
  /** STAR, LSTAR, CSTAR, SYSCALL_MASK (and EFER): 26bb0981b3ff "KVM: VMX: Use shared msr infrastructure". */
  readonly syscallMsrs: 'eager' | 'shared';
  /** What protects memory slots and I/O buses against changes during an exit. */
  readonly slotsProtection: 'rwsem' | 'srcu' | 'srcu-expedited';
  /** Who owns the guest's CR0.TS: edcafe3c5a06 "Give the guest ownership of cr0.ts when the fpu is active". */
  readonly taskSwitchedFlag: 'trapped' | 'guest-owned';
  /** How the registers of the host task's FPU are kept: 7cf30855e02b uses unlazy_fpu. */
  readonly hostFpu: 'unconditional' | 'unlazy-as-shipped' | 'unlazy-as-intended' | 'eager';
  /** When events are looked for before VM entry. */
  readonly eventInjection: 'every-entry' | 'on-request';
  /** How an OUT is turned into a port access. */
  readonly portOutput: 'exit-qualification' | 'fast-path';
  /** How an in-kernel device is found: 743eeb0b01d2 "KVM: Intelligent device lookup on I/O bus". */
  readonly busSearch: 'linear' | 'sorted';
  /** Entries of an I/O bus (NR_IOBUS_DEVS): 2.6.32, 2.6.35 to 2.6.37, later. */
  readonly busCapacity: '6' | '200' | '1000';
  /** How an access to the xAPIC page is understood. */
  readonly apicAccess: 'emulated' | 'fast-eoi';
  /** How a guest frame's memory slot is found: d4ae84a02bc6 (last used), 9c1a5d38780e (sorted). */
  readonly memorySlotLookup: 'linear' | 'last-used' | 'sorted';
  readonly exitDispatch: 'full-loop' | 'fast-path';
}

export type Mechanism = keyof Policies;

/** The behaviour of Linux 2.6.32 (2009), before the talk's improvements. */
const LINUX_2_6_32: Policies = {
  syscallMsrs: 'eager',
  slotsProtection: 'rwsem',
  taskSwitchedFlag: 'trapped',
  hostFpu: 'unconditional',
  eventInjection: 'every-entry',
  portOutput: 'exit-qualification',
  busSearch: 'linear',
  busCapacity: '6',
  apicAccess: 'emulated',
  memorySlotLookup: 'linear',
  exitDispatch: 'full-loop',
};

export const ERAS = { '2.6.32': LINUX_2_6_32 } as const satisfies Record<string, Policies>;
export type Era = keyof typeof ERAS;
export const DEFAULT_ERA: Era = '2.6.32';

/** The alternatives that really run, first the default. */
export const IMPLEMENTED: { readonly [M in Mechanism]: readonly Policies[M][] } = {
  syscallMsrs: ['eager', 'shared'],
  slotsProtection: ['rwsem'],
  taskSwitchedFlag: ['trapped', 'guest-owned'],
  hostFpu: ['unconditional', 'unlazy-as-intended'],
  eventInjection: ['every-entry'],
  portOutput: ['exit-qualification', 'fast-path'],
  busSearch: ['linear', 'sorted'],
  busCapacity: ['6', '200', '1000'],
  apicAccess: ['emulated'],
  memorySlotLookup: ['linear', 'last-used', 'sorted'],
  exitDispatch: ['full-loop'],
};

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
