/** Decoded records: what handlers find about their instruction. One cache line each. */

export const RECORD_SIZE = 64;

export const RECORD = {
  /** Slot of the handler in the function table. */
  HANDLER: 0,
  /** Offsets into the processor block of the register of operands 0, 1, 2 (16 bits each). */
  REGISTER: [4, 6, 8],
  /** Offsets of base and index register, `STATE.ZERO` for none. */
  BASE: 10,
  INDEX: 12,
  /** Offset of the segment base to add, `STATE.ZERO` for none. */
  SEGMENT_BASE: 14,
  SCALE: 16,
  /** Segment register number, for the choice between #SS and #GP. */
  SEGMENT: 17,
  /** Number of instructions before this one in its block. */
  POSITION: 18,
  DISPLACEMENT: 20,
  /** First immediate, or the target of a relative branch. 64 bits. */
  IMMEDIATE: 24,
  /** In its place, when the instruction runs in TypeScript: its own part of the block's cost, which is given back. */
  SYSTEM_COST: 24,
  NEXT_RIP: 32,
  /** First record of the block that a taken branch, or the fall-through, leads to; 0 while unknown. */
  LINK_TAKEN: 40,
  LINK_NEXT: 44,
  /** Number of the block. */
  BLOCK: 48,
  SECOND_IMMEDIATE: 52,
  /** Address of the instruction itself. */
  RIP: 56,
} as const;

/** In front of a block's first record: its cost (cycles << 32 | instructions) and its RIP. */
export const BLOCK_HEADER_SIZE = 16;
export const BLOCK_HEADER = { COST: -16, RIP: -8 } as const;

/** Why generated code was left: from within a block up to COMPLETED, behind a block from there on. */
export const EXIT = {
  /** A fault or VM exit was thrown by TypeScript called from the instruction, which has changed nothing. */
  SIGNAL: 1,
  /** The instruction raised FAULT_VECTOR and has changed nothing. */
  FAULT: 2,
  /** The instruction, the last of its block, has to run in TypeScript; RIP is at it and it is not paid. */
  SYSTEM: 3,
  /** One iteration of a repeated string instruction is done and the budget is used up. */
  AGAIN: 4,
  /** The instruction is done, RIP is stored, and the rest of its block must not run. */
  COMPLETED: 5,
  /** The block is done; RIP is stored, the record's link is still unknown. */
  LINK_TAKEN: 6,
  LINK_NEXT: 7,
  /** The block is done; RIP is stored and was not in the jump cache. */
  LOOKUP: 8,
  /** The budget does not cover the next block; RIP is its address. */
  BUDGET: 9,
} as const;

/** Whether an access goes through SS, which decides between #SS and #GP. */
export const ACCESS_SEGMENT = { OTHER: 0, STACK: 1, OF_RECORD: 2 } as const;
export type AccessSegment = (typeof ACCESS_SEGMENT)[keyof typeof ACCESS_SEGMENT];

/** Kinds of access as passed to the slow path: segment << 24 | bounce buffer << 16 | kind << 8 | size in bytes. */
export const ACCESS_KIND = { READ: 0, WRITE: 1, READ_WRITE: 2 } as const;
