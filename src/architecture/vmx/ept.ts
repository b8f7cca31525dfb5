/** EPT paging-structure entries and the EPT pointer (SDM Vol. 3C, 28.2.2 EPT Translation Mechanism; 24.6.11). */

export const EPT_ENTRY = {
  READ: 1 << 0,
  WRITE: 1 << 1,
  EXECUTE: 1 << 2,
  /** Bits 5:3 of an entry that maps a page. */
  MEMORY_TYPE_SHIFT: 3,
  IGNORE_PAT: 1 << 6,
  LARGE_PAGE: 1 << 7,
} as const;

/** Memory types, as in MTRRs and the PAT. */
export const MEMORY_TYPE = { UC: 0, WC: 1, WT: 4, WP: 5, WB: 6 } as const;
export const isReservedMemoryType = (type: number): boolean => type === 2 || type === 3 || type === 7;

/** EPTP: bits 2:0 memory type, 5:3 page-walk length minus 1, 6 accessed and dirty flags (Table 24-9). */
export const EPTP = {
  MEMORY_TYPE: 7,
  WALK_LENGTH_SHIFT: 3,
  ACCESSED_DIRTY: 1 << 6,
  RESERVED_LOW: 0xf80,
} as const;

/**
 * EPT pointer for a four-level table.
 * @param root host-physical address of the EPT PML4 table, a multiple of 4096
 */
export const encodeEptPointer = (root: number, memoryType: number = MEMORY_TYPE.WB): bigint =>
  BigInt(root) | BigInt(memoryType | (3 << EPTP.WALK_LENGTH_SHIFT));

/** INVEPT types (30.3, INVEPT). */
export const INVEPT_TYPE = { SINGLE_CONTEXT: 1, GLOBAL: 2 } as const;
/** INVVPID types (30.3, INVVPID). */
export const INVVPID_TYPE = {
  INDIVIDUAL_ADDRESS: 0,
  SINGLE_CONTEXT: 1,
  ALL_CONTEXTS: 2,
  SINGLE_CONTEXT_RETAINING_GLOBALS: 3,
} as const;
