/** One experiment: code and the state it starts from, and what came of it. The memory layout is the harness's. */

import { ARITHMETIC_FLAGS, RFLAGS } from '../../src/architecture/rflags.js';
import { Random } from './random.js';

/** Two pages that may be read and written; all zero but for the window, which lies across their border. */
export const MEMORY_BASE = 0x1000_0000;
export const MEMORY_SIZE = 0x2000;
export const WINDOW_OFFSET = 0xf80;
export const WINDOW_BASE = MEMORY_BASE + WINDOW_OFFSET;
export const WINDOW_SIZE = 256;
/** One page of INT3, with the code in its middle. */
export const CODE_PAGE = 0x1100_0000;
export const CODE_PAGE_SIZE = 0x1000;
export const CODE_START = CODE_PAGE + 0x800;
export const MAX_CODE = 512;
/** Base of GS; every other segment base is 0. */
export const GS_BASE = MEMORY_BASE;
export const INT3 = 0xcc;

/** Flags that a case chooses and that are compared. */
export const TESTED_FLAGS = ARITHMETIC_FLAGS | RFLAGS.DF;

export interface MachineState {
  /** RAX … R15 in encoding order. */
  readonly registers: BigUint64Array;
  /** Only `TESTED_FLAGS`. */
  rflags: number;
  readonly window: Uint8Array;
}

/** A difference from the background state that the seed gives. */
export interface Overrides {
  readonly registers: Map<number, bigint>;
  /** Bytes by offset in the window. */
  readonly window: Map<number, number>;
}

export interface TestCase {
  readonly code: Uint8Array;
  readonly codeSize: 32 | 64;
  /** Chooses the background state. */
  readonly seed: number;
  readonly overrides: Overrides;
}

export interface Outcome {
  readonly registers: BigUint64Array;
  /** Address of the INT3 that ended the case, or of the faulting instruction. */
  readonly rip: bigint;
  readonly rflags: number;
  /** Exception vector; undefined when the code ran into an INT3. */
  readonly vector: number | undefined;
  readonly errorCode: number;
  /** Address of a page fault, otherwise 0. */
  readonly cr2: bigint;
  readonly window: Uint8Array;
}

export function backgroundState(seed: number): MachineState {
  const random = new Random(seed);
  const registers = BigUint64Array.from({ length: 16 }, () => random.value64());
  const words = BigUint64Array.from({ length: WINDOW_SIZE / 8 }, () => random.value64());
  return { registers, rflags: random.next32() & TESTED_FLAGS, window: new Uint8Array(words.buffer) };
}

/** The state that a case starts from. 32-bit code has the low halves of the first eight registers; the rest is 0. */
export function initialState({
  codeSize,
  seed,
  overrides,
}: Pick<TestCase, 'codeSize' | 'seed' | 'overrides'>): MachineState {
  const state = backgroundState(seed);
  for (const [register, value] of overrides.registers) state.registers[register] = value;
  for (const [offset, byte] of overrides.window) state.window[offset] = byte;
  if (codeSize === 32) keepLowHalves(state.registers);
  return state;
}

/** What 32-bit code can see of the registers. */
export function keepLowHalves(registers: BigUint64Array): void {
  for (const [register, value] of registers.entries())
    registers[register] = register < 8 ? BigInt.asUintN(32, value) : 0n;
}
