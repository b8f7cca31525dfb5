/** The stages that cycles are charged to: numbers for ledgers, names for people. What they mean is the hypervisor layer's. */

export const STAGE = {
  /** The guest runs. */
  GUEST: 0,
  /** VM exit in hardware. */
  HOST_ACQUIRES_CONTROL: 1,
  /** From the first host instruction to the call of the exit's handler. */
  EXIT_HANDLER: 2,
  /** The handler; for port I/O the talk calls it the kernel PIO search. */
  KERNEL_HANDLER: 3,
  /** Host state given back on a heavy exit: MSRs, FPU, segment state, way out of the ioctl. */
  HOST_STATE_RESTORED: 4,
  /** User space, from leaving the kernel to being back in it. */
  USER_SPACE: 5,
  /** Guest state reloaded after a heavy exit. */
  GUEST_STATE_RELOADED: 6,
  /** The run loop up to the last instruction before VM entry. */
  GUEST_ENTRY: 7,
  /** VM entry in hardware. */
  BACK_IN_GUEST: 8,
  /** The vCPU's thread waits, or another thread has the CPU. */
  BLOCKED: 9,
  /** A host interrupt is served. */
  HOST_INTERRUPT: 10,
} as const;
export type Stage = (typeof STAGE)[keyof typeof STAGE];

/** Names in the talk's words, by stage number (M. Tosatti, KVM Forum 2010, the PIO timeline). */
export const STAGE_NAMES: readonly string[] = [
  'guest code',
  'host acquires control',
  'exit handler runs',
  'kernel handler (PIO search)',
  'host state restored (MSRs, FPU)',
  'qemu, back in kernel',
  'guest state reloaded',
  'guest entry',
  'back in guest',
  'blocked',
  'host interrupt',
];
