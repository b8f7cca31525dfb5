/** Loading SS, DS, ES, FS and GS (SDM Vol. 3A, 5.6 Privilege Level Checking When Accessing Data Segments, 5.7). */

import {
  ACCESS_RIGHTS,
  isCodeSegment,
  isConforming,
  isPresent,
  isWritableData,
  privilegeOf,
  SELECTOR,
} from '../../architecture/descriptors.js';
import { SEGMENT } from '../../architecture/registers.js';
import type { ProcessorCore } from '../core.js';
import { raiseGeneralProtection, raiseNotPresent, raiseStackFault } from '../events/faults.js';
import { isNullSelector, markAccessed, readDescriptor, selectorErrorCode } from './descriptor-table.js';
import { hasRealModeSegments, is64BitMode, isProtectedMode } from './mode.js';
import { setNullSegment, setRealModeSegment, setSegment, setVirtual8086Segment } from './segment-register.js';

function loadStackSegment(core: ProcessorCore, selector: number): void {
  const { state } = core;
  const privilege = state.cpl;
  const requested = selector & SELECTOR.RPL;
  if (isNullSelector(selector)) {
    if (!is64BitMode(state) || privilege === 3 || requested !== privilege) raiseGeneralProtection();
    setNullSegment(core, SEGMENT.SS, selector, privilege);
    return;
  }
  const errorCode = selectorErrorCode(selector);
  const descriptor = readDescriptor(core, selector);
  if (
    descriptor === undefined ||
    requested !== privilege ||
    !isWritableData(descriptor.accessRights) ||
    privilegeOf(descriptor.accessRights) !== privilege
  )
    raiseGeneralProtection(errorCode);
  if (!isPresent(descriptor.accessRights)) raiseStackFault(errorCode);
  setSegment(core, SEGMENT.SS, selector, markAccessed(core, selector, descriptor));
}

/**
 * Loads a segment register other than CS with all checks of MOV, POP and LxS.
 * @param number a `SEGMENT` number, 0 … 5 without CS
 */
export function loadDataSegment(core: ProcessorCore, number: number, selector: number): void {
  const { state } = core;
  if (hasRealModeSegments(state)) {
    if (isProtectedMode(state)) setVirtual8086Segment(core, number, selector);
    else setRealModeSegment(core, number, selector);
    return;
  }
  if (number === SEGMENT.SS) {
    loadStackSegment(core, selector);
    return;
  }
  if (isNullSelector(selector)) {
    setNullSegment(core, number, selector);
    return;
  }
  const errorCode = selectorErrorCode(selector);
  const descriptor = readDescriptor(core, selector);
  if (descriptor === undefined) raiseGeneralProtection(errorCode);
  const { accessRights } = descriptor;
  const code = isCodeSegment(accessRights);
  if ((accessRights & ACCESS_RIGHTS.NON_SYSTEM) === 0) raiseGeneralProtection(errorCode);
  if (code && (accessRights & ACCESS_RIGHTS.READABLE) === 0) raiseGeneralProtection(errorCode);
  const weakest = Math.max(selector & SELECTOR.RPL, state.cpl);
  if (!isConforming(accessRights) && weakest > privilegeOf(accessRights)) raiseGeneralProtection(errorCode);
  if (!isPresent(accessRights)) raiseNotPresent(errorCode);
  setSegment(core, number, selector, markAccessed(core, selector, descriptor));
}

/**
 * On a return to an outer level: data segments that the new level may not use become null. The base stays: FS and GS
 * keep theirs in 64-bit mode (SDM Vol. 3A, 5.8.6 Returning from a Called Procedure).
 */
export function dropInnerDataSegments(core: ProcessorCore, privilege: number): void {
  for (const number of [SEGMENT.ES, SEGMENT.FS, SEGMENT.GS, SEGMENT.DS]) {
    const register = core.state.segment(number);
    if (register.unusable) {
      register.selector = 0;
      continue;
    }
    if (isConforming(register.accessRights) || privilegeOf(register.accessRights) >= privilege) continue;
    register.selector = 0;
    register.accessRights = ACCESS_RIGHTS.UNUSABLE;
  }
}
