/** Reading and marking descriptors in the GDT and the LDT (SDM Vol. 3A, 3.5 System Descriptor Types). */

import { ACCESS_RIGHTS, type Descriptor, parseDescriptor, SELECTOR } from '../../architecture/descriptors.js';
import { SEGMENT } from '../../architecture/registers.js';
import type { LinearAddress } from '../../memory/addresses.js';
import type { ProcessorCore } from '../core.js';
import { STATE } from '../state/layout.js';

export const isNullSelector = (selector: number): boolean => (selector & ~SELECTOR.RPL) === 0;

/** A selector as it appears in an error code: RPL bits clear. */
export const selectorErrorCode = (selector: number): number => selector & 0xfffc;

/**
 * Address of the descriptor, undefined when any of its `sizeInBytes` lies outside of its table or there is no LDT.
 */
export function descriptorAddress(
  core: ProcessorCore,
  selector: number,
  sizeInBytes = 8,
): LinearAddress | undefined {
  const { state } = core;
  const offset = selector & SELECTOR.INDEX;
  if ((selector & SELECTOR.LOCAL) === 0) {
    if (offset + sizeInBytes - 1 > (state.read32(STATE.GDTR_LIMIT) & 0xffff)) return undefined;
    return BigInt.asUintN(64, state.read64(STATE.GDTR_BASE) + BigInt(offset));
  }
  const table = state.segment(SEGMENT.LDTR);
  if (table.unusable || offset + sizeInBytes - 1 > table.limit) return undefined;
  return BigInt.asUintN(64, table.base + BigInt(offset));
}

/** The descriptor that a selector names, undefined when it lies outside of its table. Page faults are thrown. */
export function readDescriptor(core: ProcessorCore, selector: number): Descriptor | undefined {
  const address = descriptorAddress(core, selector);
  return address === undefined ? undefined : parseDescriptor(core.linear.read(address, 8, 'system'));
}

/** Sets the accessed bit of a code or data descriptor in memory when it is clear. */
export function markAccessed(core: ProcessorCore, selector: number, descriptor: Descriptor): Descriptor {
  if ((descriptor.accessRights & ACCESS_RIGHTS.ACCESSED) !== 0) return descriptor;
  const address = descriptorAddress(core, selector)!;
  const accessRights = descriptor.accessRights | ACCESS_RIGHTS.ACCESSED;
  core.linear.write(address + 5n, 1, BigInt(accessRights & 0xff), 'system');
  return { ...descriptor, accessRights };
}
