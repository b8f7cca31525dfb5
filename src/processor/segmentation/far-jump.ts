/** Far JMP (SDM Vol. 2A, JMP: Far Jumps in Real-Address, Virtual-8086, Protected and 64-Bit Mode). */

import {
  type Descriptor,
  isCodeSegment,
  isConforming,
  isPresent,
  privilegeOf,
  SELECTOR,
  systemTypeOf,
} from '../../architecture/descriptors.js';
import { SEGMENT } from '../../architecture/registers.js';
import { OUTCOME, type Outcome, type ProcessorCore } from '../core.js';
import { raiseGeneralProtection, raiseNotPresent } from '../events/faults.js';
import { readCallGate } from './call-gate.js';
import { checkCodeSize, checkTarget, prepareCodeSegment } from './code-segment.js';
import { isNullSelector, readDescriptor, selectorErrorCode } from './descriptor-table.js';
import { hasRealModeSegments, isProtectedMode } from './mode.js';
import { setRealModeSegment, setVirtual8086Segment } from './segment-register.js';

/** A code segment that a far jump or call without a gate may enter; CPL does not change. */
export function checkDirectTarget(core: ProcessorCore, selector: number, descriptor: Descriptor): void {
  const errorCode = selectorErrorCode(selector);
  const privilege = core.state.cpl;
  const target = privilegeOf(descriptor.accessRights);
  checkCodeSize(core, descriptor, errorCode);
  if (isConforming(descriptor.accessRights)) {
    if (target > privilege) raiseGeneralProtection(errorCode);
  } else if ((selector & SELECTOR.RPL) > privilege || target !== privilege) raiseGeneralProtection(errorCode);
  if (!isPresent(descriptor.accessRights)) raiseNotPresent(errorCode);
}

/** CS:IP of real-address and virtual-8086 mode. */
export function jumpRealMode(core: ProcessorCore, selector: number, offset: bigint): void {
  if (isProtectedMode(core.state)) setVirtual8086Segment(core, SEGMENT.CS, selector);
  else setRealModeSegment(core, SEGMENT.CS, selector);
  core.state.rip = offset;
}

/** @param offset zero-extended from the operand size */
export function farJump(core: ProcessorCore, selector: number, offset: bigint): Outcome {
  const { state } = core;
  if (hasRealModeSegments(state)) {
    if (offset > BigInt(state.segment(SEGMENT.CS).limit)) raiseGeneralProtection();
    jumpRealMode(core, selector, offset);
    return OUTCOME.JUMPED;
  }
  if (isNullSelector(selector)) raiseGeneralProtection();
  const descriptor = readDescriptor(core, selector);
  if (descriptor === undefined) raiseGeneralProtection(selectorErrorCode(selector));
  if (isCodeSegment(descriptor.accessRights)) {
    checkDirectTarget(core, selector, descriptor);
    checkTarget(core, descriptor, offset);
    prepareCodeSegment(core, selector, descriptor, offset, state.cpl)();
    return OUTCOME.JUMPED;
  }

  const gate = readCallGate(core, selector, systemTypeOf(descriptor.accessRights), 'jmp');
  const targetCode = selectorErrorCode(gate.selector);
  const target = privilegeOf(gate.descriptor.accessRights);
  const allowed = isConforming(gate.descriptor.accessRights) ? target <= state.cpl : target === state.cpl;
  if (!allowed) raiseGeneralProtection(targetCode);
  if (!isPresent(gate.descriptor.accessRights)) raiseNotPresent(targetCode);
  checkTarget(core, gate.descriptor, gate.offset);
  prepareCodeSegment(core, gate.selector, gate.descriptor, gate.offset, state.cpl)();
  return OUTCOME.JUMPED;
}
