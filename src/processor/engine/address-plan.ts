/**
 * Where everything lies in the machine's linear memory: processors with their TLBs and jump caches, decoded
 * records, then RAM.
 */

import { PROCESSOR_BLOCK_SIZE } from '../state/layout.js';

/** Entries of one TLB; there is one for supervisor and one for user mode. */
export const TLB_ENTRIES = 1024;
/** Tags are page addresses of the linear page, or -1; the addend leads from linear address to linear memory. */
export const TLB_ENTRY = { TAG_READ: 0, TAG_WRITE: 8, ADDEND: 16 } as const;
export const TLB_ENTRY_SIZE = 32;
export const TLB_SIZE = TLB_ENTRIES * TLB_ENTRY_SIZE;

/** Direct-mapped cache from RIP and mode to the first record of a block. */
export const JUMP_CACHE_ENTRIES = 1024;
export const JUMP_CACHE_ENTRY = { RIP: 0, MODE: 8, RECORD: 12 } as const;
export const JUMP_CACHE_ENTRY_SIZE = 16;
export const JUMP_CACHE_SIZE = JUMP_CACHE_ENTRIES * JUMP_CACHE_ENTRY_SIZE;

const FIRST_PROCESSOR = 0x10000;
const SUPERVISOR_TLB = PROCESSOR_BLOCK_SIZE;
const USER_TLB = SUPERVISOR_TLB + TLB_SIZE;
const JUMP_CACHE = USER_TLB + TLB_SIZE;
const PROCESSOR_STRIDE = JUMP_CACHE + JUMP_CACHE_SIZE;

const WASM_PAGE = 0x10000;
const roundUp = (value: number, unit: number): number => Math.ceil(value / unit) * unit;

export interface ProcessorAddresses {
  readonly block: number;
  readonly supervisorTlb: number;
  readonly userTlb: number;
  readonly jumpCache: number;
}

export interface AddressPlan {
  readonly processors: readonly ProcessorAddresses[];
  readonly records: number;
  readonly recordsEnd: number;
  readonly ram: number;
  /** Size of the whole linear memory in WebAssembly pages. */
  readonly wasmPages: number;
}

/** Lays out a machine of `processorCount` processors. Sizes in bytes. */
export function planAddresses(processorCount: number, ramSize: number, recordsSize: number): AddressPlan {
  const processors = Array.from({ length: processorCount }, (_, n) => {
    const block = FIRST_PROCESSOR + n * PROCESSOR_STRIDE;
    return {
      block,
      supervisorTlb: block + SUPERVISOR_TLB,
      userTlb: block + USER_TLB,
      jumpCache: block + JUMP_CACHE,
    };
  });
  const records = roundUp(FIRST_PROCESSOR + processorCount * PROCESSOR_STRIDE, WASM_PAGE);
  const ram = roundUp(records + recordsSize, WASM_PAGE);
  return {
    processors,
    records,
    recordsEnd: records + recordsSize,
    ram,
    wasmPages: roundUp(ram + ramSize, WASM_PAGE) / WASM_PAGE,
  };
}

/** Which processor a block address belongs to. */
export function processorNumber(blockAddress: number): number {
  return (blockAddress - FIRST_PROCESSOR) / PROCESSOR_STRIDE;
}
