/** Layout of task-state segments (SDM Vol. 3A, 7.2.1, 7.6 and 7.7): byte offsets. */

export const TSS64 = {
  /** RSP for privilege level n at RSP0 + 8 n. */
  RSP0: 4,
  /** Interrupt stack n (1 … 7) at IST_BASE + 8 n. */
  IST_BASE: 28,
  IO_MAP_BASE: 102,
} as const;

export const TSS32 = {
  /** ESP for privilege level n at ESP0 + 8 n, its SS four bytes behind. */
  ESP0: 4,
  IO_MAP_BASE: 102,
  /** Smallest limit of a 32-bit or 64-bit TSS. */
  MINIMUM_LIMIT: 0x67,
} as const;

export const TSS16 = {
  /** SP for privilege level n at SP0 + 4 n, its SS two bytes behind. */
  SP0: 2,
  MINIMUM_LIMIT: 0x2b,
} as const;
