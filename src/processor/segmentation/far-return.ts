/** Far RET (SDM Vol. 2B, RET: far return to the same and to an outer privilege level). */

import { SELECTOR } from '../../architecture/descriptors.js';
import { SEGMENT } from '../../architecture/registers.js';
import { OUTCOME, type Outcome, type ProcessorCore } from '../core.js';
import { raiseGeneralProtection, raiseStackFault } from '../events/faults.js';
import { checkTarget, isLongCode, prepareCodeSegment } from './code-segment.js';
import { dropInnerDataSegments } from './data-segment.js';
import { jumpRealMode } from './far-jump.js';
import { hasRealModeSegments } from './mode.js';
import { checkReturnCode, checkReturnStack, prepareReturnStack } from './return-checks.js';
import { Stack } from './stack.js';

/**
 * @param size operand size in bytes: 2, 4 or 8
 * @param released bytes of parameters to drop
 */
export function farReturn(core: ProcessorCore, size: number, released: number): Outcome {
  const { state } = core;
  const stack = Stack.current(core);
  const offset = stack.pop(size);
  const selector = Number(stack.pop(size) & 0xffffn);
  if (hasRealModeSegments(state)) {
    if (offset > BigInt(state.segment(SEGMENT.CS).limit)) raiseGeneralProtection();
    stack.release(released);
    stack.commit();
    jumpRealMode(core, selector, offset);
    return OUTCOME.JUMPED;
  }

  const descriptor = checkReturnCode(core, selector);
  const privilege = selector & SELECTOR.RPL;
  stack.release(released);
  if (privilege === state.cpl) {
    checkTarget(core, descriptor, offset);
    const commitCode = prepareCodeSegment(core, selector, descriptor, offset, privilege);
    stack.commit();
    commitCode();
    return OUTCOME.JUMPED;
  }

  const long = isLongCode(core, descriptor);
  const outerPointer = stack.pop(size);
  const outerSelector = Number(stack.pop(size) & 0xffffn);
  const outerDescriptor = checkReturnStack(core, outerSelector, privilege, long, raiseStackFault);
  checkTarget(core, descriptor, offset);
  const commitStack = prepareReturnStack(core, outerSelector, outerDescriptor);
  const commitCode = prepareCodeSegment(core, selector, descriptor, offset, privilege);
  const outer = new Stack(core, long ? undefined : outerDescriptor, outerPointer);
  outer.release(released);
  outer.commit();
  commitStack();
  commitCode();
  dropInnerDataSegments(core, privilege);
  return OUTCOME.JUMPED;
}
