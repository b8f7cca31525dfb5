/** Checks that RETF and IRET share (SDM Vol. 2, RET and IRET: return to the same or an outer privilege level). */

import {
  type Descriptor,
  isCodeSegment,
  isConforming,
  isPresent,
  isWritableData,
  privilegeOf,
  SELECTOR,
} from '../../architecture/descriptors.js';
import { SEGMENT } from '../../architecture/registers.js';
import type { ProcessorCore } from '../core.js';
import { raiseGeneralProtection, raiseNotPresent } from '../events/faults.js';
import { checkCodeSize } from './code-segment.js';
import { isNullSelector, markAccessed, readDescriptor, selectorErrorCode } from './descriptor-table.js';
import { setNullSegment, setSegment } from './segment-register.js';

/** The code segment to return to; its RPL is the new privilege level. */
export function checkReturnCode(core: ProcessorCore, selector: number): Descriptor {
  if (isNullSelector(selector)) raiseGeneralProtection();
  const errorCode = selectorErrorCode(selector);
  const descriptor = readDescriptor(core, selector);
  const privilege = selector & SELECTOR.RPL;
  if (descriptor === undefined || !isCodeSegment(descriptor.accessRights) || privilege < core.state.cpl)
    raiseGeneralProtection(errorCode);
  const target = privilegeOf(descriptor.accessRights);
  if (isConforming(descriptor.accessRights) ? target > privilege : target !== privilege)
    raiseGeneralProtection(errorCode);
  checkCodeSize(core, descriptor, errorCode);
  if (!isPresent(descriptor.accessRights)) raiseNotPresent(errorCode);
  return descriptor;
}

/**
 * The stack segment to return to, undefined for the null selector that 64-bit mode allows at levels 0 … 2.
 * @param long the code returned to is 64-bit code
 * @param raiseAbsent the fault of a segment that is not present: #SS for RETF. For IRET the manual's list of exceptions
 *   says #NP (its pseudocode says #SS); processors since the 386 raise #NP.
 */
export function checkReturnStack(
  core: ProcessorCore,
  selector: number,
  privilege: number,
  long: boolean,
  raiseAbsent: (errorCode: number) => never,
): Descriptor | undefined {
  const errorCode = selectorErrorCode(selector);
  const requested = selector & SELECTOR.RPL;
  if (isNullSelector(selector)) {
    if (!long || privilege === 3 || requested !== privilege) raiseGeneralProtection();
    return undefined;
  }
  const descriptor = readDescriptor(core, selector);
  if (
    descriptor === undefined ||
    requested !== privilege ||
    !isWritableData(descriptor.accessRights) ||
    privilegeOf(descriptor.accessRights) !== privilege
  )
    raiseGeneralProtection(errorCode);
  if (!isPresent(descriptor.accessRights)) raiseAbsent(errorCode);
  return descriptor;
}

/** Sets the accessed bit and returns what commits SS. */
export function prepareReturnStack(
  core: ProcessorCore,
  selector: number,
  descriptor: Descriptor | undefined,
): () => void {
  if (descriptor === undefined)
    return () => setNullSegment(core, SEGMENT.SS, selector, selector & SELECTOR.RPL);
  const accessed = markAccessed(core, selector, descriptor);
  return () => setSegment(core, SEGMENT.SS, selector, accessed);
}
