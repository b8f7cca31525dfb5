/** Addresses that cases use: where operands lie, where nothing does, and where branches may lead. */

import type { Random } from './random.js';
import { CODE_PAGE, MEMORY_BASE, MEMORY_SIZE, type TestCase, WINDOW_BASE, WINDOW_SIZE } from './test-case.js';

/** Room that pushes below and pops above an operand need. */
const MARGIN = 24;
/** 256 MiB where the harness has nothing: above its image and heap, below its libraries and stack. */
const UNMAPPED = 0x6000_0000;

const unmappedAddress = (random: Random): bigint => BigInt(UNMAPPED + random.below(0x1000_0000));

const nonCanonicalAddress = (random: Random): bigint =>
  (1n << BigInt(random.between(47, 62))) | BigInt(random.below(0x10000));

/** A place for an operand in the window. */
export function addressInWindow(random: Random, sizeInBytes: number, aligned: boolean): bigint {
  const offset = random.between(MARGIN, WINDOW_SIZE - MARGIN - sizeInBytes);
  return BigInt(WINDOW_BASE + (aligned ? offset - (offset % sizeInBytes) : offset));
}

/** An address that faults: nothing there, not canonical, or reaching past the end of memory. */
export function faultingAddress(random: Random, sizeInBytes: number, codeSize: 32 | 64): bigint {
  const kind = random.pick(codeSize === 64 ? [0, 1, 2] : [0, 2]);
  if (kind === 0) return unmappedAddress(random);
  if (kind === 1) return nonCanonicalAddress(random);
  return BigInt(MEMORY_BASE + MEMORY_SIZE - random.below(sizeInBytes));
}

export const isInWindow = (address: bigint | undefined, sizeInBytes: number): address is bigint =>
  address !== undefined &&
  address >= BigInt(WINDOW_BASE) &&
  address + BigInt(sizeInBytes) <= BigInt(WINDOW_BASE + WINDOW_SIZE);

/** Puts the low bytes of `value` into the window that the case starts with. */
export function writeWindow(testCase: TestCase, address: bigint, value: bigint, sizeInBytes: number): void {
  const offset = Number(address) - WINDOW_BASE;
  for (let index = 0; index < sizeInBytes; index++)
    testCase.overrides.window.set(offset + index, Number((value >> BigInt(8 * index)) & 0xffn));
}

/** Mostly an INT3 of the code page, sometimes an address that can't be executed. */
export function branchTarget(random: Random, mayFault: boolean, codeSize: 32 | 64): bigint {
  if (mayFault && random.chance(15))
    return codeSize === 32 || random.chance(50) ? unmappedAddress(random) : nonCanonicalAddress(random);
  return BigInt(CODE_PAGE + (random.chance(50) ? random.between(0x10, 0x7e0) : random.between(0x820, 0xff0)));
}
