/** Formats of guest non-register state: activity, interruptibility, pending debug exceptions (SDM Vol. 3C, 24.4.2). */

/** Activity state (24.4.2). */
export const ACTIVITY = { ACTIVE: 0, HLT: 1, SHUTDOWN: 2, WAIT_FOR_SIPI: 3 } as const;

/** Interruptibility state (24.4.2, Table 24-3). */
export const INTERRUPTIBILITY = {
  BLOCKING_BY_STI: 1 << 0,
  BLOCKING_BY_MOV_SS: 1 << 1,
  BLOCKING_BY_SMI: 1 << 2,
  BLOCKING_BY_NMI: 1 << 3,
  ENCLAVE: 1 << 4,
  RESERVED: 0xffffffe0,
} as const;

/** Pending debug exceptions (24.4.2, Table 24-4); all others of the low 32 bits are reserved. */
export const PENDING_DEBUG = { B: 0xf, ENABLED_BREAKPOINT: 1 << 12, BS: 1 << 14, RTM: 1 << 16 } as const;

/** Reserved bits of a segment's access rights: 31:17 and 11:8 (24.4.1, Table 24-2). */
export const ACCESS_RIGHTS_RESERVED = 0xfffe0f00;
