/** Checks and loads of CS that far jumps, calls and returns share (SDM Vol. 3A, 5.8 Privilege Level Checking). */

import { isCanonical } from '../../architecture/canonical-address.js';
import { ACCESS_RIGHTS, type Descriptor } from '../../architecture/descriptors.js';
import { SEGMENT } from '../../architecture/registers.js';
import type { ProcessorCore } from '../core.js';
import { raiseGeneralProtection } from '../events/faults.js';
import { markAccessed } from './descriptor-table.js';
import { isLongMode } from './mode.js';
import { setSegment } from './segment-register.js';

/** True when code of this segment runs in 64-bit mode. */
export const isLongCode = (core: ProcessorCore, descriptor: Descriptor): boolean =>
  isLongMode(core.state) && (descriptor.accessRights & ACCESS_RIGHTS.LONG) !== 0;

/** #GP(errorCode) for a code segment with both L and D set in IA-32e mode. */
export function checkCodeSize(core: ProcessorCore, descriptor: Descriptor, errorCode: number): void {
  if (isLongCode(core, descriptor) && (descriptor.accessRights & ACCESS_RIGHTS.BIG) !== 0)
    raiseGeneralProtection(errorCode);
}

/** #GP(0) for a target that is not canonical (64-bit code) or beyond the limit of the new code segment. */
export function checkTarget(core: ProcessorCore, descriptor: Descriptor, offset: bigint): void {
  if (isLongCode(core, descriptor) ? !isCanonical(offset) : offset > BigInt(descriptor.limit))
    raiseGeneralProtection();
}

/** Sets the accessed bit and returns what commits CS and RIP, so that the last fault comes before the first change. */
export function prepareCodeSegment(
  core: ProcessorCore,
  selector: number,
  descriptor: Descriptor,
  offset: bigint,
  privilege: number,
): () => void {
  const accessed = markAccessed(core, selector, descriptor);
  return () => {
    setSegment(core, SEGMENT.CS, (selector & ~3) | privilege, accessed);
    core.state.rip = offset;
  };
}
