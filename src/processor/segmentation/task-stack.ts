/** Stacks of inner privilege levels out of the TSS (SDM Vol. 3A, 5.8.5 Stack Switching, 6.14.4). */

import { isCanonical } from '../../architecture/canonical-address.js';
import {
  type Descriptor,
  isPresent,
  isWritableData,
  privilegeOf,
  SELECTOR,
  SYSTEM_TYPE,
} from '../../architecture/descriptors.js';
import { SEGMENT } from '../../architecture/registers.js';
import { TSS16, TSS32 } from '../../architecture/task-state-segment.js';
import type { ProcessorCore } from '../core.js';
import { raiseInvalidTss, raiseStackFault } from '../events/faults.js';
import { isNullSelector, readDescriptor, selectorErrorCode } from './descriptor-table.js';

/** SS and ESP of a privilege level. #TS(TR) when they lie beyond the limit of the TSS. */
export function readTaskStack(core: ProcessorCore, privilege: number): { selector: number; pointer: bigint } {
  const task = core.state.segment(SEGMENT.TR);
  const wide = (task.accessRights & 15 & ~2) === SYSTEM_TYPE.TSS_AVAILABLE;
  const size = wide ? 4 : 2;
  const offset = wide ? TSS32.ESP0 + privilege * 8 : TSS16.SP0 + privilege * 4;
  if (task.unusable || offset + size + 1 > task.limit) raiseInvalidTss(selectorErrorCode(task.selector));
  const address = BigInt.asUintN(32, task.base + BigInt(offset));
  const pointer = core.linear.read(address, size, 'system');
  return { pointer, selector: Number(core.linear.read(address + BigInt(size), 2, 'system')) };
}

/** The stack pointer at byte `offset` of the 64-bit TSS. #TS(TR) beyond its limit, #SS(0) when not canonical. */
export function readTaskStack64(core: ProcessorCore, offset: number): bigint {
  const task = core.state.segment(SEGMENT.TR);
  if (task.unusable || offset + 7 > task.limit) raiseInvalidTss(selectorErrorCode(task.selector));
  const pointer = core.linear.read(BigInt.asUintN(64, task.base + BigInt(offset)), 8, 'system');
  if (!isCanonical(pointer)) raiseStackFault();
  return pointer;
}

/** The descriptor of a stack out of the TSS: #TS when unsuitable, #SS when not present. */
export function checkStackDescriptor(core: ProcessorCore, selector: number, privilege: number): Descriptor {
  const errorCode = selectorErrorCode(selector);
  if (isNullSelector(selector)) raiseInvalidTss(0);
  const descriptor = readDescriptor(core, selector);
  if (
    descriptor === undefined ||
    (selector & SELECTOR.RPL) !== privilege ||
    privilegeOf(descriptor.accessRights) !== privilege ||
    !isWritableData(descriptor.accessRights)
  )
    raiseInvalidTss(errorCode);
  if (!isPresent(descriptor.accessRights)) raiseStackFault(errorCode);
  return descriptor;
}
