/** Segment descriptors, system descriptors and gates (SDM Vol. 3A, 3.4.5 Segment Descriptors, 3.5, 5.8.3, 6.11). */

/** Access rights in the format of VMCS fields: bits 15:8 and 23:20 of a descriptor's upper half, moved down by 8. */
export const ACCESS_RIGHTS = {
  ACCESSED: 1 << 0,
  /** Data: writable. Code: readable. */
  WRITABLE: 1 << 1,
  READABLE: 1 << 1,
  /** Data: expands down. Code: conforming. */
  EXPAND_DOWN: 1 << 2,
  CONFORMING: 1 << 2,
  CODE: 1 << 3,
  /** S flag: code or data segment, not a system segment. */
  NON_SYSTEM: 1 << 4,
  DPL: 3 << 5,
  PRESENT: 1 << 7,
  AVAILABLE: 1 << 12,
  LONG: 1 << 13,
  /** D/B flag. */
  BIG: 1 << 14,
  GRANULARITY: 1 << 15,
  /** Not part of a descriptor: the register was loaded with a null selector. */
  UNUSABLE: 1 << 16,
} as const;

/** Types of system descriptors (SDM Vol. 3A, Table 3-2); in IA-32e mode only some of them are valid. */
export const SYSTEM_TYPE = {
  TSS16_AVAILABLE: 1,
  LDT: 2,
  TSS16_BUSY: 3,
  CALL_GATE16: 4,
  TASK_GATE: 5,
  INTERRUPT_GATE16: 6,
  TRAP_GATE16: 7,
  TSS_AVAILABLE: 9,
  TSS_BUSY: 11,
  CALL_GATE: 12,
  INTERRUPT_GATE: 14,
  TRAP_GATE: 15,
} as const;

/** Table indicator and requested privilege level of a selector. */
export const SELECTOR = { RPL: 3, LOCAL: 4, INDEX: 0xfff8 } as const;

export interface Descriptor {
  /** 32-bit base; the upper half of a 16-byte system descriptor is not part of it. */
  readonly base: bigint;
  /** In bytes, granularity applied. */
  readonly limit: number;
  readonly accessRights: number;
}

/** @param raw the eight bytes of a segment or system descriptor */
export function parseDescriptor(raw: bigint): Descriptor {
  const low = Number(raw & 0xffffffffn);
  const high = Number(raw >> 32n);
  const accessRights = (high >>> 8) & 0xf0ff;
  const units = (low & 0xffff) | (high & 0xf0000);
  return {
    base: BigInt(((low >>> 16) | ((high & 0xff) << 16) | (high & 0xff000000)) >>> 0),
    limit: (accessRights & ACCESS_RIGHTS.GRANULARITY) !== 0 ? ((units << 12) | 0xfff) >>> 0 : units,
    accessRights,
  };
}

export const privilegeOf = (accessRights: number): number => (accessRights >> 5) & 3;

/** Type of a system descriptor, -1 for a code or data segment. */
export const systemTypeOf = (accessRights: number): number =>
  (accessRights & ACCESS_RIGHTS.NON_SYSTEM) !== 0 ? -1 : accessRights & 15;

export const isCodeSegment = (accessRights: number): boolean =>
  (accessRights & (ACCESS_RIGHTS.NON_SYSTEM | ACCESS_RIGHTS.CODE)) ===
  (ACCESS_RIGHTS.NON_SYSTEM | ACCESS_RIGHTS.CODE);

export const isConforming = (accessRights: number): boolean =>
  isCodeSegment(accessRights) && (accessRights & ACCESS_RIGHTS.CONFORMING) !== 0;

export const isWritableData = (accessRights: number): boolean =>
  (accessRights & (ACCESS_RIGHTS.NON_SYSTEM | ACCESS_RIGHTS.CODE | ACCESS_RIGHTS.WRITABLE)) ===
  (ACCESS_RIGHTS.NON_SYSTEM | ACCESS_RIGHTS.WRITABLE);

export const isPresent = (accessRights: number): boolean => (accessRights & ACCESS_RIGHTS.PRESENT) !== 0;

/** A call, interrupt, trap or task gate. */
export interface Gate {
  readonly selector: number;
  /** Offset of the entry point; 64 bits for the 16-byte gates of IA-32e mode. */
  readonly offset: bigint;
  readonly accessRights: number;
  /** Interrupt-stack-table index of a 64-bit interrupt or trap gate, 0 for none. */
  readonly interruptStack: number;
  /** Number of parameters that a 16- or 32-bit call gate copies. */
  readonly parameterCount: number;
}

/**
 * @param raw the first eight bytes of the gate
 * @param upper bytes 8 … 15 of a 16-byte gate, otherwise 0
 */
export function parseGate(raw: bigint, upper: bigint): Gate {
  const byte4 = Number((raw >> 32n) & 0xffn);
  return {
    selector: Number((raw >> 16n) & 0xffffn),
    offset: (raw & 0xffffn) | ((raw >> 32n) & 0xffff0000n) | ((upper & 0xffffffffn) << 32n),
    accessRights: Number((raw >> 40n) & 0xffn),
    interruptStack: byte4 & 7,
    parameterCount: byte4 & 31,
  };
}
