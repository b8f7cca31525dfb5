/** Far CALL (SDM Vol. 2A, CALL: Far Calls). */

import {
  isCodeSegment,
  isConforming,
  isPresent,
  privilegeOf,
  systemTypeOf,
} from '../../architecture/descriptors.js';
import { SEGMENT } from '../../architecture/registers.js';
import { TSS64 } from '../../architecture/task-state-segment.js';
import { OUTCOME, type Outcome, type ProcessorCore } from '../core.js';
import { raiseGeneralProtection, raiseNotPresent } from '../events/faults.js';
import { type CallGateTarget, readCallGate } from './call-gate.js';
import { checkTarget, prepareCodeSegment } from './code-segment.js';
import { isNullSelector, markAccessed, readDescriptor, selectorErrorCode } from './descriptor-table.js';
import { checkDirectTarget, jumpRealMode } from './far-jump.js';
import { hasRealModeSegments, isLongMode } from './mode.js';
import { setNullSegment, setSegment } from './segment-register.js';
import { Stack } from './stack.js';
import { checkStackDescriptor, readTaskStack, readTaskStack64 } from './task-stack.js';

function pushReturnAddress(core: ProcessorCore, stack: Stack, size: number, returnAddress: bigint): void {
  stack.push(size, BigInt(core.state.segment(SEGMENT.CS).selector));
  stack.push(size, returnAddress);
}

/** Calls to an inner level: new stack from the TSS, old SS:RSP and parameters copied. */
function callInnerLevel(core: ProcessorCore, gate: CallGateTarget, returnAddress: bigint): void {
  const { state } = core;
  const privilege = privilegeOf(gate.descriptor.accessRights);
  const oldStack = Stack.current(core);
  const oldSelector = BigInt(state.segment(SEGMENT.SS).selector);
  if (isLongMode(state)) {
    const pointer = readTaskStack64(core, TSS64.RSP0 + privilege * 8);
    checkTarget(core, gate.descriptor, gate.offset);
    const stack = new Stack(core, undefined, pointer, 'system');
    stack.push(8, oldSelector);
    stack.push(8, oldStack.pointer);
    pushReturnAddress(core, stack, 8, returnAddress);
    const commitCode = prepareCodeSegment(core, gate.selector, gate.descriptor, gate.offset, privilege);
    stack.commit();
    setNullSegment(core, SEGMENT.SS, privilege, privilege);
    commitCode();
    return;
  }
  const { selector, pointer } = readTaskStack(core, privilege);
  const descriptor = checkStackDescriptor(core, selector, privilege);
  checkTarget(core, gate.descriptor, gate.offset);
  const stack = new Stack(core, descriptor, pointer, 'system', selectorErrorCode(selector));
  const oldPointer = oldStack.pointer;
  const parameters = Array.from({ length: gate.parameterCount }, () => oldStack.pop(gate.size));
  stack.push(gate.size, oldSelector);
  stack.push(gate.size, oldPointer);
  for (const parameter of parameters.reverse()) stack.push(gate.size, parameter);
  pushReturnAddress(core, stack, gate.size, returnAddress);
  const stackDescriptor = markAccessed(core, selector, descriptor);
  const commitCode = prepareCodeSegment(core, gate.selector, gate.descriptor, gate.offset, privilege);
  stack.commit();
  setSegment(core, SEGMENT.SS, selector, stackDescriptor);
  commitCode();
}

/**
 * @param offset zero-extended from the operand size
 * @param size operand size in bytes: 2, 4 or 8
 * @param returnAddress RIP of the next instruction
 */
export function farCall(
  core: ProcessorCore,
  selector: number,
  offset: bigint,
  size: number,
  returnAddress: bigint,
): Outcome {
  const { state } = core;
  const stack = Stack.current(core);
  if (hasRealModeSegments(state)) {
    if (offset > BigInt(state.segment(SEGMENT.CS).limit)) raiseGeneralProtection();
    pushReturnAddress(core, stack, size, returnAddress);
    stack.commit();
    jumpRealMode(core, selector, offset);
    return OUTCOME.JUMPED;
  }
  if (isNullSelector(selector)) raiseGeneralProtection();
  const descriptor = readDescriptor(core, selector);
  if (descriptor === undefined) raiseGeneralProtection(selectorErrorCode(selector));
  if (isCodeSegment(descriptor.accessRights)) {
    checkDirectTarget(core, selector, descriptor);
    pushReturnAddress(core, stack, size, returnAddress);
    checkTarget(core, descriptor, offset);
    const commitCode = prepareCodeSegment(core, selector, descriptor, offset, state.cpl);
    stack.commit();
    commitCode();
    return OUTCOME.JUMPED;
  }

  const gate = readCallGate(core, selector, systemTypeOf(descriptor.accessRights), 'call');
  const { accessRights } = gate.descriptor;
  if (!isPresent(accessRights)) raiseNotPresent(selectorErrorCode(gate.selector));
  if (!isConforming(accessRights) && privilegeOf(accessRights) < state.cpl) {
    callInnerLevel(core, gate, returnAddress);
    return OUTCOME.JUMPED;
  }
  checkTarget(core, gate.descriptor, gate.offset);
  pushReturnAddress(core, stack, gate.size, returnAddress);
  const commitCode = prepareCodeSegment(core, gate.selector, gate.descriptor, gate.offset, state.cpl);
  stack.commit();
  commitCode();
  return OUTCOME.JUMPED;
}
