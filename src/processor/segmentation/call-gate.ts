/** Call gates (SDM Vol. 3A, 5.8.3 Call Gates, 5.8.3.1 IA-32e Mode Call Gates). */

import {
  type Descriptor,
  isCodeSegment,
  isPresent,
  parseGate,
  privilegeOf,
  SELECTOR,
  SYSTEM_TYPE,
} from '../../architecture/descriptors.js';
import type { ProcessorCore } from '../core.js';
import { UnimplementedFeatureError } from '../errors.js';
import { raiseGeneralProtection, raiseNotPresent } from '../events/faults.js';
import { checkCodeSize, isLongCode } from './code-segment.js';
import { descriptorAddress, isNullSelector, readDescriptor, selectorErrorCode } from './descriptor-table.js';
import { isLongMode } from './mode.js';

export interface CallGateTarget {
  readonly selector: number;
  readonly descriptor: Descriptor;
  readonly offset: bigint;
  /** Bytes of each pushed value: 2, 4 or 8. */
  readonly size: 2 | 4 | 8;
  readonly parameterCount: number;
}

/**
 * Reads a call gate and the code segment behind it, with the checks on both that JMP and CALL share.
 * @param type system type of the descriptor that `selector` names, -1 for a code or data segment
 * @throws UnimplementedFeatureError for task gates and TSS descriptors outside of IA-32e mode
 */
export function readCallGate(
  core: ProcessorCore,
  selector: number,
  type: number,
  by: 'jmp' | 'call',
): CallGateTarget {
  const { state } = core;
  const errorCode = selectorErrorCode(selector);
  const long = isLongMode(state);
  if (!long && (type === SYSTEM_TYPE.TASK_GATE || (type & ~8) === SYSTEM_TYPE.TSS16_AVAILABLE))
    throw new UnimplementedFeatureError(`task switch by far ${by.toUpperCase()}`, state.rip);
  if (type !== SYSTEM_TYPE.CALL_GATE && (long || type !== SYSTEM_TYPE.CALL_GATE16))
    raiseGeneralProtection(errorCode);

  const address = descriptorAddress(core, selector, long ? 16 : 8);
  if (address === undefined) raiseGeneralProtection(errorCode);
  const upper = long ? core.linear.read(address + 8n, 8, 'system') : 0n;
  const gate = parseGate(core.linear.read(address, 8, 'system'), upper);
  // Type field of the upper half must be zero (SDM Vol. 3A, Figure 5-9).
  if (long && ((upper >> 40n) & 0x1fn) !== 0n) raiseGeneralProtection(errorCode);
  const weakest = Math.max(state.cpl, selector & SELECTOR.RPL);
  if (privilegeOf(gate.accessRights) < weakest) raiseGeneralProtection(errorCode);
  if (!isPresent(gate.accessRights)) raiseNotPresent(errorCode);

  if (isNullSelector(gate.selector)) raiseGeneralProtection();
  const targetCode = selectorErrorCode(gate.selector);
  const descriptor = readDescriptor(core, gate.selector);
  if (
    descriptor === undefined ||
    !isCodeSegment(descriptor.accessRights) ||
    privilegeOf(descriptor.accessRights) > state.cpl
  )
    raiseGeneralProtection(targetCode);
  checkCodeSize(core, descriptor, targetCode);
  if (long && !isLongCode(core, descriptor)) raiseGeneralProtection(targetCode);
  const narrow = type === SYSTEM_TYPE.CALL_GATE16;
  return {
    selector: gate.selector,
    descriptor,
    offset: narrow ? gate.offset & 0xffffn : gate.offset,
    size: long ? 8 : narrow ? 2 : 4,
    parameterCount: gate.parameterCount,
  };
}
